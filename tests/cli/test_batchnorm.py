"""``tinygraph batchnorm``, as a user runs it: what it prints, what it writes, and what it says when it cannot."""
# ruff: noqa: E501 - a table reads best in lines

import functools
import json
import subprocess
import sys

import numpy as np
import pytest

from tinygraph.cli import batchnorm, main
from tinygraph.cli.batchnorm import read


def run(*arguments):
    return main(["batchnorm", *map(str, arguments)])


@pytest.fixture
def nothing_drawn(monkeypatch):
    """Leave the pictures and the lesson out, where a test is about what is read and printed."""
    for writer in ("write_files", "write_lesson"):
        monkeypatch.setattr(batchnorm, writer, lambda *_: None)


def test_the_main_job_on_digits(tmp_path, capsys):
    assert run("--batch", 16, "--out", tmp_path) == 0
    printed = capsys.readouterr().out
    assert "16 handwritten digits: x is float32[16, 64]" in printed
    assert "features are constant in this batch" in printed
    assert "x̂ = x_c ÷ σ↑" in printed
    assert "nan" not in printed.lower()
    head, chart, check, look = printed.split("\n\n")[0], *printed.split("\n\n")[-3:]
    assert head == "A batch of 4 rows and 3 features that can be solved by hand (without an ε):"
    assert chart.count("(4, 3)") == 8 and "L = Σ (w × y)" in chart  # x, x_c, q, x̂, s, y, w and w × y
    assert check.splitlines()[1] == (
        "✓ fused.batch_norm computes batch_norm: all 176 figures agree, up to the third derivative"
    )
    assert len(check.splitlines()) == 2  # one line of facts, one of the verdict
    assert look.startswith(f"Next: open {tmp_path / 'lesson.html'} in a browser: ")
    assert look.splitlines()[-1] == "      With --verbose, all figures of the check are printed."
    names = {path.name for path in tmp_path.iterdir()}
    drawn = {f"batchnorm{s}{e}" for s in ("", "_4x3") for e in (".svg", ".html", ".dot", ".json")}
    assert names == drawn | {"lesson.html"}
    assert (
        (tmp_path / "batchnorm.svg").read_text(encoding="utf-8").startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    )
    graph = json.loads((tmp_path / "batchnorm_4x3.json").read_text())
    values = {n["name"]: n["value"]["values"] for n in graph["nodes"]}
    assert values["μ"] == [2, 1, 6]


def test_verbose_prints_the_certificate_and_the_chart_of_the_data(tmp_path, capsys, nothing_drawn):
    assert run("--batch", 16, "--out", tmp_path, "--verbose") == 0
    printed = capsys.readouterr().out
    assert printed.index("(4, 3)") < printed.index("(16, 64)") < printed.index("precision function")
    assert "as given + 10⁴" in printed and "time, forward and backward" in printed
    assert "--verbose" not in printed


def test_module_and_seed(tmp_path):
    """What a process of its own writes is what this one does."""
    options = ["--batch", "8", "--features", "varying", "--out"]
    command = [sys.executable, "-m", "tinygraph", "batchnorm", *options, tmp_path / "a"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run(*options, tmp_path / "b") == 0
    assert "features are constant" not in done.stdout
    assert (tmp_path / "a" / "batchnorm.json").read_bytes() == (tmp_path / "b" / "batchnorm.json").read_bytes()


@pytest.mark.parametrize("ending", ["npy", "npz", "csv", "headed.csv"])
def test_input_files(tmp_path, ending, capsys, nothing_drawn):
    x = np.random.default_rng(0).normal(5, 2, (30, 4)).round(3)
    path = tmp_path / f"data.{ending}"
    {
        "npy": lambda: np.save(path, x),
        "npz": lambda: np.savez(path, x=x, other=x[:2]),
        "csv": lambda: np.savetxt(path, x, delimiter=","),
        "headed.csv": lambda: np.savetxt(path, x, delimiter=",", header="a,b,c,d", comments="\ufeff", encoding="utf-8"),
    }[ending]()
    np.testing.assert_allclose(read(path), x)
    assert run("--input", path, "--batch", 20, "--dtype", "float64", "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"20 rows of data.{ending}: x is float64[20, 4]\n")  # their chart is the first
    assert f"{tmp_path / 'out' / 'batchnorm.html'}: the same for your data" in printed


def test_images(tmp_path, capsys):
    np.save(tmp_path / "images.npy", np.random.default_rng(0).normal(size=(10, 3, 4, 4)))
    assert run("--input", tmp_path / "images.npy", "--batch", 6, "--out", tmp_path / "out") == 0
    assert "mean₀,₂,₃ x" in capsys.readouterr().out


def test_rows_as_they_are_found(tmp_path, capsys, nothing_drawn):
    """Fewer rows than are taken by default, in quotes, without names; an ending in capitals; a single image."""
    (tmp_path / "DATA.CSV").write_text('"1","2"\n"3","5"\n"4","4"\n')
    np.testing.assert_array_equal(read(tmp_path / "DATA.CSV"), [[1, 2], [3, 5], [4, 4]])
    assert run("--input", tmp_path / "DATA.CSV", "--out", tmp_path / "out") == 0
    assert "3 rows of DATA.CSV" in capsys.readouterr().out
    np.save(tmp_path / "one.npy", np.random.default_rng(0).normal(size=(1, 2, 3, 3)))
    assert run("--input", tmp_path / "one.npy", "--out", tmp_path / "out") == 0


def bad(tmp_path, name, content=b""):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: ["--input", d / "none.npy"], "there is no such file"),
        (lambda d: ["--input", bad(d, "x.txt")], "must end in .npy, .npz or .csv"),
        (lambda d: ["--input", bad(d, "x.npy", b"rubbish")], "cannot be read as .npy"),
        (lambda d: ["--input", bad(d, "x.npz", b"PK rubbish")], "cannot be read as .npz"),
        (lambda d: ["--input", bad(d, "x.csv", b"a,b\n1,x\n")], "cannot be read as .csv"),
        (lambda d: ["--input", bad(d, "x.csv")], "holds no rows"),
        (lambda d: ["--input", bad(d, "x.csv", b"1,nan\n2,3\n"), "--batch", 2], "1 elements of the batch are nan"),
        (
            lambda d: ["--input", bad(d, "x.csv", b"1,,3\n4,5,6\n7,8,9\n")],
            "could not convert string '' to float64 at row 0",
        ),
        (
            lambda d: ["--input", bad(d, "x.csv", b"1e300,1\n2,3\n")],
            "1 elements of the batch are nan or infinite in float32",
        ),
        (lambda d: ["--input", bad(d, "x.csv", b"1,2\n")], "--input: there is one value a feature"),
        (lambda d: ["--seed", -1], "--seed -1: must be 0 or more"),
        (lambda d: ["--out", bad(d, "file")], "file: cannot be made a folder: File exists"),
        (lambda d: ["--batch", 1], "--batch 1: must be 2 … 1797"),
        (lambda d: ["--batch", 5000], "--batch 5000: must be 2 … 1797"),
        (lambda d: ["--backend", "cupy"], "the cupy backend"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(make, message, tmp_path, capsys):
    assert run("--out", tmp_path / "out", *make(tmp_path)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_nothing_is_unpickled(tmp_path, capsys):
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}]), allow_pickle=True)
    assert run("--input", tmp_path / "evil.npy") == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_fused_op_that_is_wrong_fails_the_job(tmp_path, monkeypatch, capsys, nothing_drawn):
    import tinygraph.fused

    right = tinygraph.fused.batch_norm
    wrong = functools.wraps(right)(lambda x, g, b, **p: right(x, g, b, **p) * 1.001)
    monkeypatch.setattr(tinygraph.fused, "batch_norm", wrong)
    assert run("--batch", 16, "--out", tmp_path) == 1
    assert "\n✗ fused.batch_norm does not compute batch_norm: " in capsys.readouterr().out


def test_pictures_need_nothing_that_is_not_installed(tmp_path):
    """No layout engine, no browser, no printer: and nothing on stderr."""
    code = "import sys; sys.modules |= {'pygraphviz': None, 'typst': None}; from tinygraph.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "batchnorm", "--batch", "16", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": ""})
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(tmp_path.iterdir())) == 9


def test_a_reader_that_has_read_enough_is_no_error(tmp_path):
    command = f"{sys.executable} -m tinygraph batchnorm --batch 8 --out {tmp_path} | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("A batch of 4 rows")
    assert done.stderr == ""
