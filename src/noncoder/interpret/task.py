"""One task, from its windows to its folder."""

from __future__ import annotations

from typing import Any

from noncoder.files import plain_json, write_json
from noncoder.interpret.further import find_designs, find_grammar
from noncoder.interpret.job import Job
from noncoder.interpret.naming import find_motifs
from noncoder.interpret.outputs import draw, write_tracks
from noncoder.interpret.steps import (
    describe_completeness,
    find_activation,
    find_attributions,
    measure_agreement,
    measure_task,
)


def interpret_task(job: Job) -> dict[str, Any]:
    """Looks into one task; returns what summary.json of its folder then holds.

    Raises:
        InputError: There is no such layer, or the model cannot be looked into.
    """
    performance = measure_task(job)
    job.say(f"{job.config.method} of {len(job.windows):,} windows")
    found = find_attributions(job)
    find_activation(job)
    if job.config.mutated:
        job.say(f"mutagenesis of {min(job.config.mutated, len(job.windows))} windows")
    agreement = measure_agreement(job, found)
    job.say("motifs")
    motifs = find_motifs(job, found, performance)
    job.say("grammar of motifs, designed sequences, pictures")
    further = {
        "grammar": find_grammar(job, motifs.known) is not None,
        "design": find_designs(job, motifs.known) is not None,
    }
    task = job.predictor.tasks[job.column]
    summary: dict[str, Any] = plain_json(
        {
            "task": task.name,
            "group": task.group,
            "method": job.config.method,
            "folder": str(job.folder),
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
            **further,
            "files": write_tracks(job, found, motifs.named) + draw(job, found, motifs.named),
        }
    )
    write_json(job.folder / "summary.json", summary)
    return summary
