"""What a check is told to overlook has a reason beside it, and the engine asks for no exception from the limits."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = [
    file for folder in ("tinygraph", "tests", "examples", "docs") for file in sorted((ROOT / folder).rglob("*.py"))
]
SIMPLE = ("engine", "autodiff", "ops")  # folders that a student reads


def test_an_exception_has_a_reason():
    for file in FILES:
        if file == Path(__file__):
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"# (ruff: )?noqa", line):
                explained = re.search(r"# (ruff: )?noqa: [A-Z]+\d+(, [A-Z]+\d+)* - \w", line)
                assert explained, f"{file.relative_to(ROOT)}:{number}: say why"
            if "# type: ignore" in line:
                named = re.search(r"# type: ignore\[[a-z, -]+\]", line)
                assert named, f"{file.relative_to(ROOT)}:{number}: name the code"


def test_what_a_student_reads_is_simple():
    """No function there is exempt from the limit of complexity."""
    for folder in SIMPLE:
        for file in (ROOT / "tinygraph" / folder).rglob("*.py"):
            assert "C901" not in file.read_text(encoding="utf-8"), file
