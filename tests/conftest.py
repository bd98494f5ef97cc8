"""Small makers that several test modules share: genomes, peak files, stores."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

# Processes that each compute on all cores slow each other several times over. Set before NumPy and PyTorch come in.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}

import numpy as np
import pytest
from numpy.typing import NDArray

from noncoder.data.info import StoreInfo
from noncoder.data.store import Store, open_store
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter
from noncoder.sequence.encoding import encode

LENGTHS = {"chr1": 5_050, "chr2": 3_000, "chr3": 1_700}


def random_dna(length: int, seed: int = 0, letters: str = "ACGT") -> str:
    return "".join(np.random.default_rng(seed).choice(list(letters), length))


def random_genome(lengths: Mapping[str, int], seed: int = 0, letters: str = "ACGT") -> dict[str, str]:
    return {name: random_dna(length, seed + i, letters) for i, (name, length) in enumerate(lengths.items())}


def write_fasta(path: Path, records: Mapping[str, str], width: int = 60, end: str = "\n") -> Path:
    lines = []
    for name, text in records.items():
        lines += [f">{name}", *(text[at : at + width] for at in range(0, len(text), width))]
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def write_peaks(path: Path, peaks: Sequence[tuple[object, ...]]) -> Path:
    path.write_text("".join("\t".join(map(str, peak)) + "\n" for peak in peaks))
    return path


def padded_slice(text: str, start: int, end: int) -> str:
    """text[start:end], where whatever lies outside of the text is N."""
    inner = text[max(start, 0) : max(end, 0)]
    before = min(max(-start, 0), end - start)
    return "N" * before + inner + "N" * (end - start - before - len(inner))


def listing(folder: Path) -> list[str]:
    """The names of all that lies in a folder, hidden files too."""
    return sorted(file.name for file in folder.iterdir())


def make_store(
    path: Path,
    genome: Mapping[str, str],
    windows: Sequence[tuple[str, int]],
    labels: NDArray[np.uint8],
    *,
    window: int = 20,
    bin: int = 10,
    split: NDArray[np.uint8] | None = None,
    known: NDArray[np.uint8] | None = None,
    names: Sequence[str] = (),
    force: bool = False,
    coordinates: bool = True,
) -> Store:
    """A store of windows given as (contig, start within the contig, which may be negative)."""
    n_tasks = labels.shape[1]
    with StoreWriter(path, n_tasks, force) as writer:
        offsets = {name: writer.add_contig(name, encode(text)) for name, text in genome.items()}
        writer.add_windows(
            np.array([offsets[name] + start for name, start in windows], dtype=np.int64),
            np.packbits(labels, axis=1),
            np.zeros(len(windows), dtype=np.uint8) if split is None else split,
            None if known is None else np.packbits(known, axis=1),
        )
        writer.finish(
            StoreInfo(
                window=window,
                bin=bin,
                tasks=tuple(
                    Task(names[i] if names else f"t{i}", group="even" if i % 2 == 0 else "") for i in range(n_tasks)
                ),
                genome="random",
                coordinates=coordinates,
            )
        )
    return open_store(path)


def small_store(path: Path, n: int = 60, n_tasks: int = 11, with_known: bool = True) -> Store:
    """Windows of 20 bp over three contigs with random labels, some unknown, in all three splits."""
    rng = np.random.default_rng(5)
    genome = random_genome({"a": 400, "b": 300, "c": 50}, letters="ACGTN")
    names = rng.choice(list(genome), n)
    windows = [(str(name), int(rng.integers(-9, len(genome[name]) - 11))) for name in names]
    return make_store(
        path,
        genome,
        windows,
        rng.integers(0, 2, (n, n_tasks), dtype=np.uint8),
        split=np.sort(rng.integers(0, 3, n, dtype=np.uint8)),
        known=rng.integers(0, 2, (n, n_tasks), dtype=np.uint8) if with_known else None,
    )


@pytest.fixture(scope="session")
def genome_text() -> dict[str, str]:
    return random_genome(LENGTHS)


@pytest.fixture(scope="session")
def genome_fasta(tmp_path_factory: pytest.TempPathFactory, genome_text: dict[str, str]) -> Path:
    return write_fasta(tmp_path_factory.mktemp("genome") / "tiny.fa", genome_text)
