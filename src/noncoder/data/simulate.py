"""Simulates a genome with planted motifs, whose labels follow known rules, and its store.

Bins tile the chromosomes. A task is a rule on motifs within the bin, on either strand: a motif is present ("single"),
two motifs are near each other ("pair"), or a motif is present without another one ("without"). Each rule is planted in
a fraction of the bins, and decoys (incomplete rules) in any bins. Labels follow from all planted motifs, whatever they
were planted for; chance motifs in the background do not count. Noise then flips a fraction of each task's positives,
and equally many of its negatives.

A window's flanks contain the sites of the neighbouring bins, so a model has to learn that the centre determines labels.

`NAME.truth.parquet`, every planted site, and `NAME.motifs.meme`, their motifs, are written beside `NAME.zarr`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from noncoder.config import SimulateConfig
from noncoder.data.info import SPLITS, StoreInfo
from noncoder.data.planting import (
    MAX_GAP,
    MOTIF_IDS,
    Codes,
    Records,
    Rule,
    SimulationDesign,
    draw_genome,
    flip_labels,
    list_rules,
    plant,
)
from noncoder.data.store import Store, open_store
from noncoder.data.writer import StoreWriter
from noncoder.errors import StoreError
from noncoder.files import file_digest, refuse_existing, unwritable
from noncoder.sequence.encoding import decode
from noncoder.sequence.motifs import load_jaspar, write_meme
from noncoder.temporary import temporary

__all__ = [
    "MAX_GAP",
    "MOTIF_IDS",
    "Rule",
    "list_rules",
    "motifs_path",
    "read_truth",
    "simulate_store",
    "truth_path",
]

_TRUTH = "planted sites"  # name among the sources of a simulated store


def simulate_store(
    config: SimulateConfig, path: str | Path, force: bool = False, fasta: str | Path | None = None
) -> Store:
    """Simulates a genome with planted motifs, and writes its store and the truth beside it.

    Args:
        config: Settings.
        path: Path of the store; see `truth_path` and `motifs_path` for the files beside it.
        force: Replace existing files.
        fasta: Path of the genome's FASTA file, if it is written too.

    Raises:
        ConfigError: The bins are too small or too few.
        InputError: A file already exists and `force` is false, or cannot be written.
    """
    design = SimulationDesign(config, list_rules(config.tasks), load_jaspar(MOTIF_IDS))
    design.check()
    beside = [truth_path(path), motifs_path(path)] + ([Path(fasta)] if fasta else [])
    with StoreWriter(path, config.tasks, force) as writer, _beside(beside, force) as partial:
        # Separate random streams: with other noise the genome stays the same.
        background, planting, noise = np.random.default_rng(config.seed).spawn(3)
        codes = draw_genome(design, background)
        sites, labels = plant(codes, design, planting)
        flip_labels(labels, config.label_noise, noise)
        _truth(sites, design).write_parquet(partial[0])
        write_meme(design.motifs, partial[1])
        if fasta:
            _write_fasta(codes, design, partial[2])
        _write(writer, codes, labels, design, file_digest(partial[0]))
    return open_store(path)


def truth_path(store: str | Path) -> Path:
    """Path of the planted sites of a simulated store: `NAME.truth.parquet` beside `NAME.zarr`."""
    return Path(store).with_name(Path(store).name.removesuffix(".zarr") + ".truth.parquet")


def motifs_path(store: str | Path) -> Path:
    """Path of the motifs of a simulated store: `NAME.motifs.meme` beside `NAME.zarr`."""
    return Path(store).with_name(Path(store).name.removesuffix(".zarr") + ".motifs.meme")


def read_truth(store: str | Path) -> pl.DataFrame:
    """Reads the planted sites of a simulated store, in genome order.

    Returns:
        One row per site: chrom, start, end (0-based, half-open), strand, motif, motif_id, role ("rule" or "decoy"),
        task (the one it was planted for) and bin (the window's row in the store).

    Raises:
        StoreError: There is no such file beside the store, it is damaged, or it belongs to another store.
    """
    path = truth_path(store)
    if not path.is_file():
        raise StoreError(f"{path} does not exist", expected="the truth of a simulated store", hint="simulate it again")
    sources = open_store(store).info.sources if Path(store).exists() else ()
    kept = [source["sha256"] for source in sources if source["name"] == _TRUTH]  # earlier versions have none
    # The digest is checked before parsing: some damage makes polars end the process.
    if kept and kept != [file_digest(path)]:
        raise StoreError(f"{path} differs from what was written with {store}", hint="simulate it again")
    try:
        return pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise StoreError(f"{path} is damaged: {error}", hint="simulate it again") from error


def _truth(sites: Records, design: SimulationDesign) -> pl.DataFrame:
    counts = np.array(list(design.chromosomes.values()))
    chromosome = np.repeat(np.arange(counts.size), counts)[sites["bin"]]
    start = (sites["bin"] - (np.cumsum(counts) - counts)[chromosome]) * design.config.bin + sites["start"]
    columns = {
        "chrom": np.array(list(design.chromosomes))[chromosome],
        "start": start,
        "end": start + design.widths[sites["motif"]],
        "strand": np.where(sites["reverse"], "-", "+"),
        "motif": np.array([motif.name for motif in design.motifs])[sites["motif"]],
        "motif_id": np.array([motif.id for motif in design.motifs])[sites["motif"]],
        "role": np.where(sites["decoy"], "decoy", "rule"),
        "task": np.array([task.name for task in design.tasks])[sites["task"]],
        "bin": sites["bin"],
    }
    return pl.DataFrame(columns)


def _write(writer: StoreWriter, codes: Codes, labels: NDArray[np.bool_], design: SimulationDesign, truth: str) -> None:
    config, row = design.config, 0
    for left, (name, n) in zip(range(config.chromosomes - 1, -1, -1), design.chromosomes.items(), strict=True):
        offset = writer.add_contig(name, codes[row * config.bin : (row + n) * config.bin])
        start = offset + np.arange(n) * config.bin - (config.window - config.bin) // 2
        split = np.full(n, max(0, len(SPLITS) - 1 - left), dtype=np.uint8)
        writer.add_windows(start, np.packbits(labels[row : row + n], axis=1), split)
        row += n
    writer.finish(
        StoreInfo(
            window=config.window,
            bin=config.bin,
            tasks=design.tasks,
            label_rule="planted",
            genome=f"simulated-{config.seed}",
            coordinates=True,  # its chromosomes, which `fasta` and the truth name too
            sources=({"name": _TRUTH, "sha256": truth},),
            notes=writer.classes.notes(design.tasks),
            version=version("noncoder"),
        )
    )


def _write_fasta(codes: Codes, design: SimulationDesign, path: Path, width: int = 60) -> None:
    text, first = decode(codes), 0
    with path.open("w") as file:
        for name, bins in design.chromosomes.items():
            end = first + bins * design.config.bin
            file.write(f">{name}\n")
            file.writelines(text[at : min(at + width, end)] + "\n" for at in range(first, end, width))
            first = end


@contextmanager
def _beside(paths: Sequence[Path], force: bool) -> Iterator[list[Path]]:
    """Yields temporary names for files, which are renamed at the end, and removed if an error is raised."""
    for path in paths:
        refuse_existing(path, force)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
    with ExitStack() as stack:
        made = [stack.enter_context(temporary(path)) for path in paths]
        yield [one.path for one in made]
        for one in made:
            one.put()
