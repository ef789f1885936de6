"""What is loaded when it is first asked for; and what to install, should it be missing."""

import re
import tomllib
from pathlib import Path

import tinygraph
from tinygraph.engine.lazy_import import EXTRAS, install_hint

ROOT = Path(tinygraph.__file__).parents[1]


def test_an_extra_is_named_by_its_packages():
    assert install_hint("draw") == "pip install pillow pygraphviz typst"
    assert install_hint("jit") == "pip install numba"


def test_the_packages_are_those_of_pyproject():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for extra, packages in EXTRAS.items():
        assert packages.split() == [re.match(r"[\w-]+", needed)[0] for needed in declared[extra]]


def test_no_message_installs_the_package_of_a_stranger():
    """On the public index the name tinygraph belongs to someone else."""
    for folder in ("tinygraph", "examples"):
        for file in (ROOT / folder).rglob("*.py"):
            assert not re.search(r"pip install '?tinygraph", file.read_text(encoding="utf-8")), file
