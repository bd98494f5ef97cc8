"""How sequences are designed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from noncoder.config.base import Section

Method = Literal["guided", "straight-through", "gumbel", "greedy", "sampled"]


class DesignSettings(Section):
    """How sequences are designed."""

    method: Method = "guided"
    """`guided`, substitutions that the gradient proposes and the model confirms; `straight-through` and `gumbel`,
    gradient ascent on sequences that stay one-hot, without and with noise; `greedy`, the best of all substitutions at
    each step; `sampled`, the best of some random ones."""
    sequences: int = Field(8, ge=1)
    """How many are designed, each from its own start."""
    evaluations: int = Field(2000, ge=10)
    """What each may cost: a strand that the model reads is one, the way back of a gradient another."""
    mode: Literal["contrast", "hold"] = "contrast"
    """What becomes of a second task: `contrast`, its logit is made low; `hold`, it stays where it was."""
    weight: float = Field(1.0, ge=0)
    """What a logit of the second task counts."""
    change: tuple[tuple[int, int], ...] = ()
    """Which positions may change, as intervals of the window such as 400-600, 0-based and half-open; by default all."""
    most_edits: int | None = Field(None, ge=1)
    """How many bases may differ from the start; by default all."""
    edit_weight: float = Field(0.0, ge=0)
    """Logits that each changed base costs."""
    gc_weight: float = Field(0.0, ge=0)
    """Logits that each percent of GC away from the start's costs."""
    strands: Literal["forward", "both"] = "forward"
    """Whose logit is made high: the forward strand's, or that of both strands' mean probability at twice the cost."""
    learning_rate: float = Field(0.1, gt=0)
    """Of gradient ascent."""
    candidates: int = Field(8, ge=1)
    """Single substitutions that `guided` and `sampled` measure at each step."""
    seed: int = Field(0, ge=0)
    """Draws starts and noise."""
    batch_size: int = Field(256, ge=1)
    """Sequences a forward pass."""

    @field_validator("change", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return [part.split("-") if isinstance(part, str) else part for part in value]
