"""The content of a grammar: mean effects with intervals, as JSON.

`grammar.json` of a task:

    {"format": 1, "task": "GATA3+SPI1", "window": 1000, "bin": 200, "level": 0.95, "instances": "consensus",
     "backgrounds": {"n": 100, "seed": 0, "logit": EFFECT, "chance": {MOTIF: share of the backgrounds that hold it}},
     "marginal":  [{"motif", "width", "strand", "start", "effect": EFFECT, "values": [n]}],
     "positions": [{"motif", "width", "strand", "starts": [P], "effect": EFFECT of [P]}],
     "spacing":   [{"first", "second", "widths": [2], "distances": [D], "orientations": ["++", "+-", "-+", "--"],
                    "joint": EFFECT of [4][D], "interaction": EFFECT of [4][D]}],
     "ablation":  [{"motif", "windows", "replacement", "effect": EFFECT, "sites": {"window": [S], "start": [S],
                    "end": [S]}, "site_effects": EFFECT of [S]}],
     "importance": {"k", "screened", "kmers": [M], "effect": EFFECT of [M]} or null,
     "warnings": [text]}

EFFECT is {"mean", "low", "high", "units"}: numbers, or lists of the given shape; low and high are null if there is no
interval. All are differences of logits on the forward strand, positive if the motif raises the task's logit. Positions
are 0-based in the window. The k-mers are sorted by the size of their effect, and their intervals hold for all of them
together; all others are intervals of one effect. `window` of a site is its row in the given windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

from noncoder.errors import InputError
from noncoder.files import plain_json
from noncoder.interpret.grammar.effects import Summary

FORMAT = 1


@dataclass(frozen=True)
class BackgroundRecord:
    """The backgrounds: their number, seed and logits, and the fraction that contains each motif by chance."""

    n: int
    seed: int
    logit: Summary
    chance: dict[str, float]


@dataclass(frozen=True)
class MarginalRecord:
    """The effect of a motif at one position; `values` has one per background."""

    motif: str
    width: int
    strand: str
    start: int
    effect: Summary
    values: list[float]


@dataclass(frozen=True)
class PositionRecord:
    """The effect of a motif by its start."""

    motif: str
    width: int
    strand: str
    starts: list[int]
    effect: Summary


@dataclass(frozen=True)
class SpacingRecord:
    """The joint effect of two motifs and their interaction, orientations by distances."""

    first: str
    second: str
    widths: list[int]
    distances: list[int]
    orientations: list[str]
    joint: Summary
    interaction: Summary


@dataclass(frozen=True)
class AblationRecord:
    """The contribution of a motif's sites in real windows, together and one by one."""

    motif: str
    windows: int
    replacement: str
    effect: Summary
    sites: dict[str, list[int]]
    site_effects: Summary


@dataclass(frozen=True)
class ImportanceRecord:
    """The k-mers with the largest effects; `screened` is the number of k-mers that were screened."""

    k: int
    screened: int
    kmers: list[str]
    effect: Summary


@dataclass(frozen=True)
class Grammar:
    """The grammar of one task; parts that were not requested are empty."""

    task: str
    window: int
    bin: int
    level: float
    instances: str
    backgrounds: BackgroundRecord
    marginal: list[MarginalRecord]
    positions: list[PositionRecord]
    spacing: list[SpacingRecord]
    ablation: list[AblationRecord]
    importance: ImportanceRecord | None
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values; see the module's docstring."""
        plain: dict[str, Any] = plain_json({"format": FORMAT, **_plain(self)})
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Grammar:
        """The inverse of `to_dict`.

        Raises:
            InputError: It is of another format, or something is missing.
        """
        if values.get("format") != FORMAT:
            raise InputError(f"a grammar of format {values.get('format')}", expected=f"format {FORMAT}")
        try:
            found = {name: values[name] for name in (field.name for field in fields(cls))}
            for name, kind in _LISTS.items():
                found[name] = [_record(kind, entry) for entry in values[name]]
            found["backgrounds"] = _record(BackgroundRecord, values["backgrounds"])
            importance = values["importance"]
            found["importance"] = None if importance is None else _record(ImportanceRecord, importance)
        except (KeyError, TypeError) as error:
            raise InputError(f"a damaged grammar: {error}", hint="make it again") from error
        return cls(**found)


_LISTS: dict[str, type[Any]] = {
    "marginal": MarginalRecord,
    "positions": PositionRecord,
    "spacing": SpacingRecord,
    "ablation": AblationRecord,
}

R = TypeVar("R")


def _plain(value: Any) -> Any:
    if isinstance(value, Summary):
        return value.to_dict()
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def _record(kind: type[R], values: Mapping[str, Any]) -> R:
    effects = [name for name in values if isinstance(values[name], Mapping) and "units" in values[name]]
    return kind(**{**values, **{name: Summary.from_dict(values[name]) for name in effects}})
