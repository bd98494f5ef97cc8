"""From a store to batches on a device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noncoder.data.store import Store
from noncoder.errors import InputError
from noncoder.sequence.encoding import reverse_complement


class Batch(NamedTuple):
    """Some windows of a store; bytes, so that little travels to the device.

    Args:
        codes: uint8 (n, L).
        labels: uint8 (n, T), 0 or 1.
        known: bool (n, T), or None where every label is known.
    """

    codes: Tensor
    labels: Tensor
    known: Tensor | None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch on another device."""
        moved = (part if part is None else part.to(device, non_blocking=non_blocking) for part in self)
        return Batch(*moved)  # type: ignore[arg-type]


def one_hot(codes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Turns codes (N, L) into one-hot (N, 4, L) on their device; N becomes four zeros."""
    bases = torch.arange(4, dtype=codes.dtype, device=codes.device)
    return (codes.unsqueeze(1) == bases.view(1, 4, 1)).to(dtype)


class Batches:
    """The windows of a split in batches; iterating once is one pass.

    The order, the strands and the shifts of a pass depend on the seed and the number of the pass alone. The position
    within a pass is kept: `state_dict` taken between two batches, loaded into another object of the same arguments,
    goes on with the next batch.

    Args:
        store: The dataset.
        indices: Which windows, (n,).
        batch_size: Windows a batch; the last batch of a pass may be smaller.
        seed: Seeds order, strands and shifts.
        shuffle: Draw a new order for each pass.
        random_strand: Read each window from a strand drawn at random.
        shift: Move each window by up to this many bp either way, drawn at random.

    Raises:
        InputError: There is no window.
    """

    def __init__(
        self,
        store: Store,
        indices: NDArray[np.int64],
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        random_strand: bool = False,
        shift: int = 0,
    ) -> None:
        if indices.size == 0:
            raise InputError(f"{store.path} has no window in this split", mend="build the store with this split")
        self.store, self.indices, self.batch_size, self.seed = store, indices, batch_size, seed
        self.shuffle, self.random_strand, self.shift = shuffle, random_strand, shift
        self.epoch = 0
        self.position = 0

    def __len__(self) -> int:
        """Batches a pass."""
        return -(-self.indices.size // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        if self.position >= len(self):
            self.epoch, self.position = self.epoch + 1, 0
        order, reverse, shift = self._draw(self.epoch)
        while self.position < len(self):
            rows = slice(self.position * self.batch_size, (self.position + 1) * self.batch_size)
            self.position += 1
            yield self._read(self.indices[order[rows]], reverse[rows], shift[rows])
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """The number of the pass and of the next batch in it."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes to where `state_dict` was taken."""
        self.epoch, self.position = state["epoch"], state["position"]

    def _draw(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
        rng = np.random.Generator(np.random.Philox(key=np.array([self.seed, epoch], dtype=np.uint64)))
        n = self.indices.size
        order = rng.permutation(n) if self.shuffle else np.arange(n)
        reverse = rng.integers(0, 2, n).astype(bool) if self.random_strand else np.zeros(n, dtype=bool)
        shift = rng.integers(-self.shift, self.shift + 1, n) if self.shift else np.zeros(n, dtype=np.int64)
        return order, reverse, shift

    def _read(self, indices: NDArray[np.int64], reverse: NDArray[np.bool_], shift: NDArray[np.int64]) -> Batch:
        codes = self.store.read_codes(indices, reverse, shift if self.shift else None)
        known: Any = self.store.read_known(indices)
        return Batch(
            torch.from_numpy(codes),
            torch.from_numpy(self.store.read_labels(indices)),
            None if known is None else torch.from_numpy(known),
        )


def reverse_strand(codes: Tensor) -> Tensor:
    """The reverse complement of codes (N, L), on their device."""
    table = torch.from_numpy(reverse_complement(np.arange(5, dtype=np.uint8)[None, ::-1])[0]).to(codes.device)
    return table[codes.flip(-1).int()]
