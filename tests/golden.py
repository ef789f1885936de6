"""A golden is a text that a person has looked at; TINYGRAPH_GOLDENS=write accepts what is new.

``check_golden`` compares a text with its golden, and a failure shows what differs.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

FOLDER = Path(__file__).parent / "goldens"


def check_golden(name: str, found: str) -> None:
    """Compare a text with ``tests/goldens/NAME``; a failure shows the lines that differ.

    Args:
        name: name of the file.
        found: the text.

    Raises:
        AssertionError: the two differ; the message has the difference.
    """
    path = FOLDER / name
    if os.environ.get("TINYGRAPH_GOLDENS") == "write":
        path.write_text(found, encoding="utf-8")
    kept = path.read_text(encoding="utf-8")
    lines = difflib.unified_diff(kept.splitlines(), found.splitlines(), f"goldens/{name}", "now", lineterm="")
    assert kept == found, "\n".join(
        [*lines, "to accept: TINYGRAPH_GOLDENS=write pytest tests -k golden; then look at it"]
    )
