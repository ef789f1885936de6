"""Pages in headless Chromium. One is started, when it is first needed, and each page is a tab of it.

It is told what to do in the protocol of its developer tools, over a pipe: JSON, each message ended by a zero byte.
"""

from __future__ import annotations

import atexit
import base64
import functools
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

__all__ = ["CHROMIUM", "Tab", "read_page"]

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
QUIET = ("gpu", "quic", "background-networking", "component-update", "sync", "extensions")
PATIENCE = 300.0  # seconds for one message
START = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3), os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
# Resolves when a page has written into its ``<pre id="out">``.
WRITTEN = """new Promise(done => { (function look() {
  const out = document.getElementById('out');
  out && out.textContent ? done(out.textContent) : setTimeout(look, 5);
})() })"""


class Chromium:
    """A running Chromium."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        flags = ["--headless", "--no-sandbox", "--no-first-run", "--remote-debugging-pipe"]
        flags += [f"--disable-{what}" for what in QUIET] + [f"--user-data-dir={self.folder.name}/profile"]
        flags += ["--num-raster-threads=1", "--renderer-process-limit=1"]
        theirs_in, self.into = os.pipe()
        self.out_of, theirs_out = os.pipe()
        ends = theirs_in, theirs_out
        command = [sys.executable, "-I", "-S", "-c", START, *map(str, ends), str(CHROMIUM), *flags, "about:blank"]
        self.process = subprocess.Popen(command, pass_fds=ends, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in ends:
            os.close(end)
        self.numbers, self.rest = itertools.count(1), b""
        self.events: list[dict[str, Any]] = []
        self.free_tabs: list[str] = []
        atexit.register(self.stop)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        for end in (self.into, self.out_of):
            os.close(end)
        self.folder.cleanup()

    def ask(self, method: str, session: str | None = None, **params: Any) -> Any:
        """Send a message, and return the answer to it; what is told meanwhile goes to ``events``."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        data = memoryview(json.dumps(message).encode() + b"\0")
        while data:
            data = data[os.write(self.into, data) :]
        while (found := self.read()).get("id") != number:
            self.events.append(found)
        assert "error" not in found, (method, found["error"])
        return found["result"]

    def wait_for(self, method: str, session: str) -> None:
        """Wait until a page tells of an event."""
        while not any(e.get("method") == method and e.get("sessionId") == session for e in self.events):
            self.events.append(self.read())

    def take_tab(self) -> str:
        """Return a tab that no page uses, or a new one, which takes a process and a fifth of a second."""
        return (
            self.free_tabs.pop() if self.free_tabs else self.ask("Target.createTarget", url="about:blank")["targetId"]
        )

    def read(self) -> dict[str, Any]:
        """Return the next message."""
        end = time.monotonic() + PATIENCE
        while b"\0" not in self.rest:
            assert select.select([self.out_of], [], [], end - time.monotonic())[0], "Chromium does not answer"
            data = os.read(self.out_of, 1 << 20)
            assert data, "Chromium has ended"
            self.rest += data
        message, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(message))


@functools.cache
def browser() -> Chromium:
    """Return the one that runs."""
    return Chromium()


class Tab:
    """A page that is open while a ``with`` lasts. What it was told to emulate ends with it.

    Args:
        page: the source of the page.
        window: its width and height.
        dark: whether the reader's system is dark.
    """

    def __init__(self, page: str, window: tuple[int, int] = (800, 600), dark: bool = False) -> None:
        self.browser = browser()
        self.path = Path(self.browser.folder.name) / f"page{next(self.browser.numbers)}.html"
        self.path.write_text(page, encoding="utf-8", errors="replace")
        self.target = self.browser.take_tab()
        self.session = self.browser.ask("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        width, height = window
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.browser.events.clear()  # the last page's may have been told again
        self.ask("Page.navigate", url=self.path.as_uri())
        self.browser.wait_for("Page.loadEventFired", self.session)

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.ask("Target.detachFromTarget", sessionId=self.session)
        self.browser.free_tabs.append(self.target)
        self.path.unlink()

    def ask(self, method: str, **params: Any) -> Any:
        """Send a message to the page, and return the answer."""
        return self.browser.ask(method, self.session, **params)

    def run(self, script: str) -> Any:
        """Return what an expression in JavaScript is; a promise is waited for."""
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def complaints(self) -> list[str]:
        """Return what the page, or Chromium about it, wrote to the console."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        events = self.browser.events
        return [str(e["params"]) for e in events if e.get("method") in kinds and e.get("sessionId") == self.session]

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])

    def screenshot(self) -> bytes:
        """Return the page as it is seen, as PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot")["data"])


def read_page(page: str, window: tuple[int, int] = (800, 600), dark: bool = False) -> Any:
    """Return, as data, what the scripts of a page wrote into its ``<pre id="out">``."""
    with Tab(page, window, dark) as tab:
        return json.loads(tab.run(WRITTEN))
