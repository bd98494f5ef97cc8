"""Exact measures of every task, from float32 logits; what is undefined is NaN, never 0."""

from noncoder.metrics.columns import Columns, PackedBits, Tile
from noncoder.metrics.ranking import Curves, Ranking, auroc, average_precision, curves, rank, weighted_mean

__all__ = [
    "Columns",
    "Curves",
    "PackedBits",
    "Ranking",
    "Tile",
    "auroc",
    "average_precision",
    "curves",
    "rank",
    "weighted_mean",
]
