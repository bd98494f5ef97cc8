"""A trained model with its tasks and window, and its predictions. All stages after training depend on it alone.

`inference` applies a model: modes, batches, strands. `predictor` is the predictor and its folder on disk, `building`
builds its model, `schemes` averages predictions in several ways, and `task_labels` reads the labels of a store in the
order of the predictor's tasks.
"""

from noncoder.predictor.building import PredictorError
from noncoder.predictor.inference import Strands, strand_logits
from noncoder.predictor.predictor import (
    Predictor,
    Sequences,
    Shape,
    first_difference,
    is_predictor,
    load,
)
from noncoder.predictor.schemes import Averaging, Scheme, cut_short, predict_store_schemes

__all__ = [
    "Averaging",
    "Predictor",
    "PredictorError",
    "Scheme",
    "Sequences",
    "Shape",
    "Strands",
    "cut_short",
    "first_difference",
    "is_predictor",
    "load",
    "predict_store_schemes",
    "strand_logits",
]
