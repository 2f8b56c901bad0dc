"""A headless Chromium for tests of pages: opened from the disk, driven through its debugging pipe."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_SECONDS = 120.0
"""So long an answer is waited for: machines that test are busy."""
QUIET = ("data:", "blob:", "file:", "about:")
"""What a page may load without a network."""
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which does not work as root, as continuous integration often is
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)


def chromium() -> str | None:
    """Return the path of a Chromium, or None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def missing() -> str:
    """Say why no page can be opened; nothing where one can."""
    return "" if chromium() else "no chromium is installed: apt-get install chromium"


@contextmanager
def started(profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty `profile`, a folder that is made, and end it with the block."""
    path = chromium()
    assert path is not None, missing()
    browser = Browser(path, profile)
    try:
        yield browser
    finally:
        browser.close()


class Browser:
    """A running Chromium. Messages go through its file descriptors 3 and 4: no port, and no library."""

    def __init__(self, path: str, profile: Path) -> None:
        profile.mkdir(parents=True, exist_ok=True)
        reads, writes = _pipe(), _pipe()
        command = [path, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._pid = os.posix_spawn(
            path,
            command,
            {**os.environ, "HOME": str(profile)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, str(profile / "stderr.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                (os.POSIX_SPAWN_DUP2, reads[0], 3),
                (os.POSIX_SPAWN_DUP2, writes[1], 4),
            ],
            setpgroup=0,
        )
        os.close(reads[0])
        os.close(writes[1])
        self._to, self._from, self._stderr = reads[1], writes[0], profile / "stderr.txt"
        self._number, self._rest, self._pages = 0, bytearray(), dict[str, Page]()

    def open(self, page: Path | str, width: int = 1280, height: int = 900) -> Page:
        """Open a file, or an address, in a tab of `width` x `height` CSS pixels; return when it has loaded."""
        address = page if isinstance(page, str) else page.resolve().as_uri()
        target = self.send("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        opened = self._pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            opened.send(f"{domain}.enable")
        opened.resize(width, height)
        opened.go(address)
        return opened

    def send(self, method: str, parameters: dict[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        """Call a method of the DevTools protocol and return its result. Raise `AssertionError` where it fails."""
        self._number += 1
        call = {"id": self._number, "method": method, "params": parameters or {}}
        left = memoryview(json.dumps(call | ({"sessionId": session} if session else {})).encode() + b"\0")
        while left:
            left = left[os.write(self._to, left) :]
        while True:
            message = self.receive(f"the answer to {method}")
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result

    def receive(self, what: str) -> dict[str, Any]:
        """Return the next message; an event has been handed to its page. Raise `AssertionError` where none comes."""
        last = time.monotonic() + PATIENCE_SECONDS
        while (end := self._rest.find(b"\0")) < 0:
            assert select.select([self._from], [], [], max(0.0, last - time.monotonic()))[0], f"waited for {what}"
            data = os.read(self._from, 1 << 20)
            assert data, f"chromium has ended: {self._stderr.read_text(errors='replace')[-2000:]}"
            self._rest += data
        message: dict[str, Any] = json.loads(self._rest[:end])
        del self._rest[: end + 1]
        if (page := self._pages.get(message.get("sessionId", ""))) is not None and "method" in message:
            page.hear(message["method"], message["params"])
        return message

    def forget(self, session: str) -> None:
        """Take a page that was closed off the list."""
        del self._pages[session]

    def close(self) -> None:
        """End the browser and all that it has started."""
        with suppress(AssertionError, OSError):
            self.send("Browser.close")
        os.close(self._to)
        os.close(self._from)
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser, self._session, self._target = browser, session, target
        self._loaded = False
        self.errors: list[str] = []
        """What the console shows of errors and warnings: uncaught ones, a violated Content-Security-Policy, too."""
        self.requests: list[str] = []
        """Addresses that a network would have been needed for."""

    def send(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call a method of the DevTools protocol in this tab."""
        return self._browser.send(method, parameters, self._session)

    def hear(self, method: str, event: dict[str, Any]) -> None:
        """Take in an event."""
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in event["args"]))
        elif method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
            self.errors.append(event["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not event["request"]["url"].startswith(QUIET):
            self.requests.append(event["request"]["url"])

    def go(self, address: str) -> None:
        """Load an address in this tab, and wait until it has loaded."""
        self._loaded = False
        failure = self.send("Page.navigate", {"url": address}).get("errorText")
        assert failure is None, f"{address}: {failure}"
        while not self._loaded:
            self._browser.receive(f"{address} to load")

    def reload(self) -> None:
        """Load the page once more."""
        self._loaded = False
        self.send("Page.reload")
        while not self._loaded:
            self._browser.receive("the page to load")

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression, awaited. Raise `AssertionError` with what it has thrown."""
        wishes = {"expression": script, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = self.send("Runtime.evaluate", wishes)
        details = answer.get("exceptionDetails", {})
        assert not details, f"{script}: {details.get('exception', {}).get('description', details.get('text'))}"
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Return the value of an expression as soon as it is true. Raise `AssertionError` where it never is."""
        last = time.monotonic() + seconds
        while not (value := self.evaluate(script)):
            assert time.monotonic() < last, f"never true: {script}; console: {self.errors}"
            time.sleep(0.05)
        return value

    def press(self, key: str, code: int = 0, text: str = "") -> None:
        """Press a key where the focus is: `ArrowRight` with its code 39, `Tab` with 9, or `Enter` with 13 and "\\r"."""
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            event = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
            self.send("Input.dispatchKeyEvent", event | ({"text": text} if text and kind == "keyDown" else {}))

    def mouse(self, kind: str, x: float, y: float, **extra: Any) -> None:
        """Move or use the mouse, at CSS pixels of the window: `mouseMoved`, `mousePressed`, `mouseReleased`."""
        self.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "none", **extra})

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 5) -> None:
        """Press the left button at `start`, and let it go at `end`."""
        self.mouse("mousePressed", *start, button="left", buttons=1, clickCount=1)
        for step in range(1, steps + 1):
            x, y = (a + (b - a) * step / steps for a, b in zip(start, end, strict=True))
            self.mouse("mouseMoved", x, y, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", clickCount=1)

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page this size, in CSS pixels; below 600 it is a phone's, whose page is as wide as its screen."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", size)

    def set_dark(self, dark: bool) -> None:
        """Let the system be one that prefers dark pages, or light ones."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", {"features": [scheme]})

    def overflow(self) -> float:
        """Return by how many pixels the page is wider than its window."""
        # Not innerWidth: a phone shows a page that is too wide smaller, and then says it has the room.
        root = "document.documentElement"
        return float(self.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """Write what is seen as PNG; the `whole` page, or the window."""
        shot = self.send("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self, path: Path) -> None:
        """Print to a PDF."""
        path.write_bytes(base64.b64decode(self.send("Page.printToPDF", {"preferCSSPageSize": True})["data"]))

    def close(self) -> None:
        """Close the tab."""
        self._browser.send("Target.closeTarget", {"targetId": self._target})
        self._browser.forget(self._session)


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends are above 10: a child's 3 and 4 are set one after the other."""
    ends = os.pipe()
    read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return read, write
