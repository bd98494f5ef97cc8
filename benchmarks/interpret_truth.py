"""Interpretation against the truth: planted bases found by attributions, planted motifs recovered by name.

    python benchmarks/interpret_truth.py                       # trains recipes/demo.yaml, and again on shuffled labels
    python benchmarks/interpret_truth.py --run runs/demo --parts attribution --methods gradcam,deeplift,ism

Parts (`--parts`):

- `attribution`: for each method, the average precision of |attribution| a base against planted bases, in held-out
  positive windows of the tasks with a test AUROC over 0.9. Planted bases are those of the motifs that the task's rule
  asks for, inside the labelled bin. All else is negative: decoys, and the neighbours' sites in the flanks, which hold
  the same motifs and decide nothing. Once over the bases of the bin alone, once over those of the whole window; the
  mean over tasks, beside the mean share of planted bases, which is what guessing gives.
- `recovery`: for the same tasks, whether the motifs that the rule asks for are named among the patterns of the positive
  windows (of all splits; the held-out ones decide on names): among the significant matches, and as the best match. The
  database is JASPAR's latest matrices; `--database planted` adds those that were planted, where these are older ones.
  The motif that a "without" rule forbids is counted apart: it can be seen in negative contributions only.
- `shuffled`: the same model trained on labels of other windows. No pattern may be named, for any task.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.config import RunConfig, read_recipe, validate
from noncoder.data.simulate import MOTIF_IDS, Rule, list_rules, motifs_path, read_truth
from noncoder.data.store import Store, open_store
from noncoder.data.writer import StoreWriter
from noncoder.interpret.attribution import AttributionConfig, attribute, list_attributions
from noncoder.interpret.motifs import (
    HeldOut,
    Named,
    PatternConfig,
    find_patterns,
    load_database,
    middle_region,
    name_patterns,
)
from noncoder.metrics import auroc, average_precision
from noncoder.pipeline import make_data
from noncoder.predictor import Predictor, load
from noncoder.runs.folder import RunFolder
from noncoder.sequence.motifs import Motif, read_meme
from noncoder.train import train

RECIPE = Path(__file__).parents[1] / "recipes" / "demo.yaml"
GOOD = 0.9
PARTS = ("attribution", "recovery", "shuffled")


def trained_run(run: Path, store: Path | None = None, recipe: Path = RECIPE) -> Path:
    """The run of a recipe, trained; on another store where one is given."""
    values = read_recipe(recipe).model_dump() | {"run": run}
    if store is not None:
        values["data"] = {"store": store}
    config = validate(RunConfig, values, origin="the benchmark")
    if store is None:
        make_data(config)
    train(config)
    return run


def shuffle_labels(store: Store, path: Path, seed: int = 0) -> Store:
    """The same windows, each with the labels of another one."""
    labels = store.packed_labels[np.random.default_rng(seed).permutation(len(store))]
    codes = np.concatenate(list(store.code_blocks()))
    with StoreWriter(path, len(store.tasks), force=True) as writer:
        for name, offset, length in zip(*store.contigs, strict=True):
            writer.add_contig(name, codes[offset : offset + length])
        writer.add_windows(store.start, labels, store.split)
        writer.finish(store.info)
    return open_store(path)


class Truth:
    """A model on a simulated store, with what was planted there."""

    def __init__(self, predictor: Predictor, store: Store, planted: Path) -> None:
        self.predictor, self.store = predictor, store
        self.rules = list_rules(len(store.tasks))
        self.motifs: list[Motif] = read_meme(motifs_path(planted))
        assert len(self.motifs) == len(MOTIF_IDS)
        self.sites = read_truth(planted)
        self.labels = store.read_labels(store.indices()).astype(np.bool_)
        test = store.indices("test")
        self.auroc = auroc(predictor.predict_store(store, test), self.labels[test])

    def good(self) -> list[int]:
        """Tasks that the model classifies well."""
        return [int(task) for task in np.flatnonzero(self.auroc > GOOD)]

    def positives(self, task: int, most: int, held_out: bool) -> NDArray[np.int64]:
        """Positive windows, evenly taken from all of them or the held-out ones."""
        those = np.flatnonzero(self.labels[:, task] & ((self.store.split > 0) | (not held_out)))
        return those[np.linspace(0, those.size - 1, min(most, those.size)).astype(np.int64)]

    def wanted(self, rule: Rule) -> list[str]:
        """Names of the motifs that a rule asks for."""
        parts = rule.parts if rule.kind == "pair" else rule.parts[:1]
        return [self.motifs[part].name for part in parts]

    def forbidden(self, rule: Rule) -> list[str]:
        """The name of the motif that a rule forbids."""
        return [self.motifs[rule.other].name] if rule.kind == "without" else []

    def planted(self, task: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Bases of the rule's motifs inside the windows' bins, (n, L)."""
        window, bin = self.store.window, self.store.bin
        first = (window - bin) // 2
        mask = np.zeros((rows.size, window), dtype=np.bool_)
        frame = self.sites.filter(self.sites["motif"].is_in(self.wanted(self.rules[task])))
        places = {int(row): i for i, row in enumerate(rows)}
        _, starts = self.store.bins(rows)
        for row, start, end in frame.select("bin", "start", "end").iter_rows():
            if row in places:
                i = places[row]
                begin = first + start - int(starts[i])
                mask[i, begin : begin + end - start] = True
        return mask


def measure_attribution(truth: Truth, method: str, windows: int) -> dict[str, Any]:
    """Average precision of a method's absolute values against planted bases, the mean over the good tasks."""
    began = time.perf_counter()
    first = (truth.store.window - truth.store.bin) // 2
    middle = slice(first, first + truth.store.bin)
    found: dict[str, list[float]] = {"bin": [], "window": [], "prevalence_bin": [], "prevalence_window": []}
    read = 0
    for task in truth.good():
        rows = truth.positives(task, windows, held_out=True)
        mask = truth.planted(task, rows)
        rows, mask = rows[mask.any(axis=1)], mask[mask.any(axis=1)]  # without those that noise made positive
        codes = truth.store.read_codes(rows)
        strength = np.abs(attribute(truth.predictor.model, codes, task, method).projected)
        for name, part in (("bin", middle), ("window", slice(None))):
            scores, hits = strength[:, part].reshape(-1, 1), mask[:, part].reshape(-1, 1)
            found[name].append(float(average_precision(scores, hits)[0]))
            found[f"prevalence_{name}"].append(float(hits.mean()))
        read += rows.size
    means = {name: round(float(np.mean(values)), 4) for name, values in found.items()}
    return {"method": method, "windows": read, **means, "seconds": round(time.perf_counter() - began, 1)}


def name_task(truth: Truth, task: int, method: str, windows: int, database: Sequence[Motif]) -> list[Named]:
    """The patterns of a task, named where the gates allow."""
    codes = truth.store.read_codes(truth.positives(task, windows, held_out=False))
    few = AttributionConfig(references=5)  # over hundreds of windows more of them change no pattern
    values = attribute(truth.predictor.model, codes, task, method, few).values
    settings = PatternConfig(region=middle_region(truth.store.window, truth.store.bin))
    patterns = find_patterns(values, codes, settings)
    rows = np.flatnonzero(truth.store.split > 0)
    held_out = HeldOut.cut(truth.store.read_codes(rows), truth.labels[rows, task], truth.store.bin)
    return name_patterns(patterns.patterns, database, held_out)


def known_motifs(truth: Truth, which: str) -> list[Motif]:
    """JASPAR's latest motifs, and the planted ones where they are asked for."""
    latest = list(load_database())
    ids = {motif.id for motif in latest}
    return latest + [motif for motif in truth.motifs if which == "planted" and motif.id not in ids]


def measure_recovery(
    truth: Truth, tasks: Sequence[int], method: str, windows: int, database: Sequence[Motif]
) -> list[dict[str, Any]]:
    """What is named for each task, and whether it is what was planted."""
    rows = []
    for task in tasks:
        began = time.perf_counter()
        named = name_task(truth, task, method, windows, database)
        right = [one for one in named if one.name is not None]
        row: dict[str, Any] = {"task": truth.store.tasks[task].name, "auroc": round(float(truth.auroc[task]), 4)}
        for kind, names, sign in (
            ("wanted", truth.wanted(truth.rules[task]), "positive"),
            ("forbidden", truth.forbidden(truth.rules[task]), "negative"),
        ):
            row[kind] = [
                {
                    "motif": name,
                    "matched": any(_is(name, m.name) for one in right if one.pattern.sign == sign for m in one.matches),
                    "best": any(_is(name, one.name or "") for one in right if one.pattern.sign == sign),
                }
                for name in names
            ]
        row["named"] = [f"{one.pattern.name}:{one.name}" for one in right]
        row["stopped"] = [f"{one.pattern.name} [{one.stopped}] {one.why}" for one in named if one.stopped]
        row["seconds"] = round(time.perf_counter() - began, 1)
        rows.append(row)
        print(json.dumps({key: value for key, value in row.items() if key != "stopped"}), flush=True)
    return rows


def _is(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts over the tasks."""
    counts: dict[str, Any] = {}
    for kind in ("wanted", "forbidden"):
        motifs = [motif for row in rows for motif in row[kind]]
        counts[kind] = {
            "motifs": len(motifs),
            "matched": sum(motif["matched"] for motif in motifs),
            "best": sum(motif["best"] for motif in motifs),
        }
    counts["named"] = sum(len(row["named"]) for row in rows)
    return counts


def main() -> None:
    """Trains where nothing is given, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a trained run on a simulated store, data.zarr in its folder")
    parser.add_argument("--shuffled-run", type=Path, help="where the run on shuffled labels is, or will be")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--methods", default=",".join(list_attributions()))
    parser.add_argument("--method", default="deeplift", help="that of the patterns")
    parser.add_argument("--windows", type=int, default=400, help="positive windows of a task for the patterns")
    parser.add_argument("--database", choices=("latest", "planted"), default="latest")
    parser.add_argument("--held-out", type=int, default=20, help="positive windows of a task for `attribution`")
    parser.add_argument("--json", type=Path, help="where to write all that was measured")
    options = parser.parse_args()
    parts = options.parts.split(",")
    with tempfile.TemporaryDirectory() as folder:
        run = options.run or trained_run(Path(folder) / "run")
        planted = RunFolder(run).path / "data.zarr"
        truth = Truth(load(run), open_store(planted), planted)
        print(f"{len(truth.good())} of {len(truth.auroc)} tasks with a test AUROC over {GOOD}", flush=True)
        result: dict[str, Any] = {"auroc": truth.auroc.round(4).tolist()}
        if "attribution" in parts:
            result["attribution"] = []
            for method in options.methods.split(","):
                result["attribution"].append(measure_attribution(truth, method, options.held_out))
                print(json.dumps(result["attribution"][-1]), flush=True)
        if "recovery" in parts:
            known = known_motifs(truth, options.database)
            rows = measure_recovery(truth, truth.good(), options.method, options.windows, known)
            result["recovery"] = {"tasks": rows, "method": options.method, **summarise(rows)}
            print(json.dumps(summarise(rows)), flush=True)
        if "shuffled" in parts:
            other = options.shuffled_run or Path(folder) / "shuffled"
            store = shuffle_labels(truth.store, Path(folder) / "shuffled.zarr")
            if not (other / "predictor").is_dir():
                trained_run(other, store.path)
            chance = Truth(load(other), store, planted)
            known = known_motifs(chance, options.database)
            rows = measure_recovery(chance, range(len(store.tasks)), options.method, options.windows, known)
            result["shuffled"] = {"tasks": rows, "named": summarise(rows)["named"]}
            print(f"shuffled labels: {result['shuffled']['named']} patterns named", flush=True)
        if options.json:
            options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
