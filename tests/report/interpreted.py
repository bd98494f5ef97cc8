"""What a run's folder `interpret` holds, made of planted motifs as no model would find them, in the real formats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.sequence.motifs import Motif
from noncoder.sequence.tracks import mutation_importance, rank_agreement

Floats = NDArray[np.float64]


def made_motifs(names: Sequence[str], seed: int = 0, width: int = 11) -> list[Motif]:
    """Motifs with strong columns, drawn."""
    rng = np.random.default_rng(seed)
    return [Motif(name, rng.dirichlet(np.full(4, 0.15), width).T, f"MA{i + 1:04}.1") for i, name in enumerate(names)]


def planted(motif: Motif, n: int, length: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Floats, list[Any]]:
    """Windows with one to three instances near the middle, hypothetical contributions (n, 4, L), and the sites."""
    codes = rng.integers(0, 4, (n, length), dtype=np.uint8)
    values = rng.normal(scale=0.02, size=(n, 4, length))
    sites = []
    for row in range(n):
        for _ in range(rng.integers(1, 4)):
            start = int(np.clip(rng.normal(length / 2, length / 12), 0, length - motif.width))
            end, strand = start + motif.width, "+-"[rng.integers(2)]
            oriented = motif if strand == "+" else motif.reverse_complement()
            codes[row, start:end] = oriented.sample(rng, 1)[0]
            values[row, :, start:end] += rng.uniform(0.2, 0.8) * (oriented.pwm() - oriented.pwm().mean(axis=0)) / 4
            sites.append({"row": row, "start": start, "end": end, "strand": strand, "score": float(rng.uniform(1, 9))})
    return codes, values, sites


def match_of(motif: Motif, rng: np.random.Generator) -> dict[str, Any]:
    q = float(10 ** -rng.uniform(3, 9))
    return {
        "id": motif.id,
        "name": motif.name,
        "p": q / 100,
        "q": q,
        "offset": 2,
        "strand": "+",
        "overlap": motif.width,
    }


def write_interpretation(
    run: Path, motifs: Mapping[str, Motif | None], windows: int = 12, length: int = 200, mutated: int = 2, seed: int = 0
) -> None:
    """Writes a run's folder `interpret`.

    Args:
        run: The run's folder.
        motifs: Task to its motif; None for a task of which nothing is found.
        windows: Windows of a task.
        length: bp of each.
        mutated: How many of them were mutated.
        seed: Of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    folder = run / "interpret"
    tasks = [{"task": name, "folder": f"t{i}"} for i, name in enumerate(motifs)]
    for entry, motif in zip(tasks, motifs.values(), strict=True):
        write_task(folder / "tasks" / entry["folder"], entry["task"], motif, (windows, length, mutated), rng)
    known = [motif for motif in motifs.values() if motif]
    filters = [filter_of(i, known[i % len(known)] if i % 3 else None, list(motifs), rng) for i in range(9)]
    write_json(folder / "filters" / "filters.json", filters)
    write_json(folder / "summary.json", {
        "format": 1, "method": "deeplift", "split": "test", "tasks": tasks,
        "database": {"release": "JASPAR2026", "taxon": "fungi", "motifs": 189},
        "filters": {"n": 12, "informative": 9, "matched": 6},
    })  # fmt: skip


def filter_of(number: int, motif: Motif | None, tasks: list[str], rng: np.random.Generator) -> dict[str, Any]:
    found = motif or made_motifs(["none"], number + 100, 8)[0]
    driven = [
        {"task": tasks[i % len(tasks)], "effect": float(rng.normal(scale=0.4))} for i in range(number, number + 2)
    ]
    return {
        "filter": number, "ppm": found.ppm.T.tolist(), "information": found.total_information,
        "sequences": int(rng.integers(100, 900)), "sites": int(rng.integers(100, 2000)), "tasks": driven,
        "matches": [match_of(motif, rng)] if motif else [],
    }  # fmt: skip


def write_task(
    folder: Path, task: str, motif: Motif | None, sizes: tuple[int, int, int], rng: np.random.Generator
) -> None:
    n, length, mutated = sizes
    codes, values, sites = planted(motif or made_motifs(["none"])[0], n, length, rng)
    if motif is None:
        values, sites = values * 0 + rng.normal(scale=0.01, size=values.shape), []
    present = np.arange(4)[:, None] == codes[:, None]
    projected = (values * present).sum(axis=1)
    cam = np.maximum(0, np.apply_along_axis(np.convolve, 1, np.abs(projected), np.ones(15) / 15, "same"))
    index = np.arange(mutated)
    substitutions = np.where(present, 0, values - projected[:, None])[index]
    agreement = rank_agreement(cam[index], np.abs(mutation_importance(codes[index], substitutions))).each
    folder.mkdir(parents=True)
    np.savez(
        folder / "attributions.npz", codes=codes, values=values.astype(np.float32), chrom=np.full(n, "chrIV"),
        start=100_000 + 700 * np.arange(n), logit=rng.normal(2, 1, n).astype(np.float32), row=np.arange(n),
    )  # fmt: skip
    np.savez(folder / "gradcam.npz", cam=cam.astype(np.float32), layer="features.0")
    np.savez(folder / "ism.npz", codes=codes[index], substitutions=substitutions.astype(np.float32), index=index)
    patterns = [pattern_of(motif, sites, rng)] if motif else []
    write_json(folder / "patterns.json", patterns)
    write_json(folder / "summary.json", summary_of(task, n, len(sites), float(agreement.mean())))


def pattern_of(motif: Motif, sites: list[Any], rng: np.random.Generator) -> dict[str, Any]:
    flank = np.full((4, 5), 0.25)
    ppm = np.hstack([flank, motif.ppm, flank])
    cwm = (ppm - 0.25) * Motif("x", ppm).information * 0.2 + rng.normal(scale=0.002, size=ppm.shape)
    return {"name": "pos_0", "sign": "positive", "seqlets": len(sites), "ppm": ppm.T.tolist(), "cwm": cwm.T.tolist(),
            "sites": sites, "matches": [match_of(motif, rng)], "named": motif.name}  # fmt: skip


def summary_of(task: str, windows: int, found: int, agreement: float) -> dict[str, Any]:
    text = [] if found else ["7 seqlets were found; a pattern needs 20.", "The AUROC is 0.61."]
    return {
        "task": task, "group": "TF", "method": "deeplift", "split": "test", "windows": windows, "positives": 99,
        "chosen": "the positive windows with the highest logits", "auroc": 0.93 if found else 0.61,
        "average_precision": 0.52 if found else 0.08,
        "completeness": {"claimed": True, "median_explained": 2.31, "median_error": 0.012, "largest_error": 0.21,
                         "text": "The contributions of a window sum to its logit less that of the references."},
        "warnings": [] if found else ["DeepLIFT is not exact for layers that multiply; ism is."],
        "agreement": {"gradcam_ism_spearman": agreement, "method_ism_spearman": 0.71, "windows": 2},
        "diagnosis": {"seqlets_positive": found or 7, "seqlets_negative": 0, "threshold_positive": 0.31,
                      "threshold_negative": None, "attribution_scale": 0.21 if found else 0.008, "text": text},
    }  # fmt: skip


def grammar_of(task: str) -> dict[str, Any]:
    """A grammar.json of two motifs."""

    def effect(*shape: int) -> dict[str, Any]:
        mean = np.linspace(-1, 2, int(np.prod(shape))).reshape(shape)
        return {"mean": mean.tolist(), "low": (mean - 0.1).tolist(), "high": (mean + 0.2).tolist(), "units": 9}

    place = {"width": 7, "strand": "+"}
    return {
        "format": 1, "task": task, "window": 200, "bin": 100, "level": 0.95, "instances": "consensus",
        "backgrounds": {"n": 9, "seed": 0, "logit": effect(), "chance": {"A": 0.1, "B": 0.0}},
        "marginal": [{"motif": name, **place, "start": 96, "effect": effect(), "values": [0.1, 0.4]} for name in "AB"],
        "positions": [{"motif": name, **place, "starts": [0, 50, 100], "effect": effect(3)} for name in "AB"],
        "spacing": [{"first": "A", "second": name, "widths": [7, 7], "distances": [0, 5, 10],
                     "orientations": ["++", "+-", "-+", "--"], "joint": effect(4, 3), "interaction": effect(4, 3)}
                    for name in "BCD"],
        "ablation": [{"motif": "A", "windows": 5, "replacement": "window",
                      "effect": {"mean": 1.0, "low": None, "high": None, "units": 1},
                      "sites": {"window": [0], "start": [3], "end": [10]}, "site_effects": effect(1)}],
        "importance": {"k": 3, "screened": 32, "kmers": ["AAA", "ACA"], "effect": effect(2)},
        "warnings": ["B lies in few windows."],
    }  # fmt: skip


def design_of(task: str, other: str) -> dict[str, Any]:
    """A design.json of two sequences."""
    logits = {"before": [[-1.5, 0.0], [-2.0, 1.0]], "after": [[7.25, 0.0], [6.0, 0.5]]}
    return {
        "format": 1, "task": task, "against": None, "mode": "maximise", "method": "guided", "window": 200, "bin": 100,
        "settings": {}, "tasks": [task, other], "starts": ["A" * 200, "C" * 200],
        "sequences": ["AC" * 100, "CG" * 100], "edits": [100, 100], "score": {"before": [-1.5, -2], "after": [7.25, 6]},
        "logits": logits, "reverse_logits": logits["after"],
        "probabilities": {"before": [[0.2, 0.5], [0.1, 0.7]], "after": [[0.999, 0.5], [0.99, 0.6]]},
        "history": {"evaluations": [0, 10], "best": [[-1.5, -2], [7.25, 6]]}, "evaluations": 10, "seconds": 0.5,
        "reference": {"windows": 99, "quantiles": {"0.5": -2.0, "0.999": 5.0, "1": 5.5}, "share_below": [1.0, 0.5]},
        "hits": [{"motif": "A", "row": 0, "start": 90, "end": 97, "strand": "+", "score": 3.0}], "warnings": [],
    }  # fmt: skip


def write_json(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))
