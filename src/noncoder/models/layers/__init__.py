"""Layers and blocks that models are put together from."""
