"""Which 200-bp bins are more than half covered by one task's peaks: our labelling beside libraries for intervals.

100,000 peaks over 24 chromosomes of 3 Gb. Each library does it the way that its documentation offers: bioframe and
polars-bio merge the peaks and measure the coverage of the bins that a peak reaches, PyRanges tiles merged peaks. The
answers are compared before anything is timed. The libraries are not among the requirements:

    pip install bioframe pyranges1 polars-bio
    python benchmarks/intervals.py
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from noncoder.data.labels import positive_bins

BIN = 200
LENGTHS = {f"chr{i + 1}": int(220e6 - 8e6 * i) for i in range(24)}

Peaks = dict[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]
Bins = dict[str, npt.NDArray[np.int64]]


def make_peaks(n: int) -> Peaks:
    rng = np.random.default_rng(0)
    total = sum(LENGTHS.values())
    peaks: Peaks = {}
    for name, length in LENGTHS.items():
        start = np.sort(rng.integers(0, length - 2000, int(n * length / total))).astype(np.int32)
        peaks[name] = start, start + rng.integers(150, 1000, start.size).astype(np.int32)
    return peaks


def ours(peaks: Peaks) -> Bins:
    return {
        name: positive_bins(start, end, (start + end) // 2, BIN, LENGTHS[name] // BIN, "overlap:0.5")
        for name, (start, end) in peaks.items()
    }


def reached(peaks: Peaks, pandas: Any) -> Any:
    """A table of the bins that a peak reaches, for the libraries that measure the coverage of given intervals."""
    tables = []
    for name, (start, end) in peaks.items():
        first, last = start // BIN, (end - 1) // BIN
        spans = last - first + 1
        bins = np.unique(np.repeat(first, spans) + np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans))
        tables.append(pandas.DataFrame({"chrom": name, "start": bins * BIN, "end": (bins + 1) * BIN}))
    return pandas.concat(tables, ignore_index=True)


def as_table(peaks: Peaks, pandas: Any, names: tuple[str, str, str] = ("chrom", "start", "end")) -> Any:
    parts = [pandas.DataFrame(dict(zip(names, (name, *pair), strict=True))) for name, pair in peaks.items()]
    return pandas.concat(parts, ignore_index=True)


def collect(chrom: Any, start: Any) -> Bins:
    chrom, start = np.asarray(chrom), np.asarray(start)
    return {name: np.sort(start[chrom == name]).astype(np.int64) // BIN for name in LENGTHS}


def with_bioframe(peaks: Peaks) -> Callable[[], Bins]:
    bioframe, pandas = importlib.import_module("bioframe"), importlib.import_module("pandas")
    table = as_table(peaks, pandas)

    def run() -> Bins:
        found = bioframe.coverage(reached(peaks, pandas), bioframe.merge(table))
        found = found[found["coverage"] > BIN // 2]
        return collect(found["chrom"], found["start"])

    return run


def with_pyranges(peaks: Peaks) -> Callable[[], Bins]:
    pyranges, pandas = importlib.import_module("pyranges"), importlib.import_module("pandas")
    ranges = pyranges.PyRanges(as_table(peaks, pandas, ("Chromosome", "Start", "End")))

    def run() -> Bins:
        tiles = ranges.merge_overlaps().tile_ranges(BIN, overlap_column="share")
        share = tiles.groupby(["Chromosome", "Start"], as_index=False, observed=True)["share"].sum()
        share = share[(share["share"] * BIN).round() > BIN // 2]
        return collect(share["Chromosome"], share["Start"])

    return run


def with_polars_bio(peaks: Peaks) -> Callable[[], Bins]:
    bio, pandas = importlib.import_module("polars_bio"), importlib.import_module("pandas")
    polars = importlib.import_module("polars")
    bio.set_option("datafusion.bio.coordinate_system_zero_based", True)
    bio.set_option("datafusion.bio.coordinate_system_check", False)
    warnings.simplefilter("ignore")  # that a table made here does not say that it counts from 0
    table = polars.from_pandas(as_table(peaks, pandas))
    columns = ["chrom", "start", "end"]

    def run() -> Bins:
        merged = bio.merge(table, cols=columns, output_type="polars.DataFrame").select(columns)
        bins = polars.from_pandas(reached(peaks, pandas))
        found = bio.coverage(bins, merged, cols1=columns, cols2=columns, output_type="polars.DataFrame")
        found = found.filter(polars.col("coverage") > BIN // 2)
        return collect(found["chrom"].to_numpy(), found["start"].to_numpy())

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peaks", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    peaks = make_peaks(options.peaks)
    ways: dict[str, Callable[[], Bins]] = {"noncoder": lambda: ours(peaks)}
    results: dict[str, Any] = {}
    for name, make in (("bioframe", with_bioframe), ("pyranges1", with_pyranges), ("polars-bio", with_polars_bio)):
        try:
            ways[name] = make(peaks)
        except (ImportError, SyntaxError) as error:  # pyranges1 is written for Python 3.12
            results[name] = f"left out: {error}"
    wanted = ours(peaks)
    for name, way in list(ways.items()):
        found = way()
        unlike = sum(np.setxor1d(wanted[chrom], found[chrom]).size for chrom in LENGTHS)
        if unlike:
            results[name] = f"left out: {unlike} bins differ"
            del ways[name]
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            rounds[name].append(time.perf_counter() - began)
    bins = sum(found.size for found in wanted.values())
    results |= {name: round(statistics.median(times), 4) for name, times in rounds.items()}
    print(json.dumps({"peaks": options.peaks, "positive_bins": bins, "seconds": results}, indent=1))


if __name__ == "__main__":
    main()
