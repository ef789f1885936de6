"""docs/gallery is what its script makes of it, and the README's picture is what the command writes."""

from __future__ import annotations

import inspect
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import tinygraph as tg
from tests.gallery import FOLDER, build
from tinygraph.cli import main
from tinygraph.drawing.api import ENDINGS

PICTURE = FOLDER.parent / "pictures" / "batchnorm_4x3.svg"


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in build.main(tmp_path_factory.mktemp("gallery"))}


def test_the_gallery_is_what_its_script_makes(rebuilt: dict[str, bytes]) -> None:
    here = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in (".svg", ".md")}
    assert here.keys() == rebuilt.keys()
    stale = [name for name in here if here[name] != rebuilt[name]]
    assert not stale, "run `python docs/gallery/build.py`, and look at what has changed"


def test_it_shows_what_it_must() -> None:
    shown = {name for name, *_ in build.PICTURES}
    assert shown >= {
        "batch_norm", "batch_norm_fused", "batch_norm_spatial", "layer_norm", "mlp", "residual", "attention",
        "convolution", "diamonds", "outputs", "gradient_graph",
    }  # fmt: skip


def test_no_picture_shows_what_rounding_left(rebuilt: dict[str, bytes]) -> None:
    """A zero that is 1e-17 on one machine is -3e-17 on the next, and says nothing on either."""
    for name, content in rebuilt.items():
        text = re.sub(r"<[^>]+>", " ", content.decode())
        assert not re.findall(r"\de−(?:1[2-9]|[2-9]\d)", text), name


def test_the_code_in_the_readme_runs(
    rebuilt: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "readme"}
    exec("from collections.abc import Callable\nfrom typing import Any", names)
    blocks = re.findall(r"```python\n(.*?)```", rebuilt["README.md"].decode(), re.S)
    for block in blocks:
        exec(compile("from __future__ import annotations\n" + block, "README.md", "exec"), names)
    assert {path.name for path in tmp_path.iterdir()} == {name for name in rebuilt if name.endswith(".svg")}


def test_the_picture_of_the_readme_is_what_the_command_writes(tmp_path: Path) -> None:
    assert main(["batchnorm", "--batch", "16", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "batchnorm_4x3.svg").read_bytes() == PICTURE.read_bytes()
    ET.parse(PICTURE)


def test_the_steps_in_the_guide_are_what_the_command_writes(tmp_path: Path) -> None:
    there = PICTURE.with_name("batch_norm_steps.svg")
    out = tmp_path / there.name
    words = ["draw", f"{FOLDER / 'build.py'}:batch_norm", "--theme", "auto", "--title", "Batch norm, a step at a time"]
    assert main([*words, "--frames", str(out)]) == 0
    assert out.read_bytes() == there.read_bytes()
    assert out.stat().st_size < 400_000


def test_the_code_in_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    guide = (FOLDER.parent / "drawing.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, re.S)
    for block in blocks:
        exec(compile(block, "drawing.md", "exec"), names)
    named = set(re.findall(r'"(\w+\.\w+)"', "".join(blocks)))
    assert {path.name for path in tmp_path.iterdir()} == {*named, "steps"}


def test_the_guide_names_what_there_is() -> None:
    guide = (FOLDER.parent / "drawing.md").read_text(encoding="utf-8")
    options = [name for name, p in inspect.signature(tg.draw).parameters.items() if p.kind is p.KEYWORD_ONLY]
    assert re.findall(r"^\| `(\w+)` \|", guide, re.M) == options
    assert set(re.findall(r"`(\.\w+)`", guide)) >= set(ENDINGS)
