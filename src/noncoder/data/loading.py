"""Loads batches of a store on a device.

The windows of a batch, their strands, shifts and changes depend only on the seed and the number of the epoch: they are
the same on a CPU and on a GPU, in one process and in several, in a run and in a resumed one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from weakref import WeakValueDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noncoder.data.store import Store
from noncoder.errors import InputError
from noncoder.sequence.encoding import reverse_complement

# A change of windows: codes (n, L), random keys of the windows (n,), epochs so far -> codes (n, L).
Change = Callable[[Tensor, Tensor, float], Tensor]


class Mixed(NamedTuple):
    """The windows with which those of a batch are mixed.

    Args:
        codes: uint8 (n, L).
        labels: uint8 (n, T), or (n, R, T) for regions of R bins, 0 or 1.
        share: float32 (n,), from 0 to 1: weight of the batch's own window in each mixture.
    """

    codes: Tensor
    labels: Tensor
    share: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Mixed:
        """Copies the windows to another device."""
        return Mixed(*(part.to(device, non_blocking=non_blocking) for part in self))


class Batch(NamedTuple):
    """Windows of a store, as bytes, so that little is transferred to the device.

    Args:
        codes: uint8 (n, L).
        labels: uint8 (n, T), or (n, R, T) for regions of R bins, 0 or 1.
        known: bool with the shape of the labels, whether the label is known, in mixtures both labels; None if all are.
        whole: Windows of the batch in all processes together.
        mixed: Windows that are mixed in; None for none.
        stands_in: Whether its windows only fill the place of an empty part, for a process without windows of the batch.
        full: Whether it has as many windows or regions as most batches.
    """

    codes: Tensor
    labels: Tensor
    known: Tensor | None
    whole: int = 0
    mixed: Mixed | None = None
    stands_in: bool = False
    full: bool = True

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Copies the batch to another device."""
        known = None if self.known is None else self.known.to(device, non_blocking=non_blocking)
        codes, labels = (part.to(device, non_blocking=non_blocking) for part in (self.codes, self.labels))
        mixed = None if self.mixed is None else self.mixed.to(device, non_blocking)
        return self._replace(codes=codes, labels=labels, known=known, mixed=mixed)

    def inputs(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns the inputs of training: bases (n, 4, L), labels and which are known, (n, T) or (n R, T).

        With mixup (Zhang et al. 2018, arXiv:1710.09412), bases and labels are weighted sums of two windows.
        """
        x = one_hot(self.codes)
        labels = self.labels
        if self.mixed is not None:
            share = self.mixed.share
            x = torch.lerp(one_hot(self.mixed.codes), x, share[:, None, None])
            labels = torch.lerp(self.mixed.labels.float(), labels.float(), share.view(-1, *[1] * (labels.ndim - 1)))
        return x, labels.flatten(0, -2), None if self.known is None else self.known.flatten(0, -2)


@dataclass(frozen=True)
class EpochDraws:
    """What is random in each epoch.

    Args:
        seed: Random seed.
        shuffle: Whether the windows are in random order.
        random_strand: Whether each window is read from a random strand.
        shift: Largest shift of each window in either direction, bp.
        weights: Weights, (n,), by which windows are drawn, some several times per epoch and some not at all; None for
            each once.
        mix: Parameter of Beta(mix, mix), from which the weight is drawn with which another window of the epoch is mixed
            into each window; 0 for none.
    """

    seed: int = 0
    shuffle: bool = False
    random_strand: bool = False
    shift: int = 0
    weights: NDArray[np.float64] | None = None
    mix: float = 0


class Share(NamedTuple):
    """The part of each batch that one of several processes reads.

    Args:
        rank: Index of the process.
        ranks: Number of processes.
        least: Least number of windows per process if the batch has enough: 2 if a batch norm needs them, else 1.
    """

    rank: int = 0
    ranks: int = 1
    least: int = 1

    def of(self, n: int) -> tuple[int, int]:
        """Returns first window and end of this process's part of n windows; equal if nothing is left for it."""
        units = n // self.least
        first, end = (self.least * (units * rank // self.ranks) for rank in (self.rank, self.rank + 1))
        return first, n if self.rank + 1 == self.ranks else end


class Pass(NamedTuple):
    """The random draws of one epoch, one per window, (n,); no partners and shares without mixup."""

    order: NDArray[np.int64]
    reverse: NDArray[np.bool_]
    shift: NDArray[np.int64]
    keys: NDArray[np.int64]
    partner: NDArray[np.int64]
    share: NDArray[np.float32]


class _Place(Protocol):
    """Reads windows in memory or on a device."""

    def put(self, array: NDArray[Any]) -> Any:
        """Copies an array to the place of reading."""

    def read(self, indices: Any, reverse: Any, shift: Any | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns codes, labels, and which are known, of n windows."""


class Batches:
    """The windows of a split in batches; one iteration is one epoch.

    The position within an epoch is kept: `state_dict` between two batches, loaded into another object with the same
    arguments, continues with the next batch.

    Args:
        store: The dataset.
        indices: Store indices of the windows, (n,).
        batch_size: Windows per batch. The last batch of an epoch may be smaller; a single remaining window, for which
            batch norm is undefined, is added to the batch before it.
        draws: What is random; by default nothing, and the windows are in order.
        share: The part of each batch that this process reads. A process without windows in a small batch reads the
            batch's first windows with unknown labels.
        change: Applied to the codes of a batch.

    Raises:
        InputError: There is no window.
    """

    def __init__(
        self,
        store: Store,
        indices: NDArray[np.int64],
        batch_size: int,
        draws: EpochDraws | None = None,
        share: Share | None = None,
        change: Change | None = None,
    ) -> None:
        if indices.size == 0:
            raise InputError(
                f"{store.path} has no window in the requested split", hint="build the store with this split"
            )
        self.store, self.indices, self.batch_size = store, indices, batch_size
        self.draws, self.share, self.change = draws or EpochDraws(), share or Share(), change
        self.epoch = 0
        self.position = 0
        self.seconds = 0.0
        """Seconds spent on reading so far, wall-clock time."""
        self._rows, self._per_batch = indices, batch_size
        self._place = self._on_host()

    def __len__(self) -> int:
        """Batches per epoch."""
        whole, left = divmod(self._rows.size, self._per_batch)
        return whole + (left > 1 or not whole)

    def __iter__(self) -> Iterator[Batch]:
        if self.position >= len(self):
            self.epoch, self.position = self.epoch + 1, 0
        began = time.perf_counter()
        drawn = self.draw(self.epoch)
        placed = Pass(*(self._place.put(part) for part in drawn._replace(order=self._rows[drawn.order])))
        self.seconds += time.perf_counter() - began
        while self.position < len(self):
            began = time.perf_counter()
            rows, stand_in = self._rows_of_process()
            codes, labels, known = self._read(placed, rows)
            mixed = None
            if self.draws.mix:
                other_codes, other_labels, also = self._read(placed, placed.partner[rows])
                mixed = Mixed(other_codes, other_labels, torch.as_tensor(placed.share[rows]))
                known = None if known is None or also is None else known & also
            if stand_in:
                known = torch.zeros_like(labels, dtype=torch.bool)
            whole, full = self.size_of(self.position), self._rows_in(self.position) == self._per_batch
            self.position += 1
            self.seconds += time.perf_counter() - began
            yield Batch(codes, labels, known, whole, mixed, stand_in, full)
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """Returns the number of the epoch and of the next batch in it."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restores the position of `state_dict`."""
        self.epoch, self.position = state["epoch"], state["position"]

    def move(self, device: torch.device | str) -> bool:
        """Reads on a device from now on, with a copy of the whole store: one byte per base, one bit per label.

        Returns:
            Whether it fits; if not, or on a CPU, windows are read in the process's memory.
        """
        device = torch.device(device)
        if device.type != "cuda":
            self._place = self._on_host()
            return device.type == "cpu"
        key = (str(device), self.store.digest)
        if key not in _copies and bytes_on_device(self.store) > torch.cuda.mem_get_info(device)[0] // 2:
            return False
        self._place = self._on_device(_on_device(self.store, device))
        return True

    def _on_host(self) -> _Place:
        return _Host(self.store)

    def _on_device(self, copy: DeviceWindows) -> _Place:
        return copy

    def windows_of(self, epoch: int, position: int) -> NDArray[np.int64]:
        """Returns the store indices of a batch's windows, over all processes."""
        low = position * self._per_batch
        return self._rows[self.draw(epoch).order[low : low + self._rows_in(position)]]

    def size_of(self, position: int) -> int:
        """Returns the number of windows of a batch, over all processes."""
        return self._rows_in(position)

    def _rows_in(self, position: int) -> int:
        last = position == len(self) - 1
        return self._rows.size - position * self._per_batch if last else self._per_batch

    def draw(self, epoch: int) -> Pass:
        """Draws the random numbers of an epoch."""
        draws, n = self.draws, self._rows.size
        rng = np.random.Generator(np.random.Philox(key=np.array([draws.seed, epoch], dtype=np.uint64)))
        order = np.arange(n)
        if draws.weights is not None:
            order = rng.permutation(_spread(draws.weights, n, rng.random()))
        elif draws.shuffle:
            order = rng.permutation(n)
        reverse = rng.integers(0, 2, n).astype(bool) if draws.random_strand else np.zeros(n, dtype=bool)
        shift = rng.integers(-draws.shift, draws.shift + 1, n) if draws.shift else np.zeros(n, dtype=np.int64)
        limits = np.iinfo(np.int64)
        keys = rng.integers(limits.min, limits.max, n) if self.change is not None else np.zeros(n, dtype=np.int64)
        partner, share = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        if draws.mix:
            partner, share = rng.permutation(n), rng.beta(draws.mix, draws.mix, n).astype(np.float32)
        return Pass(order, reverse, shift, keys, partner, share)

    def _read(self, placed: Pass, rows: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns codes, labels, and which are known, for rows of an epoch."""
        moved = placed.shift[rows] if self.draws.shift else None
        codes, labels, known = self._place.read(placed.order[rows], placed.reverse[rows], moved)
        if self.change is not None:
            codes = self.change(codes, torch.as_tensor(placed.keys[rows]), self.epoch + self.position / len(self))
        return codes, labels, known

    def _rows_of_process(self) -> tuple[slice, bool]:
        """Returns the rows of the epoch that this process reads next, and whether they only fill an empty part."""
        low = self.position * self._per_batch
        first, end = self.share.of(self._rows_in(self.position))
        if first == end:
            return slice(low, low + self.share.least), True
        return slice(low + first, low + end), False


class _Host:
    """Reads windows in the process's memory."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def put(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def read(
        self, indices: NDArray[np.int64], reverse: NDArray[np.bool_], shift: NDArray[np.int64] | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        codes = torch.from_numpy(self.store.read_codes(indices, reverse, shift))
        known: Any = self.store.read_known(indices)
        labels = torch.from_numpy(self.store.read_labels(indices))
        return codes, labels, None if known is None else torch.from_numpy(known)


class DeviceWindows:
    """A store on a device, with the functions of `Store.read_codes` and `Store.read_labels`.

    Args:
        store: The dataset.
        device: The device.
    """

    def __init__(self, store: Store, device: torch.device | str) -> None:
        self.device, self.tasks = torch.device(device), len(store.tasks)
        layout = store.layout
        self.bases = self.put(layout.codes)
        self.codes = self.bases.unfold(0, store.window, 1)
        self.rows, self.first, self.last = (self.put(part) for part in (layout.row, layout.first, layout.last))
        self.labels = self.put(store.packed_labels)
        self.known = None if store.packed_known is None else self.put(store.packed_known)
        self._bits = torch.arange(7, -1, -1, dtype=torch.uint8, device=self.device)

    def put(self, array: NDArray[Any]) -> Tensor:
        """Copies an array to the device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def read(self, indices: Tensor, reverse: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns codes (n, L), labels (n, T), and which are known or None, of n windows, without waiting."""
        rows = self.rows[indices]
        if shift is not None:
            rows = torch.minimum(torch.maximum(rows + shift, self.first[indices]), self.last[indices])
        codes = self.codes[rows]
        codes = torch.where(reverse[:, None], reverse_strand(codes), codes)
        known = None if self.known is None else self._unpack(self.known[indices]).bool()
        return codes, self._unpack(self.labels[indices]), known

    def _unpack(self, packed: Tensor) -> Tensor:
        return ((packed[:, :, None] >> self._bits) & 1).flatten(1)[:, : self.tasks]


def bytes_on_device(store: Store) -> int:
    """Estimates the bytes that a store takes on a device."""
    masks = 1 if store.packed_known is None else 2
    return store.n_bases + len(store) * (3 * 8 + masks * -(-len(store.tasks) // 8))


# Training and validation read the same store, so they share one copy on a device while either of them exists.
_copies: WeakValueDictionary[tuple[object, ...], DeviceWindows] = WeakValueDictionary()


def _copy_key(device: torch.device, store: Store) -> tuple[object, ...]:
    return str(device), store.digest, store.tasks


def _on_device(store: Store, device: torch.device) -> DeviceWindows:
    key = _copy_key(device, store)
    copy = _copies.get(key)
    if copy is None:
        copy = _copies[key] = DeviceWindows(store, device)
    return copy


def _spread(weights: NDArray[np.float64], n: int, offset: float) -> NDArray[np.int64]:
    """Draws n windows by weight, evenly: each occurs floor or ceil of its expected number of times."""
    ends = np.cumsum(weights, dtype=np.float64)
    drawn = np.searchsorted(ends, (np.arange(n) + offset) * (ends[-1] / n), side="right")
    windows: NDArray[np.int64] = np.minimum(drawn, weights.size - 1).astype(np.int64)
    return windows


def one_hot(codes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Converts codes (N, L) to one-hot (N, 4, L) on their device; N becomes four zeros."""
    bases = torch.arange(4, dtype=codes.dtype, device=codes.device)
    return (codes.unsqueeze(1) == bases.view(1, 4, 1)).to(dtype)


_COMPLEMENT = reverse_complement(np.arange(5, dtype=np.uint8)[None, ::-1])[0]
_complements: dict[str, Tensor] = {}


def reverse_strand(codes: Tensor) -> Tensor:
    """Returns the reverse complement of codes (N, L), on their device."""
    place = str(codes.device)
    if place not in _complements:  # copying it for each batch would make the process wait for the device
        _complements[place] = torch.from_numpy(_COMPLEMENT).to(codes.device)
    return _complements[place][codes.flip(-1).int()]
