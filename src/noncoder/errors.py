"""Errors that a user can fix: what was found, what was expected, and a hint."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class NoncoderError(Exception):
    """A user's mistake, reported in one message; the command line exits with code 2.

    Args:
        found: What was found, with the file, record or key.
        expected: What would have been correct.
        hint: How the user can fix it.
    """

    def __init__(self, found: str, expected: str = "", hint: str = "") -> None:
        self.found, self.expected, self.hint = found, expected, hint
        lines = [found]
        if expected:
            lines.append(f"expected: {expected}")
        if hint:
            lines.append(f"hint: {hint}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[NoncoderError], tuple[str, str, str]]:
        return type(self), (self.found, self.expected, self.hint)


class SequenceError(NoncoderError):
    """Text that is not DNA, or a region outside the genome."""


class InputError(NoncoderError):
    """A peak file, table or argument that cannot be used."""


class DownloadError(NoncoderError):
    """A file that could not be downloaded, or whose content is not the expected one."""


class StoreError(NoncoderError):
    """A dataset that is missing, damaged or in another format."""


class ConfigError(NoncoderError):
    """A recipe with a wrong key or value."""


class TrainingError(NoncoderError):
    """A training that cannot continue: its loss or gradient is not finite, or has exploded."""


class UnknownNameError(NoncoderError):
    """A name that is unknown; the message offers the nearest known name.

    Args:
        kind: What the name refers to, e.g. "model".
        name: The given name.
        known: The known names.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(
            f"no {kind} is called {name!r}", expected=_among(self.known), hint=did_you_mean(name, self.known)
        )

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, list[str]]]:  # type: ignore[override]
        return type(self), (self.kind, self.name, self.known)


def is_unwritable(error: OSError) -> bool:
    """Whether the system refuses to write: no space, no permission, no such place. Any other error is a bug."""
    codes = (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    )
    return error.errno in codes


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns "did you mean 'x'?" for the nearest known name, or an empty string if none is near."""
    folded = {option.casefold(): option for option in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f"did you mean {folded[near[0]]!r}?" if near else ""


def _among(known: list[str], most: int = 12) -> str:
    shown = ", ".join(known[:most])
    return f"one of {shown}" + (f" and {len(known) - most} more" if len(known) > most else "")
