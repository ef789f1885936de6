"""What a check is told to overlook has a reason beside it, and the engine asks for no exception from the limits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [
    file for folder in ("tinygraph", "tests", "examples", "docs") for file in sorted((ROOT / folder).rglob("*.py"))
]
SIMPLE = ("engine", "autodiff", "ops")  # folders that a student reads


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_exception_has_a_reason(file):
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if file != Path(__file__) and re.search(r"# (ruff: )?noqa", line):
            assert re.search(r"# (ruff: )?noqa: [A-Z]+\d+(, [A-Z]+\d+)* - \w", line), f"line {number}: say why"
        if "# type: ignore" in line and file != Path(__file__):
            assert re.search(r"# type: ignore\[[a-z, -]+\]", line), f"line {number}: name the code"


def test_what_a_student_reads_is_simple():
    """No function there is exempt from the limit of complexity."""
    for folder in SIMPLE:
        for file in (ROOT / "tinygraph" / folder).rglob("*.py"):
            assert "C901" not in file.read_text(encoding="utf-8"), file
