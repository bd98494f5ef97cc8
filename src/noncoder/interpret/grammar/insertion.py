"""Inserts motifs into backgrounds and computes the logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.models import SequenceModel
from noncoder.predictor.inference import ask, batches
from noncoder.sequence.encoding import N_CODE, encode, reverse_complement
from noncoder.sequence.motifs import Motif

Codes = NDArray[np.uint8]
Instances = Literal["consensus", "sampled"]


class Placement(NamedTuple):
    """Instances of a motif and their position in n sequences.

    Args:
        instances: Codes (n, w), or (1, w) for the same in all sequences; N keeps the sequence's base.
        start: Position of the first base, 0-based.
    """

    instances: Codes
    start: int


def name_of(what: Motif | str) -> str:
    """Returns a motif's name, or the k-mer itself."""
    return what.name if isinstance(what, Motif) else what.upper()


def width_of(what: Motif | str) -> int:
    """Returns the width, bp."""
    return what.width if isinstance(what, Motif) else len(what)


def draw_instances(what: Motif | str, n: int, instances: Instances, seed: int) -> Codes:
    """Returns instances of a motif on the forward strand, one per background.

    Args:
        what: A motif, or a k-mer as text, in which N keeps the background's base.
        n: Number of instances.
        instances: "consensus", the most probable base at every position; "sampled", bases drawn by their probabilities.
        seed: Random seed of the draws.

    Returns:
        uint8 (n, w), or (1, w) if all are the same.

    Raises:
        SequenceError: The k-mer is not DNA.
        InputError: It has no base.
    """
    if isinstance(what, Motif) and instances == "sampled":
        return what.sample(np.random.default_rng(seed), n)
    codes = encode(what.consensus if isinstance(what, Motif) else what, name=f"k-mer {what}")
    if not (codes < N_CODE).any():
        raise InputError(f"a k-mer {what!r} without a base", expected="text of A, C, G, T, and N for any")
    return codes[None]


def on_strand(instances: Codes, strand: str) -> Codes:
    """Returns the instances as they read on the forward strand if they lie on "+" or "-"."""
    return instances if strand == "+" else reverse_complement(instances)


def middle(length: int, width: int) -> int:
    """Returns the start of a centred interval of a width in a window."""
    return length // 2 - width // 2


def place(codes: Codes, placements: Sequence[Placement]) -> Codes:
    """Returns a copy of sequences (n, L) with instances written over their bases; later ones overwrite earlier ones.

    Raises:
        InputError: One does not fit into the window.
    """
    written = codes.copy()
    length = codes.shape[1]
    for instances, start in placements:
        end = start + instances.shape[1]
        if start < 0 or end > length:
            raise InputError(f"a motif from {start} to {end}", expected=f"inside the window, 0 to {length}")
        there = written[:, start:end]
        written[:, start:end] = np.where(instances < N_CODE, instances, there)
    return written


def logits_of(model: SequenceModel, codes: Codes, tasks: Sequence[int], batch_size: int = 256) -> NDArray[np.float32]:
    """Returns logits (n, K) of K tasks on the forward strand of sequences (n, L)."""
    return placed_logits(model, codes, [()], tasks, batch_size)[:, 0]


def placed_logits(
    model: SequenceModel,
    codes: Codes,
    conditions: Sequence[Sequence[Placement]],
    tasks: Sequence[int],
    batch_size: int = 256,
) -> NDArray[np.float32]:
    """Returns logits of n sequences under each of C conditions, (n, C, K): all sequences, each with all placements.

    Args:
        model: The model, used on its device.
        codes: uint8 (n, L).
        conditions: Placements that are applied together; an empty condition leaves the sequences unchanged.
        tasks: K columns of the model's logits.
        batch_size: Sequences per forward pass.

    Raises:
        InputError: A placement does not fit, or the sequences are not as long as the model's window.
    """
    n, length = codes.shape
    if length != model.window:
        raise InputError(f"sequences of {length} bp", expected=f"the model's window, {model.window} bp")
    together = max(1, batch_size // max(1, n))

    def blocks() -> Iterator[Codes]:
        for some in batches(len(conditions), together):
            made = np.concatenate([place(codes, condition) for condition in conditions[some]])
            yield from (made[rows] for rows in batches(len(made), batch_size))

    flat = ask(model, blocks(), len(conditions) * n, tasks, "forward", "scoring sequences")
    return flat.reshape(len(conditions), n, len(tasks)).transpose(1, 0, 2)
