"""Regions of a genome: neighbouring windows of a store, read together as one sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noncoder.data.loading import Batches, Change, DeviceWindows, EpochDraws, Share, reverse_strand
from noncoder.data.store import Store
from noncoder.errors import InputError
from noncoder.sequence.encoding import N_CODE

_LEAST_FILLED = 0.25
"""Of bins with a window; below this, training by windows is faster."""


@dataclass(frozen=True)
class Regions:
    """Regions of R bins, each with the windows of a split that lie in it.

    Args:
        step: Distance between neighbouring bins, bp.
        windows: Store index of the window of each bin, int64 (G, R); -1 for none.
        row: Position of each region's first base in the padded bases of `Store.layout`, (G,).
        low: Position of the first base of its contig there, (G,).
        high: Position after the contig's last base, (G,).
    """

    step: int
    windows: NDArray[np.int64]
    row: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def bins(self) -> int:
        """Bins per region, R."""
        return int(self.windows.shape[1])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Windows of each region, (G,)."""
        counted: NDArray[np.int64] = (self.windows >= 0).sum(axis=1)
        return counted


def lay_regions(store: Store, indices: NDArray[np.int64], bins: int) -> Regions:
    """Divides windows into regions, each of which begins at the first window that no earlier region holds.

    Args:
        store: The dataset.
        indices: Store indices of the windows, (n,).
        bins: Bins per region, R.

    Raises:
        InputError: Too few windows lie side by side.
    """
    step, layout = store.bin, store.layout
    row, low = layout.row[indices], layout.low[indices]
    order = np.lexsort((row, row % step, low))
    row, low, ordered = row[order], low[order], indices[order]
    # Windows of one group lie a multiple of `step` apart; a window that occurs twice opens a region of its own.
    group = np.cumsum(np.r_[0, (np.diff(low) != 0) | (np.diff(row % step) != 0) | (np.diff(row) == 0)])
    ends = np.searchsorted(group, group, side="right")
    firsts: list[int] = []
    at = 0
    while at < row.size:
        firsts.append(at)
        within = row[at : min(at + bins, int(ends[at]))]
        at += int(np.searchsorted(within, row[at] + bins * step))
    first = np.array(firsts, dtype=np.int64)
    region = np.searchsorted(first, np.arange(row.size), side="right") - 1
    windows = np.full((first.size, bins), -1, dtype=np.int64)
    windows[region, (row - row[first][region]) // step] = ordered
    if indices.size < _LEAST_FILLED * windows.size:
        raise InputError(
            f"only {indices.size / windows.size:.0%} of the bins in regions of {bins} bins have a window",
            expected=f"{_LEAST_FILLED:.0%} or more, as in a store built with --keep all",
            hint="leave train.dense out, or give fewer bins per region",
        )
    return Regions(step, windows, row[first], low[first], layout.high[ordered[first]])


class RegionReader:
    """Reads regions of a store on a device.

    Args:
        regions: The regions.
        codes: All bases with N around each contig, as `Store.layout` has them, on the device.
        labels: Packed labels, uint8 (N, ceil(T / 8)), on the device.
        known: Which are known, packed likewise; None if all are.
        tasks: Number of tasks, T.
        length: Length of a region, bp.
    """

    def __init__(
        self, regions: Regions, codes: Tensor, labels: Tensor, known: Tensor | None, tasks: int, length: int
    ) -> None:
        self.device, self.tasks = codes.device, tasks
        self.codes, self.labels, self.known = codes, labels, known
        self.windows, self.row, self.low, self.high = (
            torch.from_numpy(part).to(self.device) for part in (regions.windows, regions.row, regions.low, regions.high)
        )
        self._full = bool((regions.windows >= 0).all())
        self._place = torch.arange(length, device=self.device)
        self._bits = torch.arange(7, -1, -1, dtype=torch.uint8, device=self.device)

    def put(self, array: NDArray[Any]) -> Tensor:
        """An array on the device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def read(self, indices: Tensor, reverse: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Codes (n, length), labels (n, R, T), and which are known or None, of n regions.

        Args:
            indices: The regions, (n,).
            reverse: Where true, (n,), a region is read from the reverse strand, its bins in reverse order.
            shift: Number of bp, (n,), by which each region is moved to the right; None for 0. N lies beyond a contig.
        """
        row = self.row[indices] if shift is None else self.row[indices] + shift
        position = row[:, None] + self._place
        inside = (position >= self.low[indices, None]) & (position < self.high[indices, None])
        codes = torch.where(inside, self.codes[position.clamp(0, self.codes.numel() - 1)], N_CODE)
        codes = torch.where(reverse[:, None], reverse_strand(codes), codes)
        windows = self.windows[indices]
        windows = torch.where(reverse[:, None], windows.flip(1), windows)
        there = windows >= 0
        windows = windows.clamp(min=0)
        labels = self._unpack(self.labels[windows])
        known = None if self.known is None else self._unpack(self.known[windows]).bool()
        if not self._full:
            there = there[:, :, None].expand_as(labels)
            known = there if known is None else known & there
        return codes, labels, known

    def _unpack(self, packed: Tensor) -> Tensor:
        return ((packed[..., None] >> self._bits) & 1).flatten(-2)[..., : self.tasks]


class RegionBatches(Batches):
    """The windows of a split in batches of regions, whose strand, shift and changes are drawn region by region.

    The labels of a batch are (n, R, T); those of bins without a window are unknown. `size_of` counts windows, as if
    all regions held equally many.

    Args:
        store: The dataset.
        indices: Store indices of the windows, (n,).
        bins: Bins per region, R.
        batch_size: Bins per batch; a batch holds as many whole regions, and at least one.
        draws: What is random; weights are not possible.
        share: The part of each batch that this process reads.
        change: Applied to the codes of a batch.

    Raises:
        InputError: There is no window, or too few windows lie side by side.
    """

    def __init__(
        self,
        store: Store,
        indices: NDArray[np.int64],
        bins: int,
        batch_size: int,
        draws: EpochDraws | None = None,
        share: Share | None = None,
        change: Change | None = None,
    ) -> None:
        self.regions = lay_regions(store, indices, bins)
        self.length = (bins - 1) * self.regions.step + store.window
        super().__init__(store, indices, batch_size, draws, share, change)
        self._rows, self._per_batch = np.arange(len(self.regions)), max(1, batch_size // bins)

    def size_of(self, position: int) -> int:
        """Windows of a batch of an epoch, over all processes, on average."""
        low = position * self._per_batch
        n, windows = len(self.regions), self.indices.size
        return (low + self._rows_in(position)) * windows // n - low * windows // n

    def windows_of(self, epoch: int, position: int) -> NDArray[np.int64]:
        """Store indices of the windows of a batch of an epoch, over all processes."""
        windows = self.regions.windows[super().windows_of(epoch, position)].ravel()
        return windows[windows >= 0]

    def _on_host(self) -> RegionReader:
        store = self.store
        parts = (store.layout.codes, store.packed_labels, store.packed_known)
        codes, labels, known = (None if part is None else torch.from_numpy(_writable(part)) for part in parts)
        assert codes is not None
        assert labels is not None
        return RegionReader(self.regions, codes, labels, known, len(store.tasks), self.length)

    def _on_device(self, copy: DeviceWindows) -> RegionReader:
        return RegionReader(self.regions, copy.bases, copy.labels, copy.known, copy.tasks, self.length)


def _writable(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The array, copied if it is read-only: PyTorch warns of those."""
    return np.require(array, requirements=["C", "W"])
