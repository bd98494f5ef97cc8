"""Layers and blocks of which models consist."""
