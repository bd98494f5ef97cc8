"""A genome with planted motifs, whose labels follow known rules: simulation -> store.

Bins tile the chromosomes. A task is a rule over motifs, on either strand, within the bin: a motif is there ("single"),
two motifs lie near each other ("pair"), or a motif is there without another one ("without"). Each rule is planted in a
share of the bins, and decoys (parts of a rule without the whole) anywhere. The labels are read off from all that was
planted, whatever it was planted for; motifs that the background spells by chance do not count. Noise then turns a share
of each task's positives negative, and as many of its negatives positive.

A window's flanks hold the sites of the neighbouring bins, so a model has to learn that the centre decides.

Beside `NAME.zarr` stand `NAME.truth.parquet`, every planted site, and `NAME.motifs.meme`, what they were drawn from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tqdm import tqdm

from noncoder.config import SimulateConfig
from noncoder.data.store import SPLITS, Store, StoreInfo, open_store
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter, unwritable
from noncoder.errors import ConfigError, InputError, StoreError
from noncoder.sequence.encoding import decode, reverse_complement
from noncoder.sequence.motifs import Motif, load_jaspar, write_meme

# Well-known vertebrate factors of 13.8 to 22.8 bits, so that chance hits in a bin are rare, of which none finds
# another's sites. Fixed versions: later ones are often trimmed below that.
MOTIF_IDS = (
    "MA0139.2", "MA0037.2", "MA0080.4", "MA0138.3", "MA0506.1",  # CTCF, GATA3, SPI1, REST, NRF1
    "MA0106.3", "MA1494.2", "MA0466.4", "MA0095.2", "MA0148.3",  # TP53, HNF4A, CEBPB, YY1, FOXA1
    "MA0060.2", "MA0478.2", "MA0112.4", "MA0600.3", "MA0052.3",  # NFYA, FOSL2, ESR1, RFX2, MEF2A
    "MA0154.3", "MA0083.1", "MA0090.1", "MA0046.3", "MA0107.1",  # EBF1, SRF, TEAD1, HNF1A, RELA
)  # fmt: skip
MAX_GAP = 30
"""Most bases between the two motifs of a pair, bp; planted pairs that are too far apart have at least twice as many."""

_GC_PERIOD = 50_000  # bp from one GC-rich stretch to the next
_BLOCK = 4096  # bins planted at once
_MAX_LEFT_OUT = 0.05  # of the plantings that find no room
_FORM = np.dtype([("task", np.int64), ("decoy", bool), ("parts", np.int64, 2), ("gap", np.int64, 2)])
_SITE = np.dtype([("bin", np.int64), ("start", np.int64), ("motif", np.int64), ("task", np.int64),
                  ("decoy", bool), ("reverse", bool)])  # fmt: skip

Codes = NDArray[np.uint8]
Integers = NDArray[np.int64]
Records = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Rule:
    """When a bin is positive for a task.

    Args:
        kind: "single", the motif is there; "pair", the two are there with at most `MAX_GAP` bp between them, in either
            order; "without", the motif is there and the other one is not. Strands do not matter.
        motif: Place of the motif among `MOTIF_IDS`.
        other: Place of the other motif; -1 for a single one.
    """

    kind: Literal["single", "pair", "without"]
    motif: int
    other: int = -1

    @property
    def parts(self) -> tuple[int, int]:
        """Both motifs."""
        return self.motif, self.other

    def task(self, motifs: Sequence[Motif]) -> Task:
        """The task of this rule: "CTCF", "GATA3+SPI1" or "REST-NRF1"."""
        name = motifs[self.motif].name
        if self.kind != "single":
            name += ("+" if self.kind == "pair" else "-") + motifs[self.other].name
        return Task(name, group=self.kind)

    def holds(self, present: NDArray[np.bool_], near: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of n bins are positive, (n,).

        Args:
            present: Whether a motif is in a bin, (n, motifs).
            near: Whether two motifs are in it with at most `MAX_GAP` bp between them, (n, motifs, motifs), symmetric.
        """
        if self.kind == "pair":
            return near[:, self.motif, self.other]
        if self.kind == "without":
            return present[:, self.motif] & ~present[:, self.other]
        return present[:, self.motif]


def list_rules(count: int) -> list[Rule]:
    """The first `count` rules: single, pair and without in turn, as long as there are some left of a kind.

    Raises:
        ConfigError: There are not as many.
    """
    n = len(MOTIF_IDS)
    # In steps of five, each turn of the three kinds has five motifs of its own; later turns combine them anew.
    places = sorted(range(n), key=lambda place: (place % 5, place))
    both = [(i, step) for step in range(1, n) for i in places]
    singles = [Rule("single", i) for i in places]
    # A pair is the same either way round, so half the steps give them all, and the last of those each one twice.
    near = [(i, step) for i, step in both if 2 * step < n or (2 * step == n and i < step)]
    pairs = [Rule("pair", (i + 1) % n, (i + 1 + step) % n) for i, step in near]
    withouts = [Rule("without", (i + 3) % n, (i + 3 + step) % n) for i, step in both]
    rules = [rule for turn in zip_longest(singles, pairs, withouts) for rule in turn if rule]
    if count > len(rules):
        raise ConfigError(f"tasks {count}", expected=f"at most {len(rules)}, as many as there are rules")
    return rules[:count]


def simulate_store(
    config: SimulateConfig, path: str | Path, force: bool = False, fasta: str | Path | None = None
) -> Store:
    """Makes a genome with planted motifs, its store, and the truth beside it.

    Args:
        config: What to make.
        path: Where the store will be; see `truth_path` and `motifs_path` for what stands beside it.
        force: Replace files that are there.
        fasta: Where to write the genome as well.

    Raises:
        ConfigError: The bins are too small or too few for what is asked.
        InputError: A file is there already and `force` is false, or cannot be written.
    """
    design = _Design(config, list_rules(config.tasks), load_jaspar(MOTIF_IDS))
    design.check()
    beside = [truth_path(path), motifs_path(path)] + ([Path(fasta)] if fasta else [])
    with StoreWriter(path, config.tasks, force) as writer, _beside(beside, force) as partial:
        # Streams of their own: with other noise the genome stays the same.
        background, planting, noise = np.random.default_rng(config.seed).spawn(3)
        codes = _genome(design, background)
        sites, labels = _plant(codes, design, planting)
        _flip(labels, config.label_noise, noise)
        _truth(sites, design).write_parquet(partial[0])
        write_meme(design.motifs, partial[1])
        if fasta:
            _write_fasta(codes, design, partial[2])
        _write(writer, codes, labels, design)
    return open_store(path)


def truth_path(store: str | Path) -> Path:
    """Where the planted sites of a simulated store stand: `NAME.truth.parquet` beside `NAME.zarr`."""
    return Path(store).with_name(Path(store).name.removesuffix(".zarr") + ".truth.parquet")


def motifs_path(store: str | Path) -> Path:
    """Where the motifs of a simulated store stand: `NAME.motifs.meme` beside `NAME.zarr`."""
    return Path(store).with_name(Path(store).name.removesuffix(".zarr") + ".motifs.meme")


def read_truth(store: str | Path) -> pl.DataFrame:
    """Reads the planted sites of a simulated store, in genome order.

    Returns:
        One row a site: chrom, start, end (0-based, half-open), strand, motif, motif_id, role ("rule" or "decoy"), task
        (the one it was planted for) and bin (the window's row in the store).

    Raises:
        StoreError: There is no such file beside the store, or it is damaged.
    """
    path = truth_path(store)
    if not path.is_file():
        raise StoreError(f"{path} does not exist", expected="the truth of a simulated store", mend="simulate it again")
    try:
        return pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise StoreError(f"{path} is damaged: {error}", mend="simulate it again") from error


@dataclass(frozen=True)
class _Design:
    """What is to be made."""

    config: SimulateConfig
    rules: Sequence[Rule]
    motifs: Sequence[Motif]

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(rule.task(self.motifs) for rule in self.rules)

    @cached_property
    def widths(self) -> Integers:
        """The motifs' widths, and a last 0 for the missing motif, -1."""
        return np.array([motif.width for motif in self.motifs] + [0])

    @cached_property
    def chromosomes(self) -> dict[str, int]:
        """How many bins each chromosome has; they differ by one at most."""
        each, extra = divmod(self.config.windows, self.config.chromosomes)
        return {f"sim{i + 1}": each + (i < extra) for i in range(self.config.chromosomes)}

    @cached_property
    def forms(self) -> Records:
        """What can be planted: the whole of each rule, in the order of the tasks, and then the decoys."""
        whole, decoys = [], []
        for task, rule in enumerate(self.rules):
            room = self.config.bin - int(self.widths[list(rule.parts)].sum())
            first, second = ((part, -1) for part in rule.parts)
            if rule.kind == "pair":
                whole.append((task, False, rule.parts, (0, min(MAX_GAP, room))))
                decoys += [(task, True, first, (0, 0)), (task, True, second, (0, 0))]
                if room >= 2 * MAX_GAP:
                    decoys.append((task, True, rule.parts, (2 * MAX_GAP, room)))
                continue
            whole.append((task, False, first, (0, 0)))
            if rule.kind == "without":
                # The motif with its veto twice, since the veto alone says little.
                decoys += [(task, True, rule.parts, (0, room))] * 2 + [(task, True, second, (0, 0))]
        return np.array(whole + decoys, dtype=_FORM)

    def check(self) -> None:
        config = self.config
        need, name = max((self.widths[list(rule.parts)].sum(), rule.task(self.motifs).name) for rule in self.rules)
        checks = (
            (config.bin <= config.window and (config.window - config.bin) % 2 == 0,
             f"window {config.window} and bin {config.bin}", "a window wider than the bin by an even number of bp"),
            (0 <= config.gc[0] <= config.gc[1] <= 1, f"gc {config.gc}", "two shares from 0 to 1, the lower first"),
            (config.chromosomes <= config.windows,
             f"windows {config.windows} and chromosomes {config.chromosomes}", "a window for each chromosome"),
            (config.seed >= 0, f"seed {config.seed}", "0 or more"),
            (need <= config.bin, f"bin {config.bin}", f"at least {need}, the width of the motifs of {name}"),
        )  # fmt: skip
        for right, found, expected in checks:
            if not right:
                raise ConfigError(found, expected)


def _genome(design: _Design, rng: np.random.Generator) -> Codes:
    """Independent bases, (windows * bin,); the GC content of each chromosome goes up and down as a sine does."""
    (low, high), chromosomes = design.config.gc, []
    for bins in design.chromosomes.values():
        length = bins * design.config.bin
        wave = np.sin(2 * np.pi * (np.arange(length) / _GC_PERIOD + rng.random()))
        is_gc = rng.random(length) < low + (high - low) * (1 + wave) / 2
        second = rng.integers(0, 2, length, dtype=np.uint8)
        chromosomes.append(np.where(is_gc, 1 + second, 3 * second))
    return np.concatenate(chromosomes)


def _plant(codes: Codes, design: _Design, rng: np.random.Generator) -> tuple[Records, NDArray[np.bool_]]:
    """Writes motif instances into the codes; returns the sites, sorted by bin and start, and the labels (N, T)."""
    config, whole, left_out = design.config, 0, 0
    sites, labels = [], []
    for first in tqdm(range(0, config.windows, _BLOCK), "planting motifs", unit="block", delay=2, disable=None):
        n = min(_BLOCK, config.windows - first)
        bins, forms = _draw(n, design, rng)
        starts = _place(bins, forms, n, design, rng)
        whole += int((~forms["decoy"]).sum())
        left_out += int((~forms["decoy"] & (starts < 0)).sum())
        found = _sites(bins, forms, starts, design, rng)
        labels.append(_label(found, n, design))
        found["bin"] += first
        sites.append(found)
    if left_out > _MAX_LEFT_OUT * whole:
        raise ConfigError(
            f"bins of {config.bin} bp have no room for {left_out:,} of {whole:,} plantings",
            expected=f"room for {config.tasks} tasks in a share of {config.positive_rate:g} of the bins each",
            mend="ask for wider bins, fewer tasks or a lower positive_rate",
        )
    planted = np.concatenate(sites)
    for place, motif in enumerate(design.motifs):
        mine = planted[planted["motif"] == place]
        instances = motif.sample(rng, mine.size)
        instances[mine["reverse"]] = reverse_complement(instances[mine["reverse"]])
        codes[(mine["bin"] * config.bin + mine["start"])[:, None] + np.arange(motif.width)] = instances
    return planted, np.concatenate(labels)


def _draw(n: int, design: _Design, rng: np.random.Generator) -> tuple[Integers, Records]:
    """What to plant in which of n bins: (k,) bins and (k,) forms, their parts swapped at random, one gap each."""
    config, forms, n_rules = design.config, design.forms, len(design.rules)
    # Counts are rounded at random, so that the shares hold over many small blocks.
    bins = [rng.choice(n, int(config.positive_rate * n + rng.random()), replace=False) for _ in design.rules]
    which = np.repeat(np.arange(n_rules), [part.size for part in bins])
    if len(forms) > n_rules:
        motifs_each = (forms["parts"][n_rules:] >= 0).sum() / (len(forms) - n_rules)
        decoys = rng.integers(n_rules, len(forms), int(config.decoys * n / motifs_each + rng.random()))
        bins.append(rng.integers(0, n, decoys.size))
        which = np.concatenate([which, decoys])
    drawn = forms[which]
    drawn["gap"] = rng.integers(drawn["gap"][:, 0], drawn["gap"][:, 1] + 1)[:, None]
    swap = (drawn["parts"][:, 1] >= 0) & (rng.random(which.size) < 0.5)
    drawn["parts"][swap] = drawn["parts"][swap, ::-1]
    return np.concatenate(bins), drawn


def _place(bins: Integers, forms: Records, n: int, design: _Design, rng: np.random.Generator) -> Integers:
    """Where in its bin each form starts, anywhere that it overlaps nothing; -1 where there is no room.

    Rules go before decoys, otherwise in random order: one form of every bin, then the second of every bin that has
    two, and so on, each turn for all bins at once.
    """
    bin, widths = design.config.bin, design.widths[forms["parts"]]
    left, right = widths[:, 0], widths[:, 1]
    offset = left + forms["gap"][:, 0]
    order = np.lexsort((rng.random(bins.size), forms["decoy"], bins))
    turn = np.arange(bins.size) - np.searchsorted(bins[order], bins[order])
    starts = np.full(bins.size, -1)
    # +1 where a site begins and -1 past its end: the running sum is 1 on sites, and the sum of that counts their bases.
    edges = np.zeros((n, bin + 1), dtype=np.int8)
    for at in (order[turn == i] for i in range(turn.max(initial=-1) + 1)):
        covered = np.cumsum(edges[bins[at], :bin], axis=1, dtype=np.int32)
        before = np.pad(np.cumsum(covered, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
        free = np.arange(bin) + (offset + right)[at, None] <= bin
        for begin, width in ((np.zeros_like(left), left), (offset, right)):
            first = np.minimum(np.arange(bin) + begin[at, None], bin)
            last = np.minimum(first + width[at, None], bin)
            free &= np.take_along_axis(before, first, axis=1) == np.take_along_axis(before, last, axis=1)
        chosen = np.where(free, rng.random(free.shape), -1).argmax(axis=1)
        fits = free.any(axis=1)
        at, chosen = at[fits], chosen[fits]
        starts[at] = chosen
        for begin, width in ((chosen, left[at]), (chosen + offset[at], right[at])):
            edges[bins[at], begin] += 1
            edges[bins[at], begin + width] -= 1
    return starts


def _sites(bins: Integers, forms: Records, starts: Integers, design: _Design, rng: np.random.Generator) -> Records:
    """The motifs of the forms that were placed, each on a random strand, sorted by bin and start."""
    sites = np.zeros((bins.size, 2), _SITE)
    sites["bin"], sites["task"], sites["decoy"] = bins[:, None], forms["task"][:, None], forms["decoy"][:, None]
    sites["motif"] = forms["parts"]
    sites["start"][:, 0] = starts
    sites["start"][:, 1] = starts + design.widths[forms["parts"][:, 0]] + forms["gap"][:, 0]
    sites["reverse"] = rng.random(sites.shape) < 0.5
    sites = sites[(sites["motif"] >= 0) & (starts >= 0)[:, None]]
    return sites[np.lexsort((sites["start"], sites["bin"]))]


def _label(sites: Records, n: int, design: _Design) -> NDArray[np.bool_]:
    """Which rules hold in each of n bins, (n, T)."""
    present = np.zeros((n, len(design.motifs)), dtype=bool)
    present[sites["bin"], sites["motif"]] = True
    near = np.zeros((n, len(design.motifs), len(design.motifs)), dtype=bool)
    end = sites["start"] + design.widths[sites["motif"]]
    for apart in range(1, sites.size):
        one, two = sites[:-apart], sites[apart:]
        same = one["bin"] == two["bin"]
        if not same.any():
            break
        close = same & (two["start"] - end[:-apart] <= MAX_GAP)
        one, two = one[close], two[close]
        near[one["bin"], one["motif"], two["motif"]] = near[one["bin"], two["motif"], one["motif"]] = True
    return np.stack([rule.holds(present, near) for rule in design.rules], axis=1)


def _flip(labels: NDArray[np.bool_], noise: float, rng: np.random.Generator) -> None:
    """Turns a share of each task's positives negative and as many negatives positive: the prevalence stays."""
    for column in labels.T:
        positive, negative = np.flatnonzero(column), np.flatnonzero(~column)
        count = min(round(noise * positive.size), negative.size)
        column[rng.choice(positive, count, replace=False)] = False
        column[rng.choice(negative, count, replace=False)] = True


def _truth(sites: Records, design: _Design) -> pl.DataFrame:
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


def _write(writer: StoreWriter, codes: Codes, labels: NDArray[np.bool_], design: _Design) -> None:
    config, row = design.config, 0
    for left, (name, n) in zip(range(config.chromosomes - 1, -1, -1), design.chromosomes.items(), strict=True):
        offset = writer.add_contig(name, codes[row * config.bin : (row + n) * config.bin])
        start = offset + np.arange(n) * config.bin - (config.window - config.bin) // 2
        split = np.full(n, max(0, len(SPLITS) - 1 - left), dtype=np.uint8)
        writer.add_windows(start, np.packbits(labels[row : row + n], axis=1), split)
        row += n
    genome = f"simulated-{config.seed}"
    writer.finish(StoreInfo(config.window, config.bin, design.tasks, "planted", genome, version=version("noncoder")))


def _write_fasta(codes: Codes, design: _Design, path: Path, width: int = 60) -> None:
    text, first = decode(codes), 0
    with path.open("w") as file:
        for name, bins in design.chromosomes.items():
            end = first + bins * design.config.bin
            file.write(f">{name}\n")
            file.writelines(text[at : min(at + width, end)] + "\n" for at in range(first, end, width))
            first = end


@contextmanager
def _beside(paths: Sequence[Path], force: bool) -> Iterator[list[Path]]:
    """Temporary names for files, which get their own names when all is done, and vanish if anything is raised."""
    for path in paths:
        if path.exists() and not force:
            raise InputError(f"{path} is there already", mend="give another name, or --force to replace it")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
    partial = [path.with_name(f".{path.name}.{os.getpid()}.partial") for path in paths]
    try:
        yield partial
        for path, written in zip(paths, partial, strict=True):
            written.replace(path)
    finally:
        for written in partial:
            written.unlink(missing_ok=True)
