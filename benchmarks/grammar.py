"""Whether a model of a simulated genome shows the rules that it was taught, and which method designs best.

For each task of a run on a simulated store: what its motif does alone; for a pair the interaction at distances within
the rule and far beyond it; for a veto its effect, alone and beside the motif; and how much of a motif's effect is left
outside of the labelled bin. With --design: the logit that each method of design reaches for the same evaluations.

    noncoder run recipes/demo.yaml run=RUN
    python benchmarks/grammar.py RUN [--backgrounds 50] [--json]
    python benchmarks/grammar.py RUN --design CTCF,TP53 [--budgets 300,1000,3000] [--edits 12]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

import noncoder
from noncoder.data.simulate import MAX_GAP, motifs_path
from noncoder.data.store import Store
from noncoder.interpret.design import DesignConfig, design_sequences
from noncoder.interpret.grammar import (
    Backgrounds,
    Summary,
    marginalize,
    scan_positions,
    scan_spacing,
    shuffled_backgrounds,
)
from noncoder.models import SequenceModel
from noncoder.predictor import Predictor
from noncoder.sequence.motifs import Motif, read_meme

NEAR, FAR = (0, 8, 16, 24), (64, 72, 80)
METHODS = ("guided", "straight-through", "gumbel", "greedy", "sampled")


def interval(effect: Summary) -> list[float]:
    return [round(float(part), 3) for part in (effect.mean, effect.low, effect.high)]


def at(summary: Summary, *place: int) -> Summary:
    return Summary(summary.mean[place], summary.low[place], summary.high[place], summary.units)


def position(model: SequenceModel, plain: Backgrounds, motif: Motif, column: int, bin: int) -> dict[str, Any]:
    """The effect inside of the bin, outside of it, and where it is half of that in the middle."""
    found = scan_positions(model, plain, motif, [column], step=10)
    mean = found.effects.summary().mean[:, 0]
    away = np.abs(np.array(found.starts) + motif.width / 2 - plain.codes.shape[1] / 2)
    inside, outside = away + motif.width / 2 <= bin / 2, away - motif.width / 2 >= bin / 2 + 50
    half = away[np.abs(mean) >= 0.5 * np.abs(mean[away < 20]).mean()].max()
    return {"inside": float(mean[inside].mean()), "50 bp outside and more": float(mean[outside].mean()),
            "falls to half at, bp from the middle": float(half)}  # fmt: skip


def truth(predictor: Predictor, store: Store, motifs: dict[str, Motif], n: int) -> list[dict[str, Any]]:
    plain = shuffled_backgrounds(store.read_codes(store.indices("test")), n, seed=0, avoid=list(motifs.values()))
    model, rows = predictor.model, []
    for column, task in enumerate(predictor.tasks):
        first, *other = (motifs[name] for name in re.split(r"[+-]", task.name))
        alone = marginalize(model, plain, first, [column]).effects.summary()
        row: dict[str, Any] = {"task": task.name, "rule": task.group, "motif alone": interval(at(alone, 0, 0))}
        row |= position(model, plain, first, column, predictor.bin)
        if task.group == "without":
            veto = marginalize(model, plain, other[0], [column]).effects.summary()
            row["veto alone"] = interval(at(veto, 0, 0))
        if other:
            found = scan_spacing(model, plain, (first, other[0]), [column], [*NEAR, *FAR])
            for name, part in (("joint", found.joint), ("interaction", found.interaction)):
                for where, some in (("near", slice(0, len(NEAR))), ("far", slice(len(NEAR), None))):
                    values = part.values[:, :, some].mean(axis=(1, 2), keepdims=True)
                    row[f"{name} {where}"] = interval(at(type(part)(values, part.source).summary(), 0, 0, 0))
        rows.append(row)
    return rows


def designs(predictor: Predictor, store: Store, tasks: list[str], budgets: list[int], edits: int | None) -> list[Any]:
    windows, rows = store.read_codes(store.indices("test")), []
    for task in tasks:
        for method in METHODS:
            for budget in budgets:
                settings = DesignConfig.model_validate({"method": method, "evaluations": budget, "most_edits": edits})
                made = design_sequences(predictor, task, settings, windows=windows)
                assert made.reference is not None
                rows.append({
                    "task": task, "method": method, "budget": budget, "used": made.evaluations,
                    "mean": float(np.mean(made.score["after"])), "lowest": min(made.score["after"]),
                    "highest": max(made.score["after"]), "edits": float(np.mean(made.edits)),
                    "seconds": made.seconds, "windows 99.9%": made.reference["quantiles"]["0.999"],
                    "above 99.9%": sum(share > 0.999 for share in made.reference["share_below"]),
                })  # fmt: skip
                print(rows[-1], file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--backgrounds", type=int, default=50)
    parser.add_argument("--design", default="")
    parser.add_argument("--budgets", default="300,1000,3000")
    parser.add_argument("--edits", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    predictor, store = noncoder.load(options.run), noncoder.open_store(options.run / "data.zarr")
    if options.design:
        budgets = [int(budget) for budget in options.budgets.split(",")]
        rows = designs(predictor, store, options.design.split(","), budgets, options.edits)
    else:
        motifs = {motif.name: motif for motif in read_meme(motifs_path(store.path))}
        rows = truth(predictor, store, motifs, options.backgrounds)
    if options.json:
        print(json.dumps({"longest gap of a pair, bp": MAX_GAP, "rows": rows}))
        return
    for row in rows:
        print(
            "  ".join(
                f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            )
        )


if __name__ == "__main__":
    main()
