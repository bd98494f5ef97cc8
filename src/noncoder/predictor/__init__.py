"""A trained model with its tasks and window, and what it predicts: the waist between training and all that follows.

`inference` is the one way to ask a model: modes, batches, strands. `folder` is the predictor and its folder on disk,
`building` makes its model, `schemes` are several ways to average, and `matching` gives the labels of a store by the
predictor's tasks.
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
