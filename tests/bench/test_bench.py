"""The benchmark as a program: its workers do the same work, its table and its chart say what was measured."""

import json
import pathlib
import platform
import re

import numpy as np
import pytest

from tinygraph import bench
from tinygraph.bench import Result, Row, Worker, workloads
from tinygraph.cli import main

ROW = Row("chain of 201 ops", "chain", (8,), 0.5, threads=1)


def test_a_row_against_an_installed_peer():
    pytest.importorskip("torch")
    (result,) = bench.run([ROW], rounds=3)
    assert result.figure > 0
    assert result.low <= result.figure <= result.high
    assert result.figure == pytest.approx(result.ours / result.theirs, rel=0.8)


def test_peak_and_accuracy_need_no_peer():
    rows = [
        Row("peak", "training", (256, 256), 4.5, measure="peak"),
        Row("error", "batch_norm", (64, 16), 1e-5, measure="accuracy"),
    ]
    peak, error = bench.run(rows)
    assert 1 < peak.figure <= 4.6
    assert error.holds


def test_a_peer_that_is_not_installed_is_said():
    worker = Worker("torch", 1, "")
    worker.close()
    (result,) = bench.run([Row("x", "chain", (8,), 1.0, peer="no_such_library")], rounds=1)
    assert result.figure is None
    assert result.holds is None
    assert "no_such_library" in result.why
    assert "not run" in bench.table([result])


def test_every_row_names_work_that_exists():
    assert {row.work for row in bench.ROWS} <= {
        "chain", "composed", "training", "training by grad", "batch_norm", "layer_norm", "compiled batch_norm",
        "compiled layer_norm", "mlp step", "lenet step", *workloads.ALONE, "compiled batch_norm, relu",
        "compiled batch_norm, sigmoid, residual",
    }  # fmt: skip
    assert {row.peer for row in bench.ROWS} <= set(workloads.LIBRARIES)
    assert len({(row.title, row.route, row.measure) for row in bench.ROWS}) == len(bench.ROWS)


def test_command_table_json_and_chart(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("torch")
    files = tmp_path / "bench.json", tmp_path / "bench.svg"
    status = main(
        [
            "bench",
            "--rows",
            "chain of 201 ops 8 ÷ torch",
            "--rounds",
            "2",
            "--json",
            str(files[0]),
            "--chart",
            str(files[1]),
        ]
    )
    assert status in (0, 1)
    captured = capsys.readouterr()
    assert "[1/1] chain of 201 ops 8 ÷ torch" in captured.err
    assert captured.out.startswith("| what")
    report = json.loads(files[0].read_text())
    assert report["results"][0]["row"]["work"] == "chain"
    assert report["versions"]["numpy"] == np.__version__
    assert platform.machine() in report["machine"]
    assert "<svg" in files[1].read_text()


@pytest.mark.skipif(not pathlib.Path("/proc/cpuinfo").exists(), reason="only Linux tells the processor there")
def test_a_report_names_the_processor():
    model = re.search("model name.*: (.+)", pathlib.Path("/proc/cpuinfo").read_text())
    assert model is None or model[1] in bench.report([])["machine"]


def test_what_cannot_be_measured_is_said(capsys):
    assert main(["bench", "--rows", "nothing"]) == 2
    assert "no row has that in its title" in capsys.readouterr().err


def test_figures_are_written_short():
    result = Result(ROW, 0.4567, 0.44, 0.47, 0.0007, 0.0015)
    text = bench.table([result])
    for part in ("0.46", "0.44–0.47", "700 µs", "1.5 ms", "≤ 0.50", "✓"):
        assert part in text
