"""Open pages in headless Chromium, and read what their scripts write."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["CHROMIUM", "QUIET", "read_page"]

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
QUIET = ("gpu", "quic", "background-networking", "component-update", "sync", "extensions")


def read_page(page: str, folder: Path | None = None, window: str = "800,600", dark: bool = False) -> Any:
    """Return, as data, what the scripts of a page wrote into its ``<pre id="out">``."""
    if folder is None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
            return read_page(page, Path(made), window, dark)
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8", errors="replace")
    flags = ["--headless", "--no-sandbox", "--no-first-run", "--virtual-time-budget=20000", "--dump-dom"]
    flags.append(f"--window-size={window}")
    flags += ["--blink-settings=preferredColorScheme=0"] * dark
    flags += [f"--disable-{what}" for what in QUIET] + [f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run([str(CHROMIUM), *flags, path.as_uri()], capture_output=True, timeout=300, check=False)
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout.decode(), re.S)
    assert found is not None, done.stderr[-500:]
    return json.loads(html.unescape(found[1]))
