"""The objective of a design, the positions that may change, and the best sequences so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from noncoder.data.loading import one_hot
from noncoder.models import SequenceModel
from noncoder.predictor.inference import strand_logits, strands_of
from noncoder.sequence.encoding import N_CODE

NOWHERE = float("-inf")


@dataclass(frozen=True)
class Objective:
    """The score to maximize.

    Args:
        task: Column of the task.
        against: Column of a second task; None for none.
        mode: "contrast", the logit of the task minus that of the second; "hold", minus the distance of the second's
            logit from its initial value.
        weight: Weight of the second task.
        edit_weight: Cost of each changed base, in logits.
        gc_weight: Cost of each percent of GC content away from the start's, in logits.
        strands: "forward", or "both" for the logit of the mean probability of the two strands, as in predictions.
    """

    task: int
    against: int | None = None
    mode: Literal["contrast", "hold"] = "contrast"
    weight: float = 1.0
    edit_weight: float = 0.0
    gc_weight: float = 0.0
    strands: Literal["forward", "both"] = "forward"


@dataclass
class Problem:
    """R sequences that are designed side by side.

    Args:
        model: The model, inside `noncoder.predictor.inference.differentiating`.
        objective: The score.
        starts: Codes (R, L) on the model's device; N stays N.
        allowed: Positions that may change, (R, L).
        most_edits: Largest number of edits per sequence; None for no limit.
        limit: Largest number of evaluations per sequence.
        batch_size: Sequences per forward pass.
        generator: Source of random numbers.
        bar: Progress bar.
    """

    model: SequenceModel
    objective: Objective
    starts: Tensor
    allowed: Tensor
    most_edits: int | None
    limit: int
    batch_size: int
    generator: torch.Generator
    bar: tqdm[Any] | None = None
    spent: float = 0.0
    """Evaluations per sequence so far: one for each strand in a forward pass, one more for each backward pass."""
    best: Tensor = field(init=False)
    scores: Tensor = field(init=False)
    history: list[tuple[float, list[float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.allowed = self.allowed & (self.starts < N_CODE)
        self._first = one_hot(self.starts)
        self._gc = self._first[:, 1:3].sum(dim=(1, 2)) / self._first.sum(dim=(1, 2)).clamp(min=1)
        self._held = torch.zeros(len(self.starts), device=self.starts.device)
        if self.objective.against is not None:
            with torch.no_grad():
                self._held = self._logits(self._first)[:, 1]
        self.best = self.starts.clone()
        self.scores = self.score(self.starts, self.rows)
        self._note()

    @property
    def rows(self) -> Tensor:
        """The index of each sequence, (R,)."""
        return torch.arange(len(self.starts), device=self.starts.device)

    def affords(self, cost: float) -> bool:
        """Whether so many further evaluations per sequence are within the limit."""
        return self.spent + cost * self._strands <= self.limit

    def score(self, codes: Tensor, rows: Tensor) -> Tensor:
        """Returns scores (m,) of codes (m, L), which are versions of the sequences `rows` (m,)."""
        with torch.no_grad():
            parts = [
                self._score(one_hot(part), row)
                for part, row in zip(
                    torch.split(codes, self.batch_size), torch.split(rows, self.batch_size), strict=True
                )
            ]
        self.spent += self._strands * len(codes) / len(self.starts)
        return torch.cat(parts)

    def score_through(self, x: Tensor) -> Tensor:
        """Returns scores (R,) of one-hot sequences (R, 4, L), differentiably; the backward pass is counted too."""
        self.spent += 2 * self._strands * len(x) / len(self.starts)
        parts = zip(torch.split(x, self.batch_size), torch.split(self.rows, self.batch_size), strict=True)
        return torch.cat([self._score(part, row) for part, row in parts])

    def slopes(self, codes: Tensor) -> Tensor:
        """Returns the gradient of the scores of codes (R, L) by their one-hot encoding, (R, 4, L)."""
        x = one_hot(codes).requires_grad_()
        (slopes,) = torch.autograd.grad(self.score_through(x).sum(), x)
        return slopes

    def offer(self, codes: Tensor, scores: Tensor) -> None:
        """Records those of codes (R, L) that score higher than all before."""
        better = scores > self.scores
        self.best[better], self.scores[better] = codes[better], scores[better]
        self._note()

    def trim(self, codes: Tensor, rows: Tensor, worth: Tensor) -> Tensor:
        """Reverts the least valuable edits of sequences with more edits than allowed.

        Args:
            codes: (m, L), versions of the sequences `rows`.
            rows: (m,).
            worth: Value of the edit at each position, (m, L).
        """
        if self.most_edits is None:
            return codes
        edited = codes != self.starts[rows]
        rank = worth.masked_fill(~edited, NOWHERE).argsort(dim=1, descending=True).argsort(dim=1)
        return torch.where(edited & (rank >= self.most_edits), self.starts[rows], codes)

    @property
    def _strands(self) -> int:
        return len(strands_of(self.objective.strands))

    def _logits(self, x: Tensor) -> Tensor:
        columns = [self.objective.task, *([] if self.objective.against is None else [self.objective.against])]
        return strand_logits(self.model, x, self.objective.strands)[:, columns].float()

    def _score(self, x: Tensor, rows: Tensor) -> Tensor:
        goal = self.objective
        logits = self._logits(x)
        score = logits[:, 0]
        if goal.against is not None:
            other = logits[:, 1]
            score = score - goal.weight * (other if goal.mode == "contrast" else (other - self._held[rows]).abs())
        if goal.edit_weight:
            first = self._first[rows]
            score = score - goal.edit_weight * (first.sum(dim=(1, 2)) - (x * first).sum(dim=(1, 2)))
        if goal.gc_weight:
            gc = x[:, 1:3].sum(dim=(1, 2)) / self._first[rows].sum(dim=(1, 2)).clamp(min=1)
            score = score - goal.gc_weight * 100 * (gc - self._gc[rows]).abs()
        return score

    def _note(self) -> None:
        self.history.append((self.spent, self.scores.tolist()))
        if self.bar is not None:
            self.bar.update(self.spent - self.bar.n)
