"""Exact measures of every task, from float32 logits; what is undefined is NaN, never 0."""

from noncoder.metrics.columns import Columns, PackedBits, Tile
from noncoder.metrics.means import Mean, group_means, named_means, why_undefined
from noncoder.metrics.measures import RECALLS, Measures, measure_columns
from noncoder.metrics.probabilities import Calibration, Reliability, calibrate_columns, calibration
from noncoder.metrics.ranking import Ranking, auroc, average_precision, rank, rank_columns, weighted_mean
from noncoder.metrics.roc import Curves, curves

__all__ = [
    "RECALLS",
    "Calibration",
    "Columns",
    "Curves",
    "Mean",
    "Measures",
    "PackedBits",
    "Ranking",
    "Reliability",
    "Tile",
    "auroc",
    "average_precision",
    "calibrate_columns",
    "calibration",
    "curves",
    "group_means",
    "measure_columns",
    "named_means",
    "rank",
    "rank_columns",
    "weighted_mean",
    "why_undefined",
]
