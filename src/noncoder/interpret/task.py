"""Interprets one task and writes its folder."""

from __future__ import annotations

from typing import Any

from noncoder.files import file_digests, plain_json, write_json
from noncoder.interpret.further import find_designs, find_grammar
from noncoder.interpret.job import Job
from noncoder.interpret.outputs import FigureTracks, draw, write_tracks
from noncoder.interpret.steps import (
    Skipped,
    describe_completeness,
    measure_agreement,
    measure_task,
)
from noncoder.interpret.task_motifs import Motifs, find_motifs


def interpret_task(job: Job) -> dict[str, Any]:
    """Interprets one task, and returns the content of summary.json of its folder.

    A failed step is skipped and recorded with the reason under "skipped". Only without attributions the whole task
    fails.

    Raises:
        NoncoderError: The attributions cannot be computed.
    """
    skipped = Skipped()
    performance = measure_task(job)
    job.say(f"{job.config.method} of {len(job.windows):,} windows")
    found = job.found
    activation = skipped.attempt("Grad-CAM", lambda: job.activation)
    mutations = None
    if job.config.mutated:
        job.say(f"mutagenesis of {min(job.config.mutated, len(job.windows))} windows")
        mutations = skipped.attempt("mutagenesis", lambda: job.mutations)
    agreement = None
    if activation is not None and mutations is not None:
        agreement = measure_agreement(found, activation, mutations)
    job.say("motifs")
    motifs = skipped.attempt("motifs", lambda: find_motifs(job, found, performance))
    motifs = motifs or Motifs([], [], {"text": [skipped.steps[-1]["why"]]})
    job.say("grammar of motifs, designed sequences, figures")
    grammar = skipped.attempt("grammar", lambda: find_grammar(job, motifs.known))
    design = skipped.attempt("design", lambda: find_designs(job, motifs.known))
    files = skipped.attempt("tracks", lambda: write_tracks(job, found, motifs.named)) or []
    files += draw(job, found, motifs.named, FigureTracks(activation, mutations), skipped)
    task = job.predictor.tasks[job.column]
    summary: dict[str, Any] = plain_json(
        {
            "task": task.name,
            "group": task.group,
            "method": job.config.method,
            "folder": str(job.folder.path),
            "split": job.windows.split,
            "windows": len(job.windows),
            "chosen": job.windows.chosen,
            "notes": list(job.windows.notes),
            **performance,
            "completeness": describe_completeness(found),
            "warnings": list(found.attribution.warnings),
            "agreement": agreement,
            "motifs": motifs.rows,
            "diagnosis": motifs.diagnosis,
            "grammar": grammar is not None,
            "design": design is not None,
            "skipped": skipped.steps,
            "files": files,
            "digests": file_digests(job.folder.files),
        }
    )
    write_json(job.folder.summary, summary)
    return summary
