"""From tables of sequences with labels to a store."""

from noncoder.data.table.packing import pack_table

__all__ = ["pack_table"]
