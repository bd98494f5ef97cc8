"""A motif scan against a trained network, protein by protein: what has the network not learned?

The scan's score of a window is the best match of the protein's own JASPAR matrix in the labelled bin, on either strand.

    python benchmarks/scan_against_model.py runs/yeast [--tasks Reb1,Abf1] [--split test] [--taxon fungi]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

import noncoder
from noncoder.data.store import Store
from noncoder.metrics import rank
from noncoder.runs.run_recipe import read_run
from noncoder.sequence.motifs import Motif, load_jaspar, scan


def scan_scores(store: Store, split: str, motif: Motif) -> np.ndarray:
    """The best log-odds score in each window's bin, (n, 1)."""
    flank = (store.window - store.bin) // 2
    bins = store.read_codes(store.indices(split))[:, flank : flank + store.bin]
    lowest = float(motif.pwm().min(axis=0).sum())
    hits = scan(bins, motif, lowest)
    scores = np.full(len(bins), lowest, dtype=np.float32)
    np.maximum.at(scores, hits.sequence, hits.score.astype(np.float32))
    return scores[:, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--tasks", default="Reb1,Abf1,Rap1,Cbf1,Mcm1")
    parser.add_argument("--split", default="test")
    parser.add_argument("--taxon", default="fungi")
    options = parser.parse_args()
    store = noncoder.open_store(read_run(options.run).store)
    columns = {task.name: i for i, task in enumerate(store.tasks)}
    measured = pl.read_parquet(options.run / "evaluate" / options.split / "tasks.parquet")
    labels = store.read_labels(store.indices(options.split))
    print("protein  matrix     positives  scan AUROC    AP   network AUROC    AP")
    for name in options.tasks.split(","):
        (motif,) = load_jaspar([name.upper()], taxon=options.taxon)
        scanned = rank(scan_scores(store, options.split, motif), labels[:, [columns[name]]])
        row = measured.row(by_predicate=pl.col("task") == name, named=True)
        print(
            f"{name:8} {motif.id:10} {row['positives']:9}  {scanned.auroc[0]:10.3f} {scanned.average_precision[0]:.3f}"
            f"  {row['auroc']:13.3f} {row['average_precision']:.3f}"
        )


if __name__ == "__main__":
    main()
