"""Logits of mutated sequences, computed from the features that each mutation changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noncoder.interpret.mutagenesis.change import Change, Head
from noncoder.interpret.mutagenesis.edits import Edits, Kind, shifted
from noncoder.interpret.mutagenesis.trunk import Trunk
from noncoder.interpret.mutagenesis.windows import Engine, Group, Reference, Window
from noncoder.sequence.encoding import one_hot

_BYTES = 64 << 20
"""Most memory of the changed features of one batch."""


@dataclass(frozen=True)
class PreparedSequence:
    """State of an unmutated sequence.

    Attributes:
        codes: Sequence, uint8 (L,).
        values: Values of all nodes of the trunk.
        head: State of the head.
    """

    codes: NDArray[np.uint8]
    values: list[Tensor]
    head: Any


class Incremental:
    """A model as its trunk and its head.

    Args:
        trunk: Layers up to the features.
        head: Layers after the features.
        device: Device of the weights.
        dtype: Type of the weights.
    """

    def __init__(self, trunk: Trunk, head: Head, device: torch.device, dtype: torch.dtype) -> None:
        self.trunk, self.head, self.engine = trunk, head, Engine(trunk)
        self.bases = torch.eye(5, 4, device=device, dtype=dtype)

    def prepare(self, codes: NDArray[np.uint8]) -> PreparedSequence:
        """Computes the values shared by all mutations of a sequence, codes (L,)."""
        values = self._values(codes)
        return PreparedSequence(codes, values, self.head.begin(values[-1].t()[None]))

    def logits(self, prepared: PreparedSequence, edits: Edits, tasks: Sequence[int]) -> Iterator[tuple[Edits, Tensor]]:
        """Yields batches of the mutations with their logits (m, tasks)."""
        values, kind = prepared.values, edits.kind
        after = values if kind == "substitution" else self._values(shifted(prepared.codes, kind))
        reference = Reference(values, after)
        positions, channels = values[-1].shape
        width = self._width(kind, positions)
        for part in edits.batches(max(1, _BYTES // (width * channels * self.bases.element_size()))):
            yield part, self.head.logits(prepared.head, self.change(reference, part, width), tasks)

    def change(self, reference: Reference, edits: Edits, width: int) -> Change:
        """Returns the changed features of mutations, at most `width` positions per mutation."""
        features = reference.after[-1]
        rate = self.engine.stride
        first = np.array([self.engine.span(phase, edits.kind != "deletion").start for phase in range(rate)])
        raw = first[edits.position % rate] + edits.position // rate
        start = raw.clip(0, features.shape[0] - 1)
        if edits.kind != "substitution":
            width = features.shape[0] - int(start[0])
        values = features.new_empty(len(edits), width, features.shape[1])
        for rows, group in self._groups(edits):
            window = self.engine.features(reference, group)
            _place(values, torch.from_numpy(rows), window, raw[rows[:, 0]], reference)
        return Change(torch.from_numpy(start).to(features.device), values.transpose(1, 2))

    def _width(self, kind: Kind, positions: int) -> int:
        if kind != "substitution":
            return positions
        return max(1, *(min(positions, self.engine.span(p, True).width) for p in range(self.engine.stride)))

    def _values(self, codes: NDArray[np.uint8]) -> list[Tensor]:
        x = torch.from_numpy(one_hot(codes, np.float32)).to(self.bases)
        return self.trunk.full(x)

    def _groups(self, edits: Edits) -> Iterator[tuple[NDArray[np.int64], Group]]:
        """Yields mutations with equal phases in the trunk's stride and equal counts per position, with rows (q, a)."""
        rate = self.engine.stride
        position, first, count = np.unique(edits.position, return_index=True, return_counts=True)
        phase = position % rate
        for key in sorted({*zip(phase.tolist(), count.tolist(), strict=True)}):
            members = (phase == key[0]) & (count == key[1])
            rows = first[members][:, None] + np.arange(key[1])
            bases = self.bases[torch.from_numpy(edits.base[rows].astype(np.int64)).to(self.bases.device)]
            if edits.kind == "deletion":
                bases = bases[:, :, :0]
            yield rows, Group(key[0], position[members] // rate, bases)


def _place(values: Tensor, rows: Tensor, window: Window, raw: NDArray[np.int64], reference: Reference) -> None:
    """Writes a group's features (width, q, a, C) to its rows (q, a) of all values (b, w, C), from each row's start on.

    Windows that start before the first position are cut. The positions after a window get the unmutated values after
    the mutation.
    """
    after = reference.after[-1]
    length, width = after.shape[0], min(window.span.width, values.shape[1])
    begin, end = np.searchsorted(raw, [0, length]).tolist()
    if begin < end:
        at = rows[begin:end].flatten().to(values.device)
        values[at, :width] = window.values[:width, begin:end].flatten(1, 2).transpose(0, 1)
        if width < values.shape[1]:
            following = torch.from_numpy(raw[begin:end, None] + np.arange(width, values.shape[1])).clamp_(
                max=length - 1
            )
            values[at, width:] = after[following.to(values.device)].repeat_interleave(rows.shape[1], dim=0)
    for i in range(begin):
        kept = window.values[-int(raw[i]) :, i][: values.shape[1]]
        following = torch.arange(kept.shape[0], values.shape[1]).clamp_(max=length - 1)
        values[rows[i], : kept.shape[0]] = kept.transpose(0, 1)
        values[rows[i], kept.shape[0] :] = after[following.to(values.device)]
    if end < raw.size:  # no feature reads these mutations
        values[rows[end:].flatten().to(values.device)] = reference.before[-1][-1]
