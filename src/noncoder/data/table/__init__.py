"""Packs tables of sequences with labels into a store."""

from noncoder.data.table.packing import pack_table

__all__ = ["pack_table"]
