"""The wait for a first answer: without a network a download stops early, however many attempts it has."""

from __future__ import annotations

import socket
import threading
import time


class FirstAnswer:
    """The time left for a first answer; unlimited after the first answer.

    Args:
        seconds: Total time to wait.
    """

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.over = False
        """Whether a server has answered."""

    def allows(self, seconds: float) -> bool:
        """Whether there is time for a pause of so many seconds."""
        return self.over or time.monotonic() + seconds < self.end

    def shorten(self, seconds: float, parts: int = 1) -> float:
        """Returns a timeout within the remaining time, which `parts` waits share."""
        return seconds if self.over else min(seconds, max(0.1, (self.end - time.monotonic()) / parts))

    def look_up(self, host: str, service: str | int) -> int:
        """Returns the number of network addresses of a host; 0 if its name is not resolved in the remaining time.

        The system resolves names without a configurable timeout, so a thread does it that can be abandoned.
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
