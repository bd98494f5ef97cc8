"""`noncoder data build` at the scale of a human genome: seconds and peak memory.

Makes a genome of 24 chromosomes (3 Gb, plain FASTA) and 919 narrowPeak files of 100,000 peaks each, 150 to 2,000 bp
wide, half of them at places that many files share, and builds a store of them in a process of its own, by DeepSEA's
rules (more than half of a 200-bp bin; bins that any task labels are kept).

    python benchmarks/build.py --folder SCRATCH            # 9 GB of files
    python benchmarks/build.py --megabases 300 --files 100 --peaks 20000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

CHROMOSOMES = [*map(str, range(1, 23)), "X", "Y"]
LINE = 60

BUILD = """
import resource, sys, time
began = time.perf_counter()
from noncoder.__main__ import main
try:
    main()
finally:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print("FIGURES", time.perf_counter() - began, memory, file=sys.stderr)
"""


def make_genome(path: Path, megabases: float) -> dict[str, int]:
    """Chromosomes from long to short, as in the human genome the first five times the last."""
    share = np.linspace(5, 1, len(CHROMOSOMES))
    lengths = (share / share.sum() * megabases * 1e6 / LINE).astype(int) * LINE
    rng, letters = np.random.default_rng(0), np.frombuffer(b"ACGT", dtype=np.uint8)
    with path.open("wb") as file:
        for name, length in zip(CHROMOSOMES, lengths, strict=True):
            file.write(f">chr{name}\n".encode())
            for at in range(0, length, LINE << 20):
                codes = rng.integers(0, 4, min(LINE << 20, length - at), dtype=np.uint8)
                lines = np.full((codes.size // LINE, LINE + 1), ord("\n"), dtype=np.uint8)
                lines[:, :LINE] = letters[codes].reshape(-1, LINE)
                file.write(lines.tobytes())
    return {f"chr{name}": int(length) for name, length in zip(CHROMOSOMES, lengths, strict=True)}


def make_peaks(folder: Path, lengths: dict[str, int], files: int, peaks: int) -> None:
    rng = np.random.default_rng(1)
    names, sizes = np.array(list(lengths)), np.array(list(lengths.values()))
    ends = np.cumsum(sizes)
    shared = np.sort(rng.integers(0, ends[-1], peaks * 5))
    for i in range(files):
        here = np.concatenate([
            rng.choice(shared, peaks // 2) + rng.integers(-100, 100, peaks // 2),
            rng.integers(0, ends[-1], peaks - peaks // 2),
        ])  # fmt: skip
        here = np.sort(np.clip(here, 0, ends[-1] - 1))
        chrom = np.searchsorted(ends, here, side="right")
        width = rng.integers(150, 2000 if i % 8 == 0 else 500, peaks)
        start = np.clip(here - (ends - sizes)[chrom], 0, sizes[chrom] - 2001)
        dots = ["."] * peaks
        table = pl.DataFrame({
            "chrom": names[chrom], "start": start, "end": start + width, "name": dots,
            "score": rng.integers(0, 1000, peaks), "strand": dots, "signal": rng.random(peaks).round(4),
            "p": [-1.0] * peaks, "q": [-1.0] * peaks, "summit": width // 2,
        })  # fmt: skip
        table.write_csv(folder / f"task{i:03d}.narrowPeak", separator="\t", include_header=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabases", type=float, default=3000)
    parser.add_argument("--files", type=int, default=919)
    parser.add_argument("--peaks", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the files go; by default a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        began = time.perf_counter()
        lengths = make_genome(folder / "genome.fa", options.megabases)
        make_peaks(folder, lengths, options.files, options.peaks)
        made = time.perf_counter() - began
        run = subprocess.run(
            [
                sys.executable, "-c", BUILD, "data", "build", "--genome", folder / "genome.fa",
                "--peaks", folder / "*.narrowPeak", "--label", "overlap:0.5", "--keep", "labelled",
                "--valid", "chr7:30,508,751-35,296,850" if options.megabases >= 3000 else "chr7", "--test", "chr8,chr9",
                "--json", folder / "s.zarr",
            ],
            capture_output=True, text=True,
        )  # fmt: skip
        if run.returncode:
            sys.exit(run.stderr)
        seconds, memory = map(float, run.stderr.split("FIGURES")[1].split())
        store = json.loads(run.stdout)
        result = {key: store[key] for key in ("windows", "tasks", "bases", "positives", "bytes")}
        print(json.dumps(result | {
            "megabases": options.megabases, "files": options.files, "peaks_a_file": options.peaks,
            "making_the_files_s": round(made), "build_s": round(seconds, 1), "peak_GB": round(memory / 1e9, 2),
            "cores": os.cpu_count(),
        }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
