"""In-silico mutagenesis of complete sequences."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noncoder.bars import progress_bar
from noncoder.errors import InputError
from noncoder.interpret.mutagenesis.brute import Brute
from noncoder.interpret.mutagenesis.edits import Edits, Kind, list_edits
from noncoder.interpret.mutagenesis.families import NotLocalError, describe_trunk
from noncoder.interpret.mutagenesis.heads import choose_head
from noncoder.interpret.mutagenesis.incremental import Incremental, PreparedSequence
from noncoder.interpret.mutagenesis.result import Mutations
from noncoder.models.registry import SequenceModel
from noncoder.predictor.inference import evaluating
from noncoder.sequence.encoding import N_CODE

Strategy = Literal["auto", "incremental", "brute"]

_CHECKED = 8
"""Mutations per kind that both strategies compute to check that they agree."""


def mutate(
    model: SequenceModel,
    codes: NDArray[np.uint8],
    tasks: Sequence[int] | None = None,
    deletions: bool = False,
    insertions: bool = False,
    strategy: Strategy = "auto",
    region: tuple[int, int] | None = None,
    batch_size: int = 64,
) -> Mutations:
    """Computes the effects of all substitutions, and optionally deletions and insertions, on logits.

    The strategy "incremental" (see `windows.py`) computes only the values of the convolutions that a mutation reaches,
    then the changes in the head. "auto" uses it where the model supports it, and compares a few mutations of the first
    sequence with brute force; if they differ, it warns and uses brute force.

    Args:
        model: The model. It runs in evaluation mode; its training modes are restored afterwards.
        codes: Sequences, uint8 (n, L); L is the model's window.
        tasks: Columns of the logits, in the order of the effects; None for all. The effects of all substitutions on
            919 tasks take 15 MB per sequence of 1,000 bp.
        deletions: Also delete each base.
        insertions: Also insert each base before each position.
        strategy: "auto", "incremental", or "brute", which runs the complete model on each mutated sequence.
        region: Half-open range of the mutated positions; None for all.
        batch_size: Sequences per forward pass of the complete model.

    Raises:
        InputError: The sequences, tasks or region do not fit the model, or it does not support the incremental
            strategy.
    """
    codes = _check_codes(model, codes)
    columns = check_tasks(model, tasks)
    region = _check_region(codes, region)
    if strategy not in get_args(Strategy):
        raise InputError(f"strategy {strategy!r}", expected="auto, incremental or brute")
    if batch_size < 1:
        raise InputError(f"batches of {batch_size} sequences", expected="at least one")
    wanted: dict[Kind, bool] = {"substitution": True, "deletion": deletions, "insertion": insertions}
    kinds = [kind for kind, chosen in wanted.items() if chosen]
    with evaluating(model):
        engine = _Mutagenesis(model, strategy, batch_size)
        effects: dict[Kind, NDArray[np.float32]] = {kind: _empty(kind, codes, region, len(columns)) for kind in kinds}
        reference = np.empty((len(codes), len(columns)), dtype=np.float32)
        steps = sum(len(list_edits(kind, row, region)) for row in codes for kind in kinds)
        with progress_bar(total=steps, desc="mutations", unit="", leave=False) as bar:
            for i, row in enumerate(codes):
                own = engine.brute.predict(row[None])[0, list(columns)]
                reference[i] = own.cpu().numpy()
                edits = [list_edits(kind, row, region) for kind in kinds]
                for part, logits in engine.logits(row, edits, columns):
                    _write(effects[part.kind][i], part, logits - own)
                    bar.update(len(part))
    return Mutations(
        codes, columns, region, reference, effects["substitution"], effects.get("deletion"), effects.get("insertion"),
        engine.strategy,
    )  # fmt: skip


class _Mutagenesis:
    """Incremental evaluation where the model supports it and it agrees with brute force; else brute force."""

    def __init__(self, model: SequenceModel, strategy: Strategy, batch_size: int) -> None:
        weight = next(model.parameters())
        self.brute = Brute(model, batch_size)
        self.incremental: Incremental | None = None
        self.unchecked = strategy == "auto"
        if strategy == "brute":
            self.strategy = "brute force, as requested"
            return
        try:
            trunk = describe_trunk(model)
        except NotLocalError as error:
            if strategy == "incremental":
                raise InputError(
                    f"{model.name}: {error}",
                    expected="a model whose convolutions are described in interpret/mutagenesis/families.py",
                    hint="strategy='brute'",
                ) from None
            self.strategy = f"brute force: {error}"
            return
        positions = trunk.full(weight.new_zeros(4, model.window))[-1].shape[0]
        head, about = choose_head(model, positions, batch_size)
        self.incremental = Incremental(trunk, head, weight.device, weight.dtype)
        self.strategy = f"incremental: convolutions where a mutation reaches, {about}"

    def logits(
        self, codes: NDArray[np.uint8], kinds: Sequence[Edits], tasks: Sequence[int]
    ) -> Iterator[tuple[Edits, Tensor]]:
        """Yields batches of the mutations of codes (L,) with their logits (m, tasks)."""
        prepared = None if self.incremental is None else self.incremental.prepare(codes)
        if prepared is not None and self.unchecked:
            self.unchecked = False
            self._compare(prepared, kinds, tasks)
        for edits in kinds:
            if self.incremental is None or prepared is None:
                yield from self.brute.logits(codes, edits, tasks)
            else:
                yield from self.incremental.logits(prepared, edits, tasks)

    def _compare(self, prepared: PreparedSequence, kinds: Sequence[Edits], tasks: Sequence[int]) -> None:
        """Compares a few mutations with brute force; if their logits differ, switches to brute force."""
        assert self.incremental is not None
        random = np.random.default_rng(0)
        for edits in kinds:
            rows = np.unique(np.append(random.integers(0, len(edits), _CHECKED - 2), [0, len(edits) - 1]))
            few = edits.take(rows)
            plain = torch.cat([logits for _, logits in self.brute.logits(prepared.codes, few, tasks)])
            ours = torch.cat([logits for _, logits in self.incremental.logits(prepared, few, tasks)])
            error = float((plain - ours).abs().max())
            if not error <= _tolerance(plain):
                warnings.warn(
                    f"mutagenesis falls back to brute force: incremental logits of {edits.kind}s differ by up to "
                    f"{error:.2g}",
                    stacklevel=4,
                )
                self.incremental, self.strategy = None, f"brute force: incremental logits differed by {error:.2g}"
                return


def _tolerance(logits: Tensor) -> float:
    # TF32, the default of convolutions on a GPU, keeps three digits.
    rough = logits.is_cuda and torch.backends.cudnn.allow_tf32
    return (1e-2 if rough else 1e-4) * max(1.0, float(logits.abs().max()))


def _write(effects: NDArray[np.float32], edits: Edits, values: Tensor) -> None:
    found = values.float().cpu().numpy()
    if edits.kind == "deletion":
        effects[edits.position] = found
    else:
        effects[edits.base, edits.position] = found


def _empty(kind: Kind, codes: NDArray[np.uint8], region: tuple[int, int], tasks: int) -> NDArray[np.float32]:
    """Returns effects of NaN; substitutions within the region are 0, which remains for the present bases."""
    n, length = codes.shape
    shape = (n, length, tasks) if kind == "deletion" else (n, 4, length, tasks)
    effects = np.full(shape, np.nan, dtype=np.float32)
    if kind == "substitution":
        effects[:, :, slice(*region)] = 0
    return effects


def _check_codes(model: SequenceModel, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != model.window:
        raise InputError(
            f"sequences of shape {codes.shape}",
            expected=f"(n, {model.window}), the window of {model.name or 'the model'}",
        )
    if codes.size and (codes.dtype.kind not in "ui" or codes.min() < 0 or codes.max() > N_CODE):
        raise InputError("codes outside 0 to 4", expected="A, C, G, T, N as 0, 1, 2, 3, 4")
    return codes.astype(np.uint8, copy=False)


def check_tasks(model: SequenceModel, tasks: Sequence[int] | None) -> tuple[int, ...]:
    """Returns the columns of tasks, of all tasks for None.

    Raises:
        InputError: No task is given, or the model has no such column.
    """
    columns = tuple(range(model.tasks)) if tasks is None else tuple(int(task) for task in tasks)
    wrong = [task for task in columns if not 0 <= task < model.tasks]
    if wrong or not columns:
        found = f"task {wrong[0]}" if wrong else "no task"
        raise InputError(found, expected=f"columns of the model's logits, 0 to {model.tasks - 1}")
    return columns


def _check_region(codes: NDArray[np.uint8], region: tuple[int, int] | None) -> tuple[int, int]:
    begin, end = (0, codes.shape[1]) if region is None else region
    if not 0 <= begin < end <= codes.shape[1]:
        raise InputError(f"a region from {begin} to {end}", expected=f"0 <= start < end <= {codes.shape[1]}")
    return int(begin), int(end)
