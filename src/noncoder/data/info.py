"""Description of a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from noncoder.data.tasks import Task

FORMAT_VERSION = 1


SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class StoreInfo:
    """Description of a store.

    Args:
        window: Length of the model's input, bp.
        bin: Width of the labelled centre of the window, bp.
        tasks: The columns of the labels.
        label_rule: Rule of the labels, e.g. "overlap:0.5" or "summit".
        genome: Name of the genome; empty for none.
        coordinates: Whether the contigs have genome coordinates, which regions, tracks and tables by chromosome need;
            a table's records and stitched windows have none.
        split_rule: Rule of the splits, e.g. "regions: valid VII; test IV".
        sources: Name and SHA-256 of each source file.
        dropped: Data that were left out: "what", "count" and "why".
        notes: Remarks for readers, one sentence each.
        version: The package version that wrote it.
    """

    window: int
    bin: int
    tasks: tuple[Task, ...]
    label_rule: str = ""
    genome: str = ""
    coordinates: bool = False
    sources: tuple[Mapping[str, str], ...] = ()
    dropped: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    version: str = ""
    split_rule: str = ""
    format_version: int = field(default=FORMAT_VERSION)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return values | {
            "tasks": [task.to_dict() for task in self.tasks],
            "sources": [dict(source) for source in self.sources],
            "dropped": [dict(drop) for drop in self.dropped],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StoreInfo:
        """The inverse of `to_dict`; unknown keys are ignored."""
        known: dict[str, Any] = {"coordinates": _had_coordinates(values)}
        known |= {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        return cls(
            **known
            | {
                "tasks": tuple(Task(**task) for task in values["tasks"]),
                "sources": tuple(values.get("sources", ())),
                "dropped": tuple(values.get("dropped", ())),
                "notes": tuple(values.get("notes", ())),
            }
        )


def _had_coordinates(values: Mapping[str, Any]) -> bool:
    """Whether a store from before the field `coordinates` is of a genome, not of a table or a bundle."""
    stitched = any(str(source.get("name", "")).endswith(".mat") for source in values.get("sources", ()))
    return bool(values.get("genome")) and values.get("label_rule") != "as given" and not stitched
