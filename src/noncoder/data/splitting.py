"""Assigns bins to splits: by region, or such that windows that share sequence are in one split."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from noncoder.config import BuildConfig
from noncoder.data.info import SPLITS
from noncoder.errors import InputError
from noncoder.sequence.genome import Genome, Interval, head, match_names

if TYPE_CHECKING:
    from noncoder.data.layout import WindowLayout

DROPPED = 255
"""In place of a split: the window extends into another split."""
_TRAIN, _VALID, _TEST = 0, 1, 2

Longs = NDArray[np.int64]
Splits = NDArray[np.uint8]
Regions = Mapping[str, Sequence[tuple[int, Interval]]]
Blocks = Callable[[], Iterable[NDArray[np.uint8]]]


@dataclass(frozen=True)
class BinSplits:
    """The split of each bin of each contig, `DROPPED` for those that extend into another, and the rule."""

    of: Mapping[str, Splits]
    rule: str


@dataclass(frozen=True)
class HomologySplit:
    """A split by homology.

    Args:
        split: Split of each window, (N,); `DROPPED` for one that extends into a unit of another split.
        unit: Unit of each window, (N,).
        component: Component of each unit, (U,).
        large: Fractions of the windows in components that are larger than a held-out split should be.
    """

    split: Splits
    unit: Longs
    component: Longs
    large: list[float] = field(default_factory=list)


def read_regions(
    config: BuildConfig, lengths: Mapping[str, int], aliases: Mapping[str, str]
) -> dict[str, list[tuple[int, Interval]]]:
    """Validation and test regions by contig.

    Raises:
        InputError: A region is outside of the genome, or in two splits.
    """
    regions: dict[str, list[tuple[int, Interval]]] = {}
    for split, texts in ((_VALID, config.valid), (_TEST, config.test)):
        for text in texts:
            name = text if ":" not in text or text in lengths else Interval.parse(text).chrom
            found = match_names([name], list(lengths), aliases).get(name)
            if found is None:
                raise InputError(
                    f"the {'valid' if split == _VALID else 'test'} split names {name!r}",
                    expected=f"a contig of the genome: {head(lengths)}",
                    hint="separate chromosomes by commas" if len(re.split(r"[\s;|]+", name)) > 1 else "",
                )
            whole = Interval(found, 0, lengths[found])
            part = whole if name == text else Interval.parse(text)
            region = Interval(found, part.start, part.end)
            if not region.overlaps(whole):
                raise InputError(f"{text} extends beyond the end of {found}", expected=f"at most {len(whole):,}")
            for other, earlier in regions.get(found, ()):
                if other != split and earlier.overlaps(region):
                    raise InputError(f"{text} is both in the valid and the test split", expected="one split")
            regions.setdefault(found, []).append((split, region))
    return regions


def split_bins(
    config: BuildConfig, genome: Genome, kept: Mapping[str, NDArray[np.bool_]], regions: Regions
) -> BinSplits:
    """Splits the bins of a genome.

    Args:
        config: The rule.
        genome: The bases.
        kept: Which bins of each contig are kept; a contig without a kept bin is not stored.
        regions: Result of `read_regions`, for the rule `regions`.

    Raises:
        InputError: A split by homology would be empty.
    """
    if config.split == "regions":
        of = {name: split_of_bins(bins.size, config.bin, regions.get(name, ())) for name, bins in kept.items()}
        named = [
            f"{split} {', '.join(texts)}" for split, texts in (("valid", config.valid), ("test", config.test)) if texts
        ]
        return BinSplits(of, f"regions: {'; '.join(named)}" if named else "")
    names = [name for name, bins in kept.items() if bins.any()]
    lengths = np.array([genome.lengths[name] for name in names], dtype=np.int64)
    offsets = np.append(0, np.cumsum(lengths))[:-1]
    rows = [np.flatnonzero(kept[name]) for name in names]
    flank = (config.window - config.bin) // 2
    start = np.concatenate([at + row * config.bin - flank for at, row in zip(offsets, rows, strict=True)])
    found = split_by_homology(lambda: _blocks(genome, names), start, config.window, (offsets, lengths), config)
    of = {name: np.zeros(bins.size, dtype=np.uint8) for name, bins in kept.items()}
    ends = np.cumsum([row.size for row in rows])[:-1]
    for name, row, split in zip(names, rows, np.split(found.split, ends), strict=True):
        of[name][row] = split
    return BinSplits(of, _rule(found, config))


def _blocks(genome: Genome, names: Sequence[str], size: int = 1 << 23) -> Iterator[NDArray[np.uint8]]:
    for name in names:
        codes = genome.contig(name)
        for at in range(0, codes.size, size):
            yield codes[at : at + size]


def split_of_bins(n_bins: int, bin: int, regions: Sequence[tuple[int, Interval]]) -> Splits:
    """Returns the split of each bin by the region that contains its middle base."""
    split = np.full(n_bins, _TRAIN, dtype=np.uint8)
    middle = np.arange(n_bins) * bin + bin // 2
    for which, region in regions:
        split[(middle >= region.start) & (middle < region.end)] = which
    return split


def split_by_homology(
    blocks: Blocks, start: Longs, window: int, contigs: tuple[Longs, Longs], config: BuildConfig
) -> HomologySplit:
    """Splits windows such that no two in different splits share bases, are equal or are near-duplicates.

    A unit is a run of overlapping windows, cut into equal blocks of at least `config.split_block` bp. Units are linked
    if a window of one is a duplicate or near-duplicate of a window of another, as defined in
    `noncoder.data.similarity` and `noncoder.data.leakage`. Units that are linked, directly or through others, form a
    component, which is in one split. A window that extends over a cut into a unit of another split is dropped.

    Args:
        blocks: Yields all stored bases in order, in blocks of any size, at each call.
        start: Position of each window's first base among all bases, (N,).
        window: Width of the windows, bp.
        contigs: Start and length of each contig, (C,) each.
        config: `split_block`, `valid_fraction`, `test_fraction` and `seed`.

    Raises:
        InputError: A split would be empty.
    """
    from noncoder.data.layout import lay_out

    layout = lay_out(start, window, *contigs)
    first, unit, last = (column[np.argsort(layout.order)] for column in _units(layout, config.split_block))
    component = _components(blocks, layout, unit)
    sizes = np.bincount(component[unit])
    dealt = deal(sizes, (1 - config.valid_fraction - config.test_fraction, config.valid_fraction, config.test_fraction),
                 config.seed)  # fmt: skip
    of_unit = dealt[component]
    split = np.where(of_unit[first] == of_unit[last], of_unit[unit], DROPPED).astype(np.uint8)
    held_out = [share for share in (config.valid_fraction, config.test_fraction) if share]
    shares = np.sort(sizes)[::-1] / start.size
    found = HomologySplit(
        split, unit, component, [float(share) for share in shares if share > min(held_out, default=1)]
    )
    wanted = [_TRAIN, *([_VALID] if config.valid_fraction else []), *([_TEST] if config.test_fraction else [])]
    for which in wanted:
        if not (split == which).any():
            raise InputError(
                f"the {SPLITS[which]} split is empty: of {component.size:,} units of sequence, those that share "
                f"sequence make {sizes.size:,} components, and the largest of these hold "
                f"{', '.join(f'{share:.0%}' for share in shares[:3])} of the windows",
                expected="components small enough to be assigned to the splits",
                hint="give a smaller --split-block, or split by --valid and --test",
            )
    return found


def deal(sizes: Longs, shares: Sequence[float], seed: int) -> Longs:
    """Assigns components to splits such that each split gets its share; large ones first, in random order.

    Args:
        sizes: Windows of each component, (M,).
        shares: Share of each split; they sum to 1.
        seed: Random seed.

    Returns:
        The split of each component, (M,): among those with room for it, the one that lacks the largest part of its
        share; if none has room, the one with the most room.
    """
    order = np.random.default_rng(seed).permutation(sizes.size)
    # Components of similar size are in random order; otherwise the largest alone would determine the assignment.
    order = order[np.argsort(-np.floor(np.log2(np.maximum(sizes[order], 1))), kind="stable")]
    targets = np.asarray(shares, dtype=float) * sizes.sum()
    room, dealt = targets.copy(), np.zeros(sizes.size, dtype=np.int64)
    for one in order:
        fits = (room >= sizes[one]) & (targets > 0)
        part = np.divide(room, targets, out=np.zeros_like(room), where=targets > 0)
        dealt[one] = (
            np.argmax(np.where(fits, part, -1)) if fits.any() else np.argmax(np.where(targets > 0, room, -np.inf))
        )
        room[dealt[one]] -= sizes[one]
    return dealt


def _units(layout: WindowLayout, block: int) -> tuple[Longs, Longs, Longs]:
    """Returns for each window, in the layout's order, the units of its first, middle and last base."""
    new = np.append(True, layout.begin[1:] >= layout.end[:-1])
    run = np.cumsum(new) - 1
    begin, end = layout.begin[new], layout.end[np.append(new[1:], True)]
    pieces = np.maximum(1, (end - begin) // block)
    before = np.append(0, np.cumsum(pieces))[:-1]

    def unit_of(base: Longs) -> Longs:
        unit: Longs = before[run] + (base - begin[run]) * pieces[run] // (end - begin)[run]
        return unit

    return unit_of(layout.begin), unit_of((layout.begin + layout.end) // 2), unit_of(layout.end - 1)


def _components(blocks: Blocks, layout: WindowLayout, unit: Longs) -> Longs:
    """Returns the component of each unit, from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    from noncoder.data.composition import compose
    from noncoder.data.similarity import near_duplicates

    pairs = near_duplicates(blocks, layout, unit)
    composition = compose(blocks, layout)
    rows = np.flatnonzero(2 * composition.known >= layout.window)
    rows = rows[np.argsort(composition.digest[rows], kind="stable")]
    same = np.flatnonzero(composition.digest[rows[1:]] == composition.digest[rows[:-1]])
    one = np.concatenate([unit[pairs.window], unit[rows[same]]])
    other = np.concatenate([unit[pairs.other], unit[rows[same + 1]]])
    n_units = int(unit.max()) + 1
    links = coo_array((np.ones(one.size, dtype=np.int8), (one, other)), shape=(n_units, n_units))
    component: Any = connected_components(links.tocsr(), directed=False)[1]
    return np.asarray(component, dtype=np.int64)


def _rule(found: HomologySplit, config: BuildConfig) -> str:
    kept = found.split[found.split != DROPPED]
    parts = ", ".join(f"{name} {(kept == i).mean():.1%}" for i, name in enumerate(SPLITS))
    text = (
        f"homology: {found.component.size:,} units (runs of windows, cut into blocks of at least "
        f"{config.split_block:,} bp) in {int(found.component.max()) + 1:,} components, seed {config.seed}; {parts}"
    )
    if found.large:
        largest = ", ".join(f"{share:.1%}" for share in found.large[:3])
        text += f"; components larger than a held-out split hold {largest} of the windows"
    return text
