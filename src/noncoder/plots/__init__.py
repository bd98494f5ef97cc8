"""Figures from arrays, in one style; independent of stores, runs and the state of pyplot."""

from noncoder.plots.attribution import (
    Hit,
    plot_heat_map,
    plot_window,
    strongest,
)
from noncoder.plots.benchmark_scores import plot_against_published, plot_published_means
from noncoder.plots.calibration import plot_reliability, plot_temperatures
from noncoder.plots.datasets import (
    plot_balance,
    plot_bases,
    plot_chromosomes,
    plot_frequency,
    plot_gc,
    plot_labels,
    plot_positives,
)
from noncoder.plots.designs import plot_design_history, plot_design_predictions, plot_design_sequence
from noncoder.plots.logos import (
    draw_logo,
    information_heights,
    logo_svg,
    observed_heights,
    plot_contribution_logo,
    plot_information_logo,
)
from noncoder.plots.matrices import plot_cooccurrence, plot_task_chromosomes
from noncoder.plots.motif_effects import plot_kmers, plot_marginal, plot_position_scan, plot_spacing
from noncoder.plots.mutagenesis import plot_agreement, plot_mutations
from noncoder.plots.performance import (
    plot_auroc_by_positives,
    plot_distribution,
    plot_precision_recall,
    plot_roc,
    plot_throughput,
    plot_training,
)
from noncoder.plots.style import PALETTE, figure_svg, save_figure
from noncoder.plots.task_differences import plot_differences
from noncoder.plots.training_curves import (
    Curve,
    plot_comparison,
    plot_efficiency,
    plot_gradient_flow,
    plot_learning_rate,
    plot_rate_test,
)
from noncoder.plots.tuning import plot_history, plot_importance, plot_slices, plot_trial_curves

__all__ = [
    "PALETTE",
    "Curve",
    "Hit",
    "draw_logo",
    "figure_svg",
    "information_heights",
    "logo_svg",
    "observed_heights",
    "plot_against_published",
    "plot_agreement",
    "plot_auroc_by_positives",
    "plot_balance",
    "plot_bases",
    "plot_chromosomes",
    "plot_comparison",
    "plot_contribution_logo",
    "plot_cooccurrence",
    "plot_design_history",
    "plot_design_predictions",
    "plot_design_sequence",
    "plot_differences",
    "plot_distribution",
    "plot_efficiency",
    "plot_frequency",
    "plot_gc",
    "plot_gradient_flow",
    "plot_heat_map",
    "plot_history",
    "plot_importance",
    "plot_information_logo",
    "plot_kmers",
    "plot_labels",
    "plot_learning_rate",
    "plot_marginal",
    "plot_mutations",
    "plot_position_scan",
    "plot_positives",
    "plot_precision_recall",
    "plot_published_means",
    "plot_rate_test",
    "plot_reliability",
    "plot_roc",
    "plot_slices",
    "plot_spacing",
    "plot_task_chromosomes",
    "plot_temperatures",
    "plot_throughput",
    "plot_training",
    "plot_trial_curves",
    "plot_window",
    "save_figure",
    "strongest",
]
