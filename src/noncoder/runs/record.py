"""Records of the inputs of results, which tell a stage whether an earlier result can be reused."""

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
    """The inputs of a result, and the file that holds the inputs of an earlier one.

    Args:
        path: The file.
        now: Settings and digests of inputs, as JSON values.
        strict: Raise an error if the file is damaged; otherwise it counts as missing, and a message is printed.
    """

    path: Path
    now: Mapping[str, Any]
    strict: bool = False

    def before(self) -> dict[str, Any] | None:
        """Reads the file; None if it does not exist.

        Raises:
            InputError: It is damaged, and the record is strict.
        """
        return read_json(self.path) if self.strict else read_json_or_none(self.path)

    def is_same(self, *keys: str) -> bool:
        """Whether the earlier result had the same inputs.

        Args:
            keys: Compare only these.
        """
        before, now = self.before(), json.loads(json.dumps(plain_json(self.now)))
        if before is None:
            return False
        return all(before.get(key) == now.get(key) for key in keys) if keys else before == now

    def differences(self) -> str:
        """Lists the keys that differ, with both values."""
        return "; ".join(differences(self.before() or {}, json.loads(json.dumps(plain_json(self.now)))))

    def write(self) -> None:
        """Writes the inputs of the current result."""
        write_json(self.path, self.now)

    def remove(self) -> None:
        """Removes the file, so that no result counts as an earlier one."""
        self.path.unlink(missing_ok=True)


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """Lists the differences of two nested values, such as "train.epochs was 1.0, now 2.0".

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
