"""Mean effect of a motif over backgrounds, in the middle of the window or by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.interpret.grammar.backgrounds import Backgrounds
from noncoder.interpret.grammar.effects import Effects
from noncoder.interpret.grammar.insertion import (
    Instances,
    Placement,
    draw_instances,
    middle,
    name_of,
    on_strand,
    placed_logits,
    width_of,
)
from noncoder.models import SequenceModel
from noncoder.sequence.motifs import Motif


@dataclass(frozen=True)
class Marginal:
    """The effect of one motif at P positions in n backgrounds on K tasks.

    Args:
        motif: Name of the motif, or the k-mer.
        width: Width, bp.
        strand: "+" or "-".
        starts: Position of its first base, (P,).
        without: Logits of the backgrounds, (n, K).
        effects: Logit with the motif minus logit without it, (n, P, K).
    """

    motif: str
    width: int
    strand: str
    starts: tuple[int, ...]
    without: NDArray[np.float32]
    effects: Effects


@dataclass(frozen=True)
class Inserts:
    """How motifs are inserted into backgrounds.

    Args:
        instances: "consensus", or "sampled" for a draw from the motif's probabilities in each background.
        strand: "+" or "-".
        seed: Random seed of sampled instances.
        batch_size: Sequences per forward pass.
    """

    instances: Instances = "consensus"
    strand: str = "+"
    seed: int = 0
    batch_size: int = 256


PLAIN = Inserts()
"""The consensus on the forward strand."""


def marginalize(
    model: SequenceModel,
    backgrounds: Backgrounds,
    motif: Motif | str,
    tasks: Sequence[int],
    starts: Sequence[int] | None = None,
    inserts: Inserts = PLAIN,
) -> Marginal:
    """Inserts a motif into backgrounds and measures the difference of the logits.

    The motif overwrites bases; nothing is shifted. A sampled instance of a background is the same at all positions.

    Args:
        model: The model; logits are of the forward strand.
        backgrounds: n sequences.
        motif: A motif, or a k-mer as text, in which N keeps the background's base.
        tasks: K columns.
        starts: Positions of its first base, measured one by one; by default in the middle of the window.
        inserts: How it is inserted.

    Raises:
        InputError: It does not fit, or the backgrounds do not have the length of the model's window.
        SequenceError: The k-mer is not DNA.
    """
    length, width = backgrounds.codes.shape[1], width_of(motif)
    chosen = (middle(length, width),) if starts is None else tuple(starts)
    drawn = on_strand(draw_instances(motif, len(backgrounds), inserts.instances, inserts.seed), inserts.strand)
    conditions: list[list[Placement]] = [[], *([Placement(drawn, start)] for start in chosen)]
    logits = placed_logits(model, backgrounds.codes, conditions, tasks, inserts.batch_size)
    effects = logits[:, 1:].astype(np.float64) - logits[:, :1]
    return Marginal(name_of(motif), width, inserts.strand, chosen, logits[:, 0], Effects(effects, backgrounds.source))


def scan_positions(
    model: SequenceModel,
    backgrounds: Backgrounds,
    motif: Motif | str,
    tasks: Sequence[int],
    step: int = 20,
    inserts: Inserts = PLAIN,
) -> Marginal:
    """Measures the effect of a motif by its position in the window, every `step` bp.

    Positions are counted outwards from the middle of the window, so the middle is always included.

    Raises:
        InputError: The step is not positive, or the motif is longer than the window.
    """
    length, width = backgrounds.codes.shape[1], width_of(motif)
    if step < 1 or width > length:
        raise InputError(f"a step of {step} and a motif of {width} bp", expected=f"1 or more, and up to {length} bp")
    starts = range(middle(length, width) % step, length - width + 1, step)
    return marginalize(model, backgrounds, motif, tasks, starts, inserts)
