"""What the pages say is so: their code runs, their links lead somewhere, their tables are complete."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import re
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tinygraph import OPS
from tinygraph.autodiff.backward import walk
from tinygraph.engine.registry import NUMPY
from tinygraph.exchange.numpy_names import COMPLEX, FUNCTIONS, STEPS, TESTS
from tinygraph.ops.later import load_all

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
NEWER = pytest.mark.skipif(not hasattr(np, "cumulative_sum"), reason="the table of ops is of NumPy 2.1 and later")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)


@functools.cache
def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_code_of_the_first_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(OPS)
    names: dict[str, object] = {"__name__": "docs"}
    try:
        for block in blocks("docs/README.md"):
            exec(compile(block, "docs/README.md", "exec"), names)
    finally:
        for name in set(OPS) - before:
            del OPS[name]
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^):]+)\)", text):
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(other), f"{page.name} links to {target}"


def test_the_index_leads_to_every_page():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name}" in index, f"docs/README.md does not lead to {page.name}"


def test_the_readme_names_every_extra():
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Extras")[2]
    named = [name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(PROJECT["optional-dependencies"])


def test_nobody_is_sent_to_another_project():
    """On the public index the name belongs to somebody else: extras are installed in a clone."""
    for page in PAGES:
        assert not re.search(r"pip install \S*tinygraph(?!/)", page.read_text(encoding="utf-8")), page


def test_the_hooks_use_the_ruff_that_the_checks_use():
    (wanted,) = {d for d in PROJECT["optional-dependencies"]["test"] if d.startswith("ruff")}
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"ruff==[\w.*]+", hooks)) == {wanted}


def test_the_page_on_architecture_shows_the_real_call_and_the_real_walk():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown = {name: re.search(rf"<!-- {name} -->\n```python\n(.*?)```", text, re.S)[1] for name in ("code", "walk")}
    assert shown == {"code": OPS["mul"].code, "walk": inspect.getsource(walk)}


def test_the_code_of_the_nets_runs_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = blocks("docs/nets.md")
    assert len(found) == 5
    names = {"__name__": "docs"}
    for block in found:
        exec(compile(block, "docs/nets.md", "exec"), names)
    assert (tmp_path / "net.npz").exists()
    assert names["run"].epoch == 2
    assert capsys.readouterr().out.startswith("Epoch(loss=")


@pytest.mark.parametrize("name", ["reference", pytest.param("ops", marks=NEWER)])
def test_a_page_is_what_its_command_writes(name, tmp_path):
    here = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    written = program(name).main(tmp_path / f"{name}.md")
    assert written == here, f"run `python docs/{name}.py`, and look at what changed"


def program(name: str) -> ModuleType:
    """The module that writes a page of docs/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@NEWER
def test_what_stays_out_is_all_that_numpy_has_and_we_have_not():
    """Each function that NumPy dispatches is here, is said to stay out, or has code to write instead."""
    out = [name for names in program("ops").OUT.values() for name in names.split()]
    assert len(out) == len(set(out))
    known = {*out, *FUNCTIONS, *STEPS.split(), *COMPLEX}
    load_all()
    for prefix, module in (("", np), ("linalg.", np.linalg), ("fft.", np.fft)):
        for name in dir(module):
            function = getattr(module, name)
            if not isinstance(function, np.ufunc | type(np.sum)) or function.__name__ != name:
                continue
            is_here = function in NUMPY or function in TESTS
            assert is_here or f"{prefix}{name}" in known, f"{prefix}{name}: say in docs/ops.py why it stays out"
            assert not (is_here and f"{prefix}{name}" in out), f"{prefix}{name} is here"


def test_the_page_of_the_derivation_is_what_is_derived():
    """``python docs/derive.py`` writes it."""
    spec = importlib.util.spec_from_file_location("derive_page", ROOT / "docs" / "derive.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "docs" / "derive.md").read_text(encoding="utf-8")
    wanted, found = (re.sub(r"difference \S+", "difference", text) for text in (module.page(), written))
    assert found == wanted  # but for what is rounded otherwise on another machine
