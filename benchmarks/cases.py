"""Runs inputs that once went wrong through the command line, and prints a line a case.

    python benchmarks/cases.py FOLDER [CASE ...]

FOLDER holds one folder a case, and `genome.fa`. A case is right where every line of it says ok; the exit code is 1
where one is wrong. Everything is written to a temporary folder.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

import noncoder
from noncoder.data.store import Store
from noncoder.errors import NoncoderError
from noncoder.sequence.encoding import decode
from noncoder.sequence.genome import Genome
from noncoder.sequence.motifs import read_meme

PEAKS = {"chr1:1200", "chr1:5000", "chr2:3400", "chr3:1200"}
COMPLEMENT = str.maketrans("ACGT", "TGCA")


class Result(NamedTuple):
    """What one variant of a case gave."""

    variant: str
    right: bool
    detail: str


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    text: str
    seconds: float

    @property
    def refused(self) -> bool:
        """Whether it ended as a mistake of the user does."""
        return self.code == 2 and "Traceback" not in self.text

    def first_line(self) -> str:
        """The message, else the last line that was printed."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        message = next((line for line in lines if line.startswith("noncoder:")), lines[-1] if lines else "")
        return f"exit {self.code}: {message[:150]}"


class Bench:
    """Commands in a temporary folder.

    Args:
        cases: The folder with the cases.
        work: Where everything is written.
    """

    def __init__(self, cases: Path, work: Path) -> None:
        self.cases, self.work = cases, work

    def call(self, *arguments: object, limit: float = 900) -> Done:
        """Runs `noncoder` with the arguments, for at most so many seconds."""
        began = time.perf_counter()
        command = [sys.executable, "-m", "noncoder", *map(str, arguments)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", cwd=self.work, timeout=limit
            )
        except subprocess.TimeoutExpired:
            return Done(-1, f"did not end within {limit} s", limit)
        return Done(done.returncode, done.stdout + done.stderr, time.perf_counter() - began)

    def build(self, *options: object, genome: Path | None = None) -> tuple[Done, Store | None]:
        """Builds a store; None where that fails."""
        out = self.work / f"{len(list(self.work.iterdir()))}.zarr"
        fasta = genome or self.cases / "genome.fa"
        done = self.call("data", "build", "--genome", fasta, "--min-positives", 1, *options, out)
        return done, noncoder.open_store(out) if done.code == 0 else None

    def pack(self, table: Path, *options: object) -> tuple[Done, Store | None]:
        """Packs a table; None where that fails."""
        out = self.work / f"{len(list(self.work.iterdir()))}.zarr"
        done = self.call("data", "pack", "--table", table, *options, out)
        return done, noncoder.open_store(out) if done.code == 0 else None

    def trained(self, length: int) -> Path:
        """A predictor of a few seconds' training for windows of a length."""
        run = self.work / f"trained{length}"
        if not run.exists():
            rng = np.random.default_rng(0)
            rows = [
                f"{''.join(rng.choice(list('ACGT'), length))},{i // 2 % 2},{split}"
                for i, split in enumerate(["train"] * 16 + ["valid", "test"] * 4)
            ]
            table = self.work / f"trained{length}.csv"
            table.write_text("sequence,t,split\n" + "\n".join(rows) + "\n")
            _, store = self.pack(table, "--split-column", "split")
            assert store is not None
            done = self.train(store, run)
            assert done.code == 0, done.text
        return run

    def train(self, store: Store, run: Path, *overrides: str) -> Done:
        """Trains a small network for one epoch."""
        recipe = self.work / "small.yaml"
        recipe.write_text("model: {name: compact, parameters: {channels: 8}}\ntrain: {epochs: 1, batch_size: 16}\n")
        return self.call("train", recipe, f"data.store={store.path}", f"run={run}", *overrides)


def bins(store: Store) -> set[str]:
    """The labelled bins of a store, as chrom:start."""
    chroms, starts = store.bins(store.indices())
    return {f"{chrom}:{start}" for chrom, start in zip(chroms, starts, strict=True)}


def dropped(store: Store) -> str:
    """What was left out of a store."""
    return "; ".join(f"{drop['count']} {drop['what']}: {drop['why']}" for drop in store.info.dropped)


def read_plain(path: Path) -> dict[str, str]:
    """The records of a FASTA file, by the simplest reader."""
    text = path.read_text(encoding="utf-8-sig")  # reads every kind of line end
    return {
        record.split("\n", 1)[0].split()[0]: "".join(record.split("\n")[1:]).upper() for record in text.split(">")[1:]
    }


def built(expected: set[str], refusable: bool = False, *options: str) -> Callable[[Bench, Path], Iterator[Result]]:
    """A check of peak files: the store has these bins, or, where that is right too, the file is refused."""

    def check(bench: Bench, folder: Path) -> Iterator[Result]:
        for peaks in sorted(path for path in folder.iterdir() if path.suffix in (".bed", ".narrowPeak", ".xls")):
            done, store = bench.build("--peaks", peaks, "--label", "summit", *options)
            found = bins(store) if store else set()
            right = found == expected or (refusable and done.refused)
            yield Result(peaks.name, right, " ".join(sorted(found)) or done.first_line())

    return check


def negative_start(bench: Bench, folder: Path) -> Iterator[Result]:
    peaks = folder / "neg.bed"
    done, store = bench.build("--peaks", peaks, "--label", "summit", "--outside", "drop")
    right = store is not None and bins(store) == {"chr1:5200", "chr2:3200", "chr3:1200"} and "1 peak" in dropped(store)
    yield Result("--outside drop", right, dropped(store) if store else done.first_line())
    done, _ = bench.build("--peaks", peaks, "--label", "summit")
    yield Result("without", done.refused and "--outside drop" in done.text, done.first_line())


def label_nothing(bench: Bench, folder: Path) -> Iterator[Result]:
    done, store = bench.build("--peaks", folder / "narrow.bed")
    right = store is not None and bins(store) == {"chr1:5000", "chr1:5200"}
    right &= store is not None and "2 peaks" in dropped(store) and "--label summit" in done.text
    yield Result("narrow.bed", right, dropped(store) if store else done.first_line())
    done, _ = bench.build("--peaks", folder / "summits.bed")
    yield Result("summits.bed", done.refused and "--label summit" in done.text, done.first_line())


def split_list(bench: Bench, folder: Path) -> Iterator[Result]:
    option, value = (folder / "args.txt").read_text().strip().split(" ", 1)
    peaks = bench.cases / "narrowpeak-trailing-tab" / "trailtab.narrowPeak"
    done, store = bench.build("--peaks", peaks, "--label", "summit", option, value.strip('"'))
    found = set() if store is None else set(store.bins(store.indices("valid"))[0].tolist())
    yield Result(f"{option} {value}", found == {"chr2", "chr3"}, f"valid: {sorted(found)}; {done.first_line()}")


def zero_length(bench: Bench, folder: Path) -> Iterator[Result]:
    done, store = bench.build("--peaks", folder / "zero.bed", "--label", "summit")
    right = store is not None and bins(store) == {"chr1:5200", "chr2:3200", "chr3:1200"} and "1 " in dropped(store)
    right |= done.refused and "ends before it starts" not in done.text
    yield Result("zero.bed", right, dropped(store) if store else done.first_line())
    peaks = bench.cases / "narrowpeak-trailing-tab" / "trailtab.narrowPeak"
    done, store = bench.build("--peaks", peaks, "--label", "summit", "--exclude", folder / "bl_zero.bed")
    right = store is not None and bins(store) == PEAKS - {"chr1:5000"}
    right |= done.refused and "ends before it starts" not in done.text
    yield Result("bl_zero.bed", right, dropped(store) if store else done.first_line())


def zero_padded(bench: Bench, folder: Path) -> Iterator[Result]:
    done, store = bench.build("--peaks", folder / "a.bed", "--label", "summit")
    found = bins(store) if store else set()
    yield Result("a.bed", found == {"chr1:1200", "chr2:3200"} or done.refused, " ".join(found) or done.first_line())


def fasta_odd(bench: Bench, folder: Path) -> Iterator[Result]:
    for path in sorted(folder.glob("*.fa")):
        try:
            with Genome(path) as genome:
                found = {name: decode(genome.contig(name)) for name in genome.lengths}
            yield Result(path.name, found == read_plain(path), f"read: {found}")
        except NoncoderError as error:
            yield Result(path.name, True, f"refused: {error.found}")


def fasta_duplicate(bench: Bench, folder: Path) -> Iterator[Result]:
    for name, duplicate in (("bgdup.fa.gz", ""), ("bgdup.fa", ""), ("faidup.fa", "'a'"), ("samefirst.fa", "'seq'")):
        if not (folder / name).exists():
            continue
        copy = bench.work / name
        for file in folder.glob(f"{name}*"):
            shutil.copy2(file, bench.work)
        os.utime(copy, (time.time() - 3600,) * 2)
        done = bench.call("predict", bench.trained(400), copy, "--out", bench.work / f"{name}.tsv")
        rows = (bench.work / f"{name}.tsv").read_text().count("\n") - 1 if done.code == 0 else 0
        yield Result(name, (done.refused and duplicate in done.text) or rows == 6, done.first_line())


def fasta_stale(bench: Bench, folder: Path) -> Iterator[Result]:
    peaks = bench.cases / "narrowpeak-trailing-tab" / "trailtab.narrowPeak"
    for path in sorted(folder.glob("*.fa")):
        for age in (3600, -3600):
            copy = bench.work / path.name
            shutil.copy2(path, copy)
            index = Path(shutil.copy2(f"{path}.fai", bench.work))
            os.utime(copy, (time.time() - age,) * 2)
            os.utime(index)
            done, store = bench.build("--peaks", peaks, "--label", "summit", genome=copy)
            right = done.refused
            if store is not None:
                truth = read_plain(path)
                flank = (store.window - store.bin) // 2
                chroms, starts = store.bins(store.indices())
                read = [decode(codes) for codes in store.read_codes(store.indices())]
                right = bins(store) == PEAKS and all(
                    text == truth[chrom][at - flank : at - flank + store.window].rjust(store.window, "N")
                    for text, chrom, at in zip(read, chroms, starts, strict=True)
                )
            yield Result(f"{path.name}, index {'newer' if age > 0 else 'older'}", right, done.first_line())


def machine(bench: Bench, folder: Path) -> Iterator[Result]:
    peaks = bench.cases / "narrowpeak-trailing-tab" / "trailtab.narrowPeak"
    done, _ = bench.build("--peaks", peaks, genome=folder / "bad.fa")
    yield Result("bad.fa", done.refused and bool(re.search(r"chr\w+", done.text)), done.first_line())
    done, store = bench.pack(folder / "cr.csv")
    yield Result("cr.csv", done.refused or (store is not None and len(store) > 1), done.first_line())
    done, store = bench.pack(folder / "q.csv")
    names = [task.name for task in store.tasks] if store else []
    yield Result("q.csv", names == ['say "hi"'], f"tasks {names}")
    for name in ("deep.yaml", "bomb.yaml"):
        done = bench.call("run", folder / name, limit=30)
        yield Result(name, done.refused and done.seconds < 5, f"{done.seconds:.1f} s, {done.first_line()}")
    for name in ("t", "host"):
        for file in ("t.yaml", f"{name}.csv"):
            shutil.copy(folder / file, bench.work)
        done = bench.call("run", "t.yaml", f"data.pack.table={name}.csv", f"run=run_{name}")
        run = bench.work / f"run_{name}"
        tasks = len(noncoder.load(run).tasks) if done.code == 0 else 0
        expected = len(next(csv.reader((folder / f"{name}.csv").open(newline="")))) - 3
        right = done.code == 0 and (run / "report.html").is_file() and tasks == expected
        yield Result(f"{name}.csv, run", right, f"{tasks} of {expected} tasks; {done.first_line()}")


def meme(bench: Bench, folder: Path) -> Iterator[Result]:
    for path in sorted(folder.glob("*.meme")):
        expected = path.read_text(encoding="utf-8-sig").count("letter-probability matrix")
        try:
            found = len(read_meme(path))
            yield Result(path.name, found == expected, f"{found} of {expected} matrices")
        except NoncoderError as error:
            yield Result(path.name, False, f"refused: {error.found}")


def predict_record(bench: Bench, folder: Path) -> Iterator[Result]:
    done, store = bench.pack(folder / "taskrecord.csv")
    if store is None:
        yield Result("taskrecord.csv", done.refused, done.first_line())
        return
    done = bench.train(store, bench.work / "record")
    fasta = bench.work / "record.fa"
    fasta.write_text("".join(f">w{i}\n{decode(codes)}\n" for i, codes in enumerate(store.read_codes([0, 1, 2]))))
    done = bench.call("predict", bench.work / "record", fasta, "--out", bench.work / "record.tsv")
    text = (bench.work / "record.tsv").read_text() if done.code == 0 else ""
    kept = all(f"w{i}" in text for i in range(3)) and len(text.split("\n", 1)[0].split("\t")) == 3
    yield Result("taskrecord.csv", kept or done.refused, text.split("\n", 1)[0] or done.first_line())


def parquet_list(bench: Bench, folder: Path) -> Iterator[Result]:
    for path in sorted(folder.glob("*.parquet")):
        done, store = bench.pack(path)
        yield Result(path.name, done.refused or store is not None, done.first_line())


def reverse_complement(bench: Bench, folder: Path) -> Iterator[Result]:
    for path in sorted(folder.glob("*.csv")):
        done, store = bench.pack(path)
        if store is None:
            yield Result(path.name, False, done.first_line())
            continue
        splits: dict[str, set[int]] = {}
        for codes, split in zip(store.read_codes(store.indices()), store.split, strict=True):
            text = decode(codes)
            splits.setdefault(min(text, text[::-1].translate(COMPLEMENT)), set()).add(int(split))
        apart = sum(len(found) > 1 for found in splits.values())
        right = apart == 0 and len(splits) < len(store)
        yield Result(path.name, right, f"{apart} of {len(splits)} sequences in several splits, {len(store)} windows")


def split_ignored(bench: Bench, folder: Path) -> Iterator[Result]:
    done, store = bench.pack(folder / "split.csv")
    table = pl.read_csv(folder / "split.csv")
    of = dict(zip(table["sequence"], table["split"], strict=True))
    used = store is not None and all(
        of[decode(codes)] == ("train", "valid", "test")[split]
        for codes, split in zip(store.read_codes(store.indices()), store.split, strict=True)
    )
    yield Result("split.csv", used and "'split'" in done.text, f"column used: {used}")


def true_false(bench: Bench, folder: Path) -> Iterator[Result]:
    for path in sorted(folder.glob("*.csv")):
        done, store = bench.pack(path)
        if store is None:
            yield Result(path.name, False, done.first_line())
            continue
        names = [task.name for task in store.tasks]
        table = pl.read_csv(path, infer_schema=False)
        ones = [table[name].str.to_lowercase().is_in(["1", "true"]).sum() for name in ("A", "B")]
        right = names == ["A", "B"] and store.positives().tolist() == ones
        yield Result(path.name, right, f"tasks {names}, positives {store.positives().tolist()}")


def last_batch(bench: Bench, folder: Path) -> Iterator[Result]:
    out = bench.work / "tt"
    out.mkdir(exist_ok=True)
    bench.call("data", "pack", "--table", folder / "wr.csv", "--split-column", "split", out / "wr.zarr")
    for recipe in sorted(folder.glob("*.yaml")):
        done = bench.call("train", recipe)
        yield Result(recipe.name, done.code == 0, done.first_line())
    _, store = bench.pack(folder / "l8.csv", "--split-column", "split")
    if store is not None:
        for size in (4, 8, 16, 32):
            done = bench.train(store, bench.work / f"l8.{size}", f"train.batch_size={size}")
            yield Result(f"l8.csv, batches of {size}", done.code == 0, done.first_line())


def valid_one_class(bench: Bench, folder: Path) -> Iterator[Result]:
    for name in ("ov", "an"):
        _, store = bench.pack(folder / f"{name}.csv", "--split-column", "split")
        assert store is not None
        run = (folder / "tr.yaml", f"data.store={store.path}", f"run={bench.work / name}")
        done = bench.call("train", *run)
        if name == "an":  # its task has no positive at all, which training refuses by default
            yield Result("an.csv", done.refused and "A" in done.text, done.first_line())
            done = bench.call("train", *run, "train.one_class=keep")
        yield Result(f"{name}.csv, to the end", done.code == 0 and "undefined" in done.text, done.first_line())


CHECKS: dict[str, Callable[[Bench, Path], Iterator[Result]]] = {
    "bed-10-columns-not-narrowpeak": built({"chr1:1200", "chr1:5200", "chr2:3200", "chr3:1200"}),
    "chrom-trailing-space": built({"chr1:1200", "chr1:5200", "chr2:3200"}),
    "chrom-zero-padded": zero_padded,
    "cr-only-bed4": built({"chr1:1200", "chr1:5200", "chr2:3200", "chr3:1200"}, True),
    "cr-only-narrowpeak": built(PEAKS, True),
    "fasta-cr-bom-blank": fasta_odd,
    "fasta-duplicate-bgzip": fasta_duplicate,
    "fasta-first-word": fasta_duplicate,
    "fasta-stale-fai": fasta_stale,
    "idr-20-columns": built(PEAKS),
    "machine": machine,
    "macs-xls": built(PEAKS, True),
    "meme-minimal": meme,
    "narrowpeak-first-row-short": built(PEAKS | {"chr1:800"}, True),
    "narrowpeak-trailing-tab": built(PEAKS),
    "negative-start": negative_start,
    "peaks-that-label-nothing": label_nothing,
    "predict-task-record": predict_record,
    "split-list-with-space": split_list,
    "summit-float": built(PEAKS),
    "table-parquet-list": parquet_list,
    "table-reverse-complement": reverse_complement,
    "table-split-ignored": split_ignored,
    "table-true-false": true_false,
    "train-last-batch-of-one": last_batch,
    "train-valid-one-class": valid_one_class,
    "zero-length": zero_length,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("case", nargs="*", help="only these")
    options = parser.parse_args()
    folders = sorted(path for path in options.folder.resolve().iterdir() if path.is_dir())
    wrong = 0
    for folder in folders:
        if options.case and folder.name not in options.case:
            continue
        if folder.name not in CHECKS:
            print(f"no check    {folder.name}")
            continue
        with tempfile.TemporaryDirectory() as work:
            for result in CHECKS[folder.name](Bench(folder.parent, Path(work)), folder):
                wrong += not result.right
                print(f"{'ok   ' if result.right else 'WRONG'} {folder.name}: {result.variant}: {result.detail}")
                sys.stdout.flush()
    print(f"{wrong} wrong" if wrong else "all right")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
