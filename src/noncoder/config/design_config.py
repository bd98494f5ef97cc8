"""Recipe section on sequence design."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from noncoder.config.section import Section

Method = Literal["guided", "straight-through", "gumbel", "greedy", "sampled"]


class DesignConfig(Section):
    """Settings of sequence design."""

    method: Method = "guided"
    """`guided`: substitutions proposed by the gradient and confirmed by the model; `straight-through` and `gumbel`:
    gradient ascent on sequences that stay one-hot, without and with noise; `greedy`: the best of all substitutions at
    each step; `sampled`: the best of a random sample of substitutions."""
    sequences: int = Field(8, ge=1)
    """Number of sequences to design, each from its own start."""
    evaluations: int = Field(2000, ge=10)
    """Budget of each design in model evaluations: a forward pass of one strand counts one, a backward pass another."""
    mode: Literal["contrast", "hold"] = "contrast"
    """Objective for a second task: `contrast` lowers its logit; `hold` keeps its logit at the value of the start."""
    weight: float = Field(1.0, ge=0)
    """Weight of the second task's logit."""
    change: tuple[tuple[int, int], ...] = ()
    """Positions that may change, as intervals of the window such as 400-600, 0-based and half-open; by default all."""
    most_edits: int | None = Field(None, ge=1)
    """Most bases that may differ from the start; by default all."""
    edit_weight: float = Field(0.0, ge=0)
    """Penalty, in logits, for each changed base."""
    gc_weight: float = Field(0.0, ge=0)
    """Penalty, in logits, for each percentage point of GC content away from that of the start."""
    strands: Literal["forward", "both"] = "forward"
    """Strand to optimise: the logit of the forward strand, or that of both strands' mean probability at twice the
    cost."""
    learning_rate: float = Field(0.1, gt=0)
    """Learning rate of gradient ascent."""
    candidates: int = Field(8, ge=1)
    """Single substitutions that `guided` and `sampled` evaluate at each step."""
    seed: int = Field(0, ge=0)
    """Random seed of the starts and the noise."""
    batch_size: int = Field(256, ge=1)
    """Sequences per forward pass."""

    @field_validator("change", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return [part.split("-") if isinstance(part, str) else part for part in value]
