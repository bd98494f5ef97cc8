"""The motifs of a task: patterns of its attributions, with names if the tests pass, and why there are no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from noncoder.files import write_json
from noncoder.interpret.choosing import held_out_windows
from noncoder.interpret.job import Job
from noncoder.interpret.motifs import (
    Account,
    Named,
    PatternConfig,
    Performance,
    diagnose,
    find_patterns,
    load_database,
    middle_region,
    name_patterns,
)
from noncoder.interpret.task_arrays import Found
from noncoder.sequence.motifs import Motif, write_meme


@dataclass(frozen=True)
class Motifs:
    """The motifs of a task.

    Args:
        named: Its patterns, first those that raise the logit, by decreasing number of sites.
        rows: The same as rows of a table: "name", "sign", "seqlets", "consensus", "named", "id" and "q".
        diagnosis: Numbers and sentences on the result and on why there are no more motifs.
    """

    named: Sequence[Named]
    rows: list[dict[str, Any]]
    diagnosis: dict[str, Any]

    @property
    def known(self) -> list[Motif]:
        """The named patterns, as motifs with these names."""
        return [replace(one.pattern.motif, name=one.name) for one in self.named if one.name is not None]


def find_motifs(job: Job, found: Found, performance: Mapping[str, Any]) -> Motifs:
    """Finds and names the motifs of a task, and writes patterns.json and motifs.meme.

    Args:
        job: The task.
        found: Its attributions.
        performance: "auroc" and "average_precision" of the model in the task's split; None without labels.
    """
    if not found.attribution.hypothetical:
        text = f"{found.attribution.method} attributes positions, not bases: motifs need another method"
        write_json(job.folder.patterns, [])
        return Motifs([], [], {"text": [text]})
    database = load_database(job.config.release, job.config.taxon)
    # The flanks contain what decides about neighbouring bins.
    region = middle_region(job.predictor.window, job.predictor.bin)
    patterns = find_patterns(found.attribution.values, found.windows.codes, PatternConfig(region=region))
    held_out = None if job.store is None else held_out_windows(job.predictor, job.store, job.column)
    named = name_patterns(patterns.patterns, database, held_out)
    diagnosis = diagnose(patterns, named, _performance(job, performance), _account(found), held_out)
    write_json(job.folder.patterns, [one.result().to_json() for one in named])
    if named:
        motifs = [replace(one.pattern.motif, id=one.pattern.name, name=one.name or "unknown") for one in named]
        write_meme(motifs, job.folder.motifs)
    return Motifs(named, [_row(one) for one in named], diagnosis.to_dict())


def _performance(job: Job, performance: Mapping[str, Any]) -> Performance | None:
    if job.scored is None:
        return None
    trained = int(job.scored.labels.train_positives[job.column])
    return Performance(performance["auroc"], performance["average_precision"], trained)


def _account(found: Found) -> Account:
    attribution = found.attribution
    error = None if attribution.explained is None else attribution.completeness_error
    return Account(found.logit, attribution.explained, error)


def _row(one: Named) -> dict[str, Any]:
    match = one.matches[0] if one.name is not None else None
    return {
        "name": one.pattern.name,
        "sign": one.pattern.sign,
        "seqlets": one.pattern.seqlets,
        "consensus": one.pattern.motif.consensus,
        "named": one.name,
        "id": None if match is None else match.id,
        "q": None if match is None else match.q,
    }
