"""The content of a design, as JSON.

`design.json` of a task (R sequences, the best first; T tasks):

    {"format": 1, "task": "CTCF", "against": name or null, "mode": "contrast", "method": "guided", "window": 1000,
     "bin": 200, "settings": {…}, "tasks": [T names],
     "starts": [R texts], "sequences": [R texts], "edits": [R], "score": {"before": [R], "after": [R]},
     "logits": {"before": [R][T], "after": [R][T]}, "reverse_logits": [R][T],
     "probabilities": {"before": [R][T], "after": [R][T]},
     "history": {"evaluations": [H], "best": [H][R]}, "evaluations": n, "seconds": s,
     "reference": {"windows": n, "quantiles": {"0.5": logit, "0.9": …, "0.99": …, "0.999": …, "1": …},
                   "share_below": [R]} or null,
     "hits": [{"motif", "row", "start", "end", "strand", "score"}],
     "warnings": [text]}

`logits` are of the forward strand and `reverse_logits` of the other strand of the designed sequences; `probabilities`
are the predictor's, of both strands and calibrated if the predictor is. `score` is the objective: the task's logit
minus the terms of the second task and the regularisers. `evaluations` count, per sequence, each strand read in a
forward pass as one and each backward pass as another. `reference` has the task's logits of real windows on the forward
strand, and the fraction of these that each design exceeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.files import plain_json
from noncoder.sequence.encoding import encode_batch

FORMAT = 1


@dataclass(frozen=True)
class Design:
    """Designed sequences with the model's predictions; see the module's docstring."""

    task: str
    against: str | None
    mode: str
    method: str
    window: int
    bin: int
    settings: dict[str, Any]
    tasks: list[str]
    starts: list[str]
    sequences: list[str]
    edits: list[int]
    score: dict[str, list[float]]
    logits: dict[str, list[list[float]]]
    reverse_logits: list[list[float]]
    probabilities: dict[str, list[list[float]]]
    history: dict[str, Any]
    evaluations: int
    seconds: float
    reference: dict[str, Any] | None
    hits: list[dict[str, Any]]
    warnings: list[str]

    @property
    def codes(self) -> NDArray[np.uint8]:
        """The designed sequences, uint8 (R, L)."""
        return encode_batch(self.sequences)

    def summary(self) -> dict[str, Any]:
        """The main numbers."""
        column = self.tasks.index(self.task)
        after = [row[column] for row in self.logits["after"]]
        return {
            "task": self.task,
            "against": self.against,
            "method": self.method,
            "sequences": len(self.sequences),
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "logit_before": float(np.mean([row[column] for row in self.logits["before"]])),
            "logit_after": float(np.mean(after)),
            "logit_best": float(max(after)),
            "edits": float(np.mean(self.edits)),
            "above_all_windows": None if self.reference is None else sum(v == 1 for v in self.reference["share_below"]),
            "with_motif": {
                name: len({hit["row"] for hit in self.hits if hit["motif"] == name})
                for name in dict.fromkeys(hit["motif"] for hit in self.hits)
            },
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values."""
        plain: dict[str, Any] = plain_json({"format": FORMAT, **asdict(self)})
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Design:
        """The inverse of `to_dict`.

        Raises:
            InputError: It is of another format, or something is missing.
        """
        if values.get("format") != FORMAT:
            raise InputError(f"a design of format {values.get('format')}", expected=f"format {FORMAT}")
        missing = [field.name for field in fields(cls) if field.name not in values]
        if missing:
            raise InputError(f"a damaged design: {missing[0]} is missing", hint="make it again")
        return cls(**{field.name: values[field.name] for field in fields(cls)})
