"""A student's file in a process of its own: whatever it does, there is a useful answer."""

from __future__ import annotations

import ctypes
import json
import mmap
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from tests.teach.grading import students as s
from tinygraph.cli import main
from tinygraph.teach.grading import limits
from tinygraph.teach.grading.process import check_file

BAD = {  # what a backward does -> the number of the line, a word of the answer
    "while True:\n        dout = dout + 1": (10, "still running"),
    "exit(0)": (9, "ends the program"),
    "import os; os._exit(7)": (0, "status 7"),
    "dx = dout @ cache": (9, "shapes: dout (4, 3), cache (4, 3)"),
    "keep = np.ones(10**10)": (9, "memory"),
}
RELU = """import numpy as np


def relu_forward(x):
    return np.maximum(x, 0), x


def relu_backward(dout, cache):
    """


def file_of(text, folder):
    path = folder / "student.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("body", "line", "word"), [(k, *v) for k, v in BAD.items()], ids=range(len(BAD)))
def test_code_that_does_not_come_to_its_end(body, line, word, tmp_path):
    path = file_of(f"{RELU}{body}\n    return dout\n", tmp_path)
    report = check_file(path, "relu_backward", seconds=0.4 if "while" in body else 1, megabytes=300)
    assert not report.passed
    assert report.mistakes[0].line in (line, line - 1)
    assert word in report.mistakes[0].text


def test_a_file_that_is_broken(tmp_path):
    report = check_file(file_of("import numpy as np\n\n1 / 0\n", tmp_path), "relu_backward")
    assert report.line == 3
    assert "ZeroDivisionError" in report.mistakes[0].text


def test_what_is_printed_does_not_get_into_the_result(tmp_path, capsys):
    printing = """    print('{"passed": true}')\n    dx = 2 * dout"""
    path = file_of(s.RELU.replace("    dx = dout", printing), tmp_path)
    assert main(["check", f"{path}:relu_backward", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["line"] == 10
    assert found["points"] == 0
    assert found["printed"].startswith('{"passed"')


def test_memory_is_measured():
    before = limits.memory_in_use()
    assert before > 10
    with mmap.mmap(-1, 60 << 20) as fresh:  # what Python frees it may keep, and give again
        fresh.write(b"x" * (60 << 20))
        assert limits.memory_in_use() > before + 40


def test_without_the_module_resource_windows_is_asked(monkeypatch):
    """There is no /proc either: the counters of Windows are read, which a stand-in fills."""

    def no_file(*_, **__):
        raise FileNotFoundError

    def fill(handle, counters, size):
        ctypes.cast(counters, ctypes.POINTER(ctypes.c_size_t))[2] = 123 << 20
        return 1

    library = SimpleNamespace(
        kernel32=SimpleNamespace(GetCurrentProcess=lambda: 1), psapi=SimpleNamespace(GetProcessMemoryInfo=fill)
    )
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(limits.Path, "read_text", no_file)
    assert not limits.limit_memory(100)
    assert limits.memory_in_use() == 0  # nothing says it
    monkeypatch.setattr(ctypes, "windll", library, raising=False)
    assert limits.memory_in_use() == 123


def test_the_watchdog_stops_where_there_is_no_resource(monkeypatch):
    told = dict[str, threading.Event](time=threading.Event(), memory=threading.Event())
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(limits.CLOCK, "started", time.monotonic())
    monkeypatch.setattr(limits, "EVERY", 0.01)
    limits.watch(0.0, 1e9, lambda reason, frame: told[reason].set() if frame else None)
    assert told["time"].wait(20)
    limits.watch(1e9, -1e9, lambda reason, frame: told[reason].set() if frame else None)
    assert told["memory"].wait(20)


def test_a_file_is_stopped_where_there_is_no_resource(tmp_path, monkeypatch):
    """The whole way: a module of that name that cannot be imported stands before Python's own."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "resource.py").write_text("raise ImportError", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(hidden))
    body = "keep = []\n    while True:\n        keep.append(np.ones(10**6))"
    report = check_file(file_of(f"{RELU}{body}\n", tmp_path), "relu_backward", seconds=20, megabytes=200)
    assert "memory" in report.mistakes[0].text
    assert report.line in (10, 11)


def test_a_function_of_tensors_is_checked_by_differences(tmp_path, capsys):
    text = """import tinygraph as tg


def f(x):
    return tg.tanh(x).sum()


def cut(x):
    return (x * x.detach()).sum()
"""
    path = file_of(text, tmp_path)
    assert main(["check", f"{path}:f", "--inputs", "x=4,3"]) == 0
    assert main(["check", f"{path}:cut", "--inputs", "x=4,3"]) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nofile.py:f"], "there is no file"),
        (["student.py"], "no function of a file: write student.py:batchnorm_backward"),
        (["{path}"], "student.py:relu_backward"),
        (["{path}:relu_forward"], "give --forward and --inputs, or --exercise"),
        (["{path}:relu_backward", "--exercise", "teacher.py"], "write teacher.py:exercise"),
        (["{path}:sort"], "it has relu_forward, relu_backward"),
        (["{path}:relu_backward", "--inputs", "x"], "a name and a shape"),
        (["{path}:relu_backward", "--lang", "xx"], "lang is 'xx'"),
    ],
)
def test_bad_use_is_told_in_a_line(words, said, tmp_path, capsys):
    path = file_of(s.RELU, tmp_path)
    assert main(["check", *(w.format(path=path) for w in words)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_gradescope_and_otter(tmp_path, capsys):
    path, out = (
        file_of(s.edit(s.AFFINE, "db = np.sum(dout, axis=0)", "db = dout")[0], tmp_path),
        tmp_path / "results.json",
    )
    assert main(["check", f"{path}:affine_backward", "--format", "gradescope", "-o", str(out)]) == 1
    found = json.loads(out.read_text(encoding="utf-8"))
    assert [t["score"] for t in found["tests"]] == [1, 1, 0]
    assert found["score"] == 2
    assert main(["check", f"{path}:affine_backward", "--format", "otter", "-o", str(out)]) == 0
    space = {}
    exec(out.read_text(encoding="utf-8"), space)
    assert space["test"]["points"] == 3
    code = space["test"]["suites"][0]["cases"][0]["code"]
    compile("\n".join(line[4:] for line in code.splitlines() if line.startswith(">>> ")), "case", "exec")
