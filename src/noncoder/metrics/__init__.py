"""Exact measures of every task from float32 logits; undefined values are NaN, never 0."""

from noncoder.metrics.blocks import Blocks, genome_blocks
from noncoder.metrics.column_reader import Columns, PackedBits, Tile
from noncoder.metrics.delong import DeLongComparison, compare_tasks
from noncoder.metrics.means import Mean, group_means, named_means, why_undefined
from noncoder.metrics.measures import RECALLS, Measures, measure_columns
from noncoder.metrics.multiple import adjust
from noncoder.metrics.probabilities import Calibration, Reliability, calibrate_columns, calibration
from noncoder.metrics.ranking import Ranking, auroc, average_precision, rank, rank_columns
from noncoder.metrics.roc import Curves, curves
from noncoder.metrics.temperature import Temperatures, fit_temperatures
from noncoder.metrics.uncertainty import (
    BootstrapDraws,
    ConfidenceInterval,
    Resampled,
    bootstrap,
    difference,
    interval,
    p_value,
)

__all__ = [
    "RECALLS",
    "Blocks",
    "BootstrapDraws",
    "Calibration",
    "Columns",
    "ConfidenceInterval",
    "Curves",
    "DeLongComparison",
    "Mean",
    "Measures",
    "PackedBits",
    "Ranking",
    "Reliability",
    "Resampled",
    "Temperatures",
    "Tile",
    "adjust",
    "auroc",
    "average_precision",
    "bootstrap",
    "calibrate_columns",
    "calibration",
    "compare_tasks",
    "curves",
    "difference",
    "fit_temperatures",
    "genome_blocks",
    "group_means",
    "interval",
    "measure_columns",
    "named_means",
    "p_value",
    "rank",
    "rank_columns",
    "why_undefined",
]
