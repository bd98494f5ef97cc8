"""The wait for a first answer: without a network a download gives up soon, however many attempts it has."""

from __future__ import annotations

import socket
import threading
import time


class FirstAnswer:
    """The time that is left until a first answer must have come; without limit once it has.

    Args:
        seconds: How long is waited in all.
    """

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.over = False
        """Whether a server has answered."""

    def allows(self, seconds: float) -> bool:
        """Whether there is time for a pause of so many seconds."""
        return self.over or time.monotonic() + seconds < self.end

    def shorten(self, seconds: float, parts: int = 1) -> float:
        """A time limit that keeps within what is left, which `parts` waits share."""
        return seconds if self.over else min(seconds, max(0.1, (self.end - time.monotonic()) / parts))

    def look_up(self, host: str, service: str | int) -> int:
        """How many network addresses a host has; 0 where its name is not known, or not within the time that is left.

        The system looks names up without a time limit that we could set, so a thread does it that may be left alone.
        """
        found: list[int] = []

        def look() -> None:
            try:
                places = socket.getaddrinfo(host, service, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                return
            found.append(len(places))

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(None if self.over else self.shorten(60))
        return found[0] if found else 0
