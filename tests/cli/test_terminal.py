"""Any terminal, pipe or closed stream gets what a command says; Ctrl-C is one line."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys

import pytest

from tinygraph.cli import COMMANDS, main

GRAPH = """
import numpy as np
import tinygraph as tg
x = tg.Tensor(np.arange(6.0).reshape(2, 3), name="x̂")
γ = tg.Tensor(np.ones(3), name="γ")
loss = (x * γ).sum().named("ℒ")
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.py").write_text(GRAPH, encoding="utf-8")
    return f"{tmp_path / 'model.py'}:loss"


def tinygraph(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "tinygraph", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **more,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_printed_in_ascii(command, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    stream.flush()
    printed = stream.buffer.getvalue().decode("ascii")
    assert printed.startswith(f"usage: tinygraph {command} ")
    assert not re.search(r"\?(?!$)", printed, re.MULTILINE)  # a letter without a spelling; a question may end a line


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_a_chart_is_printed_in_ascii(model, environment):
    done = tinygraph("text", model, env={**os.environ, **environment, "PYTHONCOERCECLOCALE": "0"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "x_hat * gamma" in done.stdout
    assert "?" not in done.stdout
    wires = [line for line in done.stdout.splitlines() if line.startswith(("*", "o", "|"))]
    assert len({line.index("  (") for line in wires if "  (" in line}) >= 1


def test_batchnorm_in_ascii(tmp_path, capsys):
    """Where it is asked for, and where the terminal has nothing else."""
    assert main(["batchnorm", "--out", str(tmp_path), "--ascii"]) == 0
    done = tinygraph("batchnorm", "--out", tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    for printed in (capsys.readouterr().out, done.stdout):
        assert printed.isascii()
        assert "ok " in printed


@pytest.mark.skipif(os.name != "posix", reason="a shell closes the streams")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_error(model, closed):
    done = subprocess.run(
        f"'{sys.executable}' -m tinygraph text '{model}' {closed}", shell=True, check=False, capture_output=True
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("width", ["-5", "0", "9"])
def test_a_width_that_is_none_is_refused(model, width, capsys):
    assert main(["text", model, "--width", width]) == 2
    assert f"width is {width}; of a text it is a number of characters, 10 or more" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_a_model_runs_is_one_line(tmp_path, number, status):
    (tmp_path / "slow.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\nloss = 1\n")
    done = tinygraph("draw", f"{tmp_path / 'slow.py'}:loss", "-o", str(tmp_path / "a.svg"))
    assert done.returncode == status
    assert done.stderr == "tinygraph draw: interrupted; no file was left in part\n"
    assert not (tmp_path / "a.svg").exists()


@pytest.mark.parametrize(("value", "colored"), [("", True), ("1", False)])
def test_no_color_counts_if_it_has_a_value(value, colored, monkeypatch):
    from tinygraph.cli.terminal import has_color

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", value)
    monkeypatch.setenv("TERM", "xterm")
    assert has_color(sys.stdout) == colored
