"""Heads with a recurrent or attention core, evaluated where a mutation reaches.

A mutation does not change the states of a forward LSTM before the first changed position, those of a backward LSTM
after the last one, or any layer of a causal Transformer-XL before the first one. The unchanged values, and the sums of
the dense layer that reads all positions, are computed once per sequence.
"""

from __future__ import annotations

from noncoder.interpret.mutagenesis.change import Head
from noncoder.interpret.mutagenesis.cores.lstm_core import lstm_head
from noncoder.interpret.mutagenesis.cores.transformerxl_core import transformerxl_head
from noncoder.models import SequenceModel

__all__ = ["core_head"]


def core_head(model: SequenceModel) -> Head | None:
    """Returns a head with the same logits as `model.head` that is faster on changed features; None if there is none.

    The head copies some of the weights: create a new one after they change.

    Args:
        model: Model in evaluation mode.
    """
    return lstm_head(model) or transformerxl_head(model)
