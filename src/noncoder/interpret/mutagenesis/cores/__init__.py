"""Heads with a recurrent or attention core, evaluated where a mutation reaches.

An LSTM's states before the first changed position are those of the unmutated sequence, and so are they after the last
one where it reads backward; in a Transformer-XL that sees one side, all layers are unchanged before it. What is
unchanged is computed once a sequence; of the dense layer that reads all positions, its sums are kept.
"""

from __future__ import annotations

from noncoder.interpret.mutagenesis.change import Head
from noncoder.interpret.mutagenesis.cores.lstm_core import lstm_head
from noncoder.interpret.mutagenesis.cores.transformerxl_core import transformerxl_head
from noncoder.models import SequenceModel

__all__ = ["head_for"]


def head_for(model: SequenceModel) -> Head | None:
    """A head that evaluates changed features faster than `model.head`, and gives the same; None where there is none.

    It keeps copies of some of the weights: make it anew where they change.

    Args:
        model: In evaluation mode.
    """
    return lstm_head(model) or transformerxl_head(model)
