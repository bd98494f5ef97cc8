"""Steps that use a task's motifs: their grammar, and designed sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from noncoder.files import read_json_or_none, write_json
from noncoder.interpret.design import DesignConfig, design_sequences
from noncoder.interpret.grammar import GrammarConfig, explore_grammar
from noncoder.interpret.job import Job
from noncoder.sequence.motifs import Motif

_EVALUATIONS = 500  # per designed sequence; `noncoder design` uses more
_MOTIFS = 2
"""Number of motifs whose grammar is measured: those with the most seqlets, one per name."""


def find_grammar(job: Job, named: Sequence[Motif]) -> dict[str, Any] | None:
    """Returns the grammar of the first motifs of a task, from its file or measured now; None without motifs.

    Args:
        job: The task.
        named: Its named motifs, sorted by decreasing number of sites.
    """
    motifs = list({motif.name: motif for motif in reversed(named)}.values())[::-1][:_MOTIFS]
    if not job.config.grammar or not motifs:
        return None
    path = job.folder.grammar
    values = read_json_or_none(path)
    if values is None:
        settings = GrammarConfig(
            backgrounds=max(2, job.config.grammar), pairs=1, seed=job.config.seed, ablation_windows=job.config.grammar
        )
        values = explore_grammar(job.predictor, job.task, motifs, job.windows.codes, settings).to_dict()
        write_json(path, values)
    return values


def find_designs(job: Job, named: Sequence[Motif]) -> dict[str, Any] | None:
    """Returns sequences with a high predicted logit for the task, read or designed; None if not requested.

    Args:
        job: The task.
        named: Its named motifs, which are searched in the sequences.
    """
    if not job.config.designs:
        return None
    path = job.folder.design
    values = read_json_or_none(path)
    if values is None:
        settings = DesignConfig(sequences=job.config.designs, evaluations=_EVALUATIONS, seed=job.config.seed)
        values = design_sequences(
            job.predictor, job.task, settings, windows=job.windows.codes, motifs=list(named)
        ).to_dict()
        write_json(path, values)
    return values
