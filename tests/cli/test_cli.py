"""``tinygraph`` without a command, its version, and the help of each command."""

import re
import subprocess
import sys

import pytest

import tinygraph
from tinygraph.cli import COMMANDS, main


def test_without_a_command_it_prints_help_with_examples(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: tinygraph")
    for command in COMMANDS:
        assert re.search(rf"^    {command} +\w", printed, re.MULTILINE), command  # in one line with what it does
    examples = re.findall(r"^  tinygraph (\w+)", printed.partition("examples:")[2], re.MULTILINE)
    assert len(examples) >= 4 and set(examples) <= set(COMMANDS)


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version(flag, capsys):
    with pytest.raises(SystemExit) as done:
        main([flag])
    assert (done.value.code, capsys.readouterr().out) == (0, f"tinygraph {tinygraph.__version__}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_examples_that_are_accepted(command, capsys, monkeypatch):
    """An example is what a reader copies: its options must be known."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    printed = capsys.readouterr().out
    assert done.value.code == 0
    assert max(map(len, printed.splitlines())) <= 80
    from tinygraph.cli import make_parser

    lines = re.findall(r"^  tinygraph (.+?)(?:   .*)?(?: > .*)?$", printed.partition("examples:")[2], re.MULTILINE)
    assert lines
    for line in lines:
        words = [word.strip('"') for word in re.findall(r"\"[^\"]*\"|\S+", re.split("  +| > ", line)[0])]
        assert make_parser().parse_args(words).command == command


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as done:
        main(["batchnrom"])
    assert done.value.code == 2
    assert "invalid choice: 'batchnrom'" in capsys.readouterr().err


def test_no_command_loads_nets_before_it_runs():
    code = "import sys, tinygraph.cli as cli; cli.make_parser(); print('tinygraph.nn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
