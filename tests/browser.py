"""A headless Chromium that a test drives as a reader would, over the DevTools protocol on a pair of pipes."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_KEYS = {"Enter": 13, "Tab": 9, "ArrowDown": 40, "ArrowUp": 38, " ": 32}


class Browser:
    """One page of a headless Chromium; what it logs and throws is kept in `complaints`."""

    def __init__(self, commands: int, replies: int) -> None:
        self._commands, self._replies, self._buffer, self._id, self._session = commands, replies, b"", 0, ""
        self.complaints: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self._call("Emulation.setScrollbarsHidden", hidden=True)
        # A page that needs a network would fail here.
        self._call(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
        )

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._id += 1
        message = {"id": self._id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._read(60)
            if reply.get("id") == self._id:
                assert "error" not in reply, f"{method}: {reply['error']}"
                return dict(reply["result"])

    def _read(self, timeout: float) -> dict[str, Any]:
        end = time.monotonic() + timeout
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._replies], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._replies, 1 << 20)
            assert chunk, "the browser has closed its pipe"
            self._buffer += chunk
        one, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(one)
        if message.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.complaints.append(json.dumps(message["params"])[:2000])
        return message

    def open(self, page: Path, wait: float = 60) -> None:
        """Loads a file and waits until its scripts have run."""
        self.complaints.clear()
        self._call("Page.navigate", url=page.resolve().as_uri())
        self.wait(lambda: bool(self.run("document.readyState + location.protocol") == "completefile:"), wait)

    def wait(self, done: Callable[[], bool], longest: float = 20) -> None:
        """Waits for what the page does in its own time."""
        end = time.monotonic() + longest
        while not done():
            assert time.monotonic() < end, "it has not happened"
            time.sleep(0.02)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; it may be a promise."""
        done = self._call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def click(self, selector: str) -> None:
        """Presses the mouse in the middle of the first such element, scrolled into sight."""
        found = json.dumps(selector)
        x, y = self.run(
            f"(() => {{ const one = document.querySelector({found}); one.scrollIntoView({{block: 'center', "
            "behavior: 'instant'}); const box = one.getBoundingClientRect(); "
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Presses a key where the focus is."""
        code = {"key": key, "code": key, "windowsVirtualKeyCode": _KEYS[key]}
        text = {"Enter": "\r", " ": " "}.get(key)
        self._call("Input.dispatchKeyEvent", type="keyDown", **code, **({"text": text} if text else {}))
        self._call("Input.dispatchKeyEvent", type="keyUp", **code)

    def type(self, selector: str, text: str) -> None:
        """Replaces what a field holds by a text that is typed."""
        found = json.dumps(selector)
        self.run(f"document.querySelector({found}).focus(); document.querySelector({found}).select()")
        if text:
            self._call("Input.insertText", text=text)
        else:
            self._call("Input.dispatchKeyEvent", type="keyDown", key="Delete", code="Delete", windowsVirtualKeyCode=46)

    def choose(self, selector: str, value: str) -> None:
        """Chooses an option of a select."""
        self.run(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.value = {json.dumps(value)}; "
            "one.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )

    def keep_downloads(self, folder: Path) -> None:
        """Lets downloads through, into a folder."""
        session, self._session = self._session, ""
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        self._session = session

    def resize(self, width: int, height: int, dark: bool = False) -> None:
        """The size of the window in pixels, and whether the reader likes it dark."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path, clip: str = "") -> None:
        """Saves what is seen, or the first element that a selector finds, as a PNG."""
        area: dict[str, Any] = {}
        if clip:
            box = self.run(
                f"(() => {{ const box = document.querySelector({json.dumps(clip)}).getBoundingClientRect(); "
                "return {x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: box.height, scale: 1}; })()"
            )
            area = {"clip": box, "captureBeyondViewport": True}
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", **area)["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A Chromium with a fresh profile in a folder; it ends with the block.

    Raises:
        FileNotFoundError: None is installed.
    """
    if CHROMIUM is None:
        raise FileNotFoundError("no Chromium is installed")
    (to_child, commands), (replies, from_child) = os.pipe(), os.pipe()
    # Chromium reads commands from descriptor 3 and answers on 4.
    shell = f'exec 3<&{to_child} 4>&{from_child}; exec "$@"'
    process = subprocess.Popen(
        ["bash", "-c", shell, "browser", CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--disable-dev-shm-usage", f"--user-data-dir={profile}",
         "--remote-debugging-pipe"],
        pass_fds=(to_child, from_child), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_child)
    os.close(from_child)
    try:
        yield Browser(commands, replies)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(commands)
        os.close(replies)
