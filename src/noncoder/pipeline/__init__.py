"""Whole stages: from a recipe to a report, and single stages of a run.

`running` runs all stages; `evaluating`, `interpreting` and `predicting` run one stage of an existing run.
"""

from noncoder.pipeline.evaluating import evaluate_run
from noncoder.pipeline.interpreting import design_for_run, explore_run, interpret_run, layers_of
from noncoder.pipeline.predicting import predict_fasta
from noncoder.pipeline.running import make_data, run_recipe

__all__ = [
    "design_for_run",
    "evaluate_run",
    "explore_run",
    "interpret_run",
    "layers_of",
    "make_data",
    "predict_fasta",
    "run_recipe",
]
