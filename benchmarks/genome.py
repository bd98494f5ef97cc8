"""Opening a FASTA and reading it, beside htslib (pysam) without an index: seconds of processor time for 100 MB.

python benchmarks/genome.py --megabases 300
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam

from noncoder.sequence.genome import Genome, Interval

CONTIGS, LINE, FETCHES = 5, 60, 2_000


def make(path: Path, megabases: float) -> None:
    rng, letters = np.random.default_rng(0), np.frombuffer(b"ACGT", dtype=np.uint8)
    with path.open("wb") as file:
        for i in range(CONTIGS):
            lines = np.full((int(megabases * 1e6 / CONTIGS / LINE), LINE + 1), ord("\n"), dtype=np.uint8)
            lines[:, :LINE] = letters[rng.integers(0, 4, (len(lines), LINE), dtype=np.uint8)]
            file.write(f">chr{i}\n".encode() + lines.tobytes())


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(path: Path, megabases: float) -> dict[str, float]:
    share = 100 / megabases
    found = {"open": seconds(lambda: Genome(path).close()) * share}
    with Genome(path) as genome:
        found["contigs"] = seconds(lambda: [genome.contig(name) for name in genome.lengths]) * share
        starts = np.random.default_rng(1).integers(0, genome.lengths["chr0"] - 1_000, FETCHES).tolist()
        places = [Interval("chr0", start, start + 1_000) for start in starts]
        found["fetch, µs"] = seconds(lambda: [genome.fetch(place) for place in places]) / FETCHES * 1e6
    found["htslib: index"] = seconds(lambda: pysam.faidx(str(path))) * share
    with pysam.FastaFile(str(path)) as theirs:
        found["htslib: contigs, as text"] = seconds(lambda: [theirs.fetch(name) for name in theirs.references]) * share
        found["htslib: fetch, µs"] = (
            seconds(lambda: [theirs.fetch(place.chrom, place.start, place.end) for place in places]) / FETCHES * 1e6
        )
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabases", type=float, default=100)
    megabases = parser.parse_args().megabases
    with tempfile.TemporaryDirectory() as folder:
        plain, blocked = Path(folder) / "g.fa", Path(folder) / "g.fa.gz"
        make(plain, megabases)
        pysam.tabix_compress(str(plain), str(blocked))
        print(json.dumps({"plain": measure(plain, megabases), "bgzip": measure(blocked, megabases)}, indent=1))


if __name__ == "__main__":
    main()
