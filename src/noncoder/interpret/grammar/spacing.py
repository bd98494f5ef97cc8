"""Effect of two motifs together, by their distance and strands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from noncoder.errors import InputError
from noncoder.interpret.grammar import insertion
from noncoder.interpret.grammar.backgrounds import Backgrounds
from noncoder.interpret.grammar.effects import Effects
from noncoder.interpret.grammar.marginal import PLAIN, Inserts
from noncoder.models import SequenceModel
from noncoder.sequence.motifs import Motif

ORIENTATIONS = ("++", "+-", "-+", "--")
"""Strand of the left motif, then of the right one. The swapped order is one of these on the other strand."""


@dataclass(frozen=True)
class Spacing:
    """The effect of two motifs at D distances in four orientations on K tasks.

    Args:
        first: Name of the left motif.
        second: Name of the right motif.
        widths: Their widths, bp.
        distances: Bases between them, (D,).
        joint: Logit with both minus logit without, (n, 4, D, K), in the order of `ORIENTATIONS`.
        interaction: Joint effect minus the effects of each alone at the same position and strand, (n, 4, D, K).
    """

    first: str
    second: str
    widths: tuple[int, int]
    distances: tuple[int, ...]
    joint: Effects
    interaction: Effects


def scan_spacing(
    model: SequenceModel,
    backgrounds: Backgrounds,
    pair: tuple[Motif | str, Motif | str],
    tasks: Sequence[int],
    distances: Sequence[int],
    start: int | None = None,
    inserts: Inserts = PLAIN,
) -> Spacing:
    """Inserts two motifs into backgrounds, the first left of the second, at each distance in each orientation.

    Single motifs separate the effect of distance from that of position: each is measured alone at every position that
    it has in the pair, and the interaction is the remainder.

    Args:
        model: The model; logits are of the forward strand.
        backgrounds: n sequences.
        pair: Motifs, or k-mers as text.
        tasks: K columns.
        distances: Bases between the end of the first and the start of the second, each 0 or more.
        start: Position of the first motif at all distances; by default the pair is centred in the window.
        inserts: How they are inserted; its strand is ignored, as all orientations are measured.

    Raises:
        InputError: There is no distance, one is negative, or a pair does not fit into the window.
        SequenceError: A k-mer is not DNA.
    """
    if not distances or min(distances) < 0:
        raise InputError(f"distances {list(distances)}", expected="at least one, each 0 or more")
    length, widths = backgrounds.codes.shape[1], (insertion.width_of(pair[0]), insertion.width_of(pair[1]))
    if sum(widths) + max(distances) > length:
        raise InputError(
            f"{sum(widths)} bp of motifs {max(distances)} bp apart", expected=f"up to {length} bp in total"
        )
    drawn = [
        insertion.draw_instances(what, len(backgrounds), inserts.instances, inserts.seed + i)
        for i, what in enumerate(pair)
    ]
    lefts = [insertion.middle(length, sum(widths) + gap) if start is None else start for gap in distances]
    rights = [left + widths[0] + gap for left, gap in zip(lefts, distances, strict=True)]
    places = {
        (i, strand): [insertion.Placement(insertion.on_strand(drawn[i], strand), at) for at in (lefts, rights)[i]]
        for i in (0, 1)
        for strand in "+-"
    }
    # A single motif at one position is measured once, however many distances share it.
    alone = {(*key, at.start): at for key, row in places.items() for at in row}
    both = [
        [one, other]
        for strands in ORIENTATIONS
        for one, other in zip(places[0, strands[0]], places[1, strands[1]], strict=True)
    ]
    conditions: list[list[insertion.Placement]] = [[], *([placement] for placement in alone.values()), *both]
    logits = insertion.placed_logits(model, backgrounds.codes, conditions, tasks, inserts.batch_size).astype(np.float64)
    effects = logits[:, 1:] - logits[:, :1]
    joint = effects[:, len(alone) :].reshape(len(backgrounds), len(ORIENTATIONS), len(distances), -1)
    column = {key: at for at, key in enumerate(alone)}
    singles = [
        [(column[0, strands[0], left], column[1, strands[1], right]) for left, right in zip(lefts, rights, strict=True)]
        for strands in ORIENTATIONS
    ]
    interaction = joint - effects[:, np.array(singles)].sum(axis=3)
    return Spacing(
        insertion.name_of(pair[0]), insertion.name_of(pair[1]), widths, tuple(distances),
        Effects(joint, backgrounds.source), Effects(interaction, backgrounds.source),
    )  # fmt: skip
