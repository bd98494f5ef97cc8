"""Measures the grammar of one task: motifs alone, by position, in pairs, by ablation, and the k-mers that matter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from noncoder.config import GrammarConfig
from noncoder.data.tasks import find_tasks
from noncoder.errors import InputError
from noncoder.interpret.grammar.ablation import ablate, motif_sites
from noncoder.interpret.grammar.backgrounds import (
    Backgrounds,
    chance_hits,
    chance_warnings,
    shuffled_backgrounds,
)
from noncoder.interpret.grammar.effect_records import (
    AblationRecord,
    BackgroundRecord,
    Grammar,
    ImportanceRecord,
    MarginalRecord,
    PositionRecord,
    SpacingRecord,
)
from noncoder.interpret.grammar.effects import Effects
from noncoder.interpret.grammar.importance import Screening, kmer_importance, list_kmers
from noncoder.interpret.grammar.insertion import Codes, logits_of, name_of
from noncoder.interpret.grammar.marginal import Inserts, marginalize, scan_positions
from noncoder.interpret.grammar.spacing import ORIENTATIONS, scan_spacing
from noncoder.models import SequenceModel
from noncoder.predictor import Predictor
from noncoder.sequence.motifs import Motif


def explore_grammar(
    predictor: Predictor,
    task: str,
    motifs: Sequence[Motif | str],
    codes: Codes,
    settings: GrammarConfig | None = None,
) -> Grammar:
    """Measures the effects of motifs on a task: alone, by position, in pairs and by ablation; and effects of k-mers.

    Args:
        predictor: The model and its tasks.
        task: The task.
        motifs: Motifs, or k-mers as text; only motifs with a matrix are searched in real windows.
        codes: Real windows, uint8 (N, L), preferably the task's positives: backgrounds are their shuffles, and ablated
            sites are in the first of them.
        settings: What is measured, and how much of it; by default everything but k-mers.

    Raises:
        UnknownNameError: There is no such task.
        InputError: There is no usable window, or a motif does not fit into it.
        SequenceError: A k-mer is not DNA.
    """
    settings = settings or GrammarConfig()
    (column,) = find_tasks([task], predictor.tasks)
    if codes.ndim != 2 or codes.shape[1] != predictor.window:
        raise InputError(f"windows of shape {codes.shape}", expected=f"codes (N, {predictor.window})")
    model, matrices = predictor.model, [motif for motif in motifs if isinstance(motif, Motif)]
    avoided = matrices if settings.avoid else []
    backgrounds = shuffled_backgrounds(codes, settings.backgrounds, settings.seed, avoided)
    inserts = Inserts(settings.instances, "+", settings.seed, settings.batch_size)
    own = logits_of(model, backgrounds.codes, [column], settings.batch_size)
    return Grammar(
        task=task,
        window=predictor.window,
        bin=predictor.bin,
        level=settings.level,
        instances=settings.instances,
        backgrounds=BackgroundRecord(
            len(backgrounds),
            settings.seed,
            Effects(own.astype(np.float64), backgrounds.source).summary(settings.level).task(0),
            chance_hits(backgrounds.codes, matrices),
        ),
        marginal=[_marginal(model, backgrounds, motif, column, (settings, inserts)) for motif in motifs],
        positions=[
            _positions(model, backgrounds, motif, column, (settings, inserts))
            for motif in (motifs if settings.position_step else ())
        ],
        spacing=_spacing(model, backgrounds, motifs, column, (settings, inserts)),
        ablation=_ablation(model, codes, matrices, column, settings),
        importance=_importance(model, backgrounds, column, settings),
        warnings=[*backgrounds.warnings, *chance_warnings(backgrounds.codes, matrices)],
    )


_How = tuple[GrammarConfig, Inserts]


def _marginal(
    model: SequenceModel, backgrounds: Backgrounds, motif: Motif | str, column: int, how: _How
) -> MarginalRecord:
    found = marginalize(model, backgrounds, motif, [column], None, how[1])
    effect = found.effects.summary(how[0].level).task(0).take(np.array(0))
    values = found.effects.values[:, 0, 0].tolist()
    return MarginalRecord(found.motif, found.width, found.strand, found.starts[0], effect, values)


def _positions(
    model: SequenceModel, backgrounds: Backgrounds, motif: Motif | str, column: int, how: _How
) -> PositionRecord:
    found = scan_positions(model, backgrounds, motif, [column], how[0].position_step, how[1])
    effect = found.effects.summary(how[0].level).task(0)
    return PositionRecord(found.motif, found.width, found.strand, list(found.starts), effect)


def _spacing(
    model: SequenceModel, backgrounds: Backgrounds, motifs: Sequence[Motif | str], column: int, how: _How
) -> list[SpacingRecord]:
    settings, inserts = how
    distances = range(0, settings.longest_distance + 1, settings.distance_step)
    records = []
    for pair in list(combinations(motifs, 2))[: settings.pairs if distances else 0]:
        found = scan_spacing(model, backgrounds, pair, [column], distances, None, inserts)
        joint, interaction = (part.summary(settings.level).task(0) for part in (found.joint, found.interaction))
        records.append(
            SpacingRecord(
                found.first, found.second, list(found.widths), list(found.distances), list(ORIENTATIONS), joint,
                interaction,
            )
        )  # fmt: skip
    return records


def _ablation(
    model: SequenceModel, codes: Codes, motifs: Sequence[Motif], column: int, settings: GrammarConfig
) -> list[AblationRecord]:
    windows = codes[: settings.ablation_windows]
    records = []
    for motif in motifs:
        sites = motif_sites(windows, motif)
        if not sites.window.size:
            continue
        found = ablate(model, windows, sites, [column], settings.ablation_draws, settings.replacement, settings.seed)
        records.append(
            AblationRecord(
                motif=name_of(motif),
                windows=len(windows),
                replacement=settings.replacement,
                effect=found.summary(settings.level).task(0),
                sites={name: part.tolist() for name, part in sites._asdict().items()},
                site_effects=found.site_summary(settings.level).task(0),
            )
        )
    return records


def _importance(
    model: SequenceModel, backgrounds: Backgrounds, column: int, settings: GrammarConfig
) -> ImportanceRecord | None:
    if not settings.kmer:
        return None
    kmers = list_kmers(settings.kmer)
    few = max(1, len(backgrounds) // 5)
    screening = Screening(few, settings.kmers_kept) if len(kmers) > 2 * settings.kmers_kept else None
    found = kmer_importance(model, backgrounds, kmers, [column], screening, None, settings.batch_size)
    order = found.ranked()
    words = [found.kmers[i] for i in order]
    return ImportanceRecord(settings.kmer, found.screened, words, found.summary(settings.level).task(0).take(order))
