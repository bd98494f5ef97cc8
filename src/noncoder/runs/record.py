"""Records of what results were made from, by which a stage knows whether an earlier result can be used again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noncoder.files import plain_json, read_json, read_json_or_none, write_json

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Record:
    """What a result is made from now, and the file that says what an earlier one was made from.

    Args:
        path: The file.
        now: Settings and digests of inputs, as JSON values.
        strict: Raise where the file is damaged; otherwise it counts as missing, and a message is printed.
    """

    path: Path
    now: Mapping[str, Any]
    strict: bool = False

    def before(self) -> dict[str, Any] | None:
        """The content of the file; None where there is none.

        Raises:
            InputError: It is damaged, and the record is strict.
        """
        return read_json(self.path) if self.strict else read_json_or_none(self.path)

    def is_same(self, *keys: str) -> bool:
        """Whether the earlier result was made from the same.

        Args:
            keys: Compare these only.
        """
        before, now = self.before(), json.loads(json.dumps(plain_json(self.now)))
        if before is None:
            return False
        return all(before.get(key) == now.get(key) for key in keys) if keys else before == now

    def differences(self) -> str:
        """The keys that differ, with both values."""
        return "; ".join(differences(self.before() or {}, json.loads(json.dumps(plain_json(self.now)))))

    def write(self) -> None:
        """Writes what the result is made from now."""
        write_json(self.path, self.now)

    def remove(self) -> None:
        """Removes the file, so that nothing passes for an earlier result."""
        self.path.unlink(missing_ok=True)


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """Which of two nested values differ, such as "train.epochs was 1.0, now 2.0".

    Args:
        old: JSON values.
        new: JSON values.
        key: The dotted key of both.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for name in dict.fromkeys((*old, *new))
            for line in differences(old.get(name), new.get(name), f"{key}.{name}" if key else name)
        ]
    if old == new:
        return []
    if all(isinstance(value, str) and _DIGEST.fullmatch(value) for value in (old, new)):
        return [f"{key} has changed (its digest was {old[:12]}, now {new[:12]})"]
    return [f"{key} was {json.dumps(old)}, now {json.dumps(new)}"]
