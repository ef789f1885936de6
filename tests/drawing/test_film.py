"""Frames as files: a GIF, slides, an SVG that plays, and folders."""

from __future__ import annotations

import builtins
import io
from pathlib import Path

import pytest

import tinygraph as tg
from tinygraph import Tensor
from tinygraph.drawing.api import EngineMissing
from tinygraph.drawing.formats.frames import Frames


@pytest.fixture(scope="module")
def film() -> Frames:
    x = Tensor([[1.0, 2.0], [3.0, 5.0]], name="x")
    y = (x * Tensor([2.0, 3.0], name="γ")).named("y")
    loss = (y * [[1.0, 0.0], [2.0, 1.0]]).sum().named("L")
    loss.backward()
    return tg.frames(loss)


def test_slides_are_16_to_9_and_as_many_as_there_are_steps(film: Frames, tmp_path: Path) -> None:
    pytest.importorskip("typst")
    (path,) = film.save(tmp_path / "film.pdf")
    data = path.read_bytes()
    assert data.startswith(b"%PDF")
    # what is given; y, its product with w, L; the seed; back to the product, to y, to x and to γ
    assert data.count(b"/MediaBox") == len(film) == 9
    assert data.count(b"[0 0 960 540]") == len(film)
    assert data == film.save(tmp_path / "again.pdf")[0].read_bytes()


def test_a_gif_has_a_frame_for_each_step(film: Frames, tmp_path: Path) -> None:
    pytest.importorskip("typst")
    image = pytest.importorskip("PIL.Image")
    (path,) = film.save(tmp_path / "film.gif", seconds=0.5)
    with image.open(io.BytesIO(path.read_bytes())) as opened:
        assert opened.n_frames == len(film)
        assert opened.size == (1280, 720)
        assert opened.info["duration"] == 500
        assert opened.info["loop"] == 0


def test_a_folder_has_a_file_for_each_step(film: Frames, tmp_path: Path) -> None:
    files = film.save(tmp_path / "bn")
    assert [f.name for f in files] == [f"bn_{k:02}.svg" for k in range(1, 10)]
    assert [f.read_text(encoding="utf-8") for f in files] == [frame.svg() for frame in film]
    assert film.save(tmp_path / "film.svg")[0].read_text(encoding="utf-8") == film.animated()


def test_several_forms(film: Frames, tmp_path: Path) -> None:
    pytest.importorskip("typst")
    files = film.save(tmp_path / "two", form=("svg", "png"))
    assert len(files) == 2 * len(film)
    assert files[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.mp4", {}, "the ending is '.mp4'; it must be .gif, .pdf or .svg"),
        ("a", {"form": "bmp"}, "the form is 'bmp'"),
        ("a.svg", {"seconds": 0}, "more than 0"),
    ],
)
def test_what_cannot_be_written_is_told(film: Frames, tmp_path: Path, name: str, options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        film.save(tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("package", "ending"), [("PIL", ".gif"), ("typst", ".gif"), ("typst", ".pdf")])
def test_a_missing_package_is_named(
    film: Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, ending: str
) -> None:
    whole = builtins.__import__

    def without(name: str, *args, **kwargs):
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return whole(name, *args, **kwargs)

    if ending == ".gif" and package == "typst":
        pytest.importorskip("PIL")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EngineMissing, match="pip install pillow pygraphviz typst"):
        film.save(tmp_path / f"a{ending}")
