"""``tinygraph completion``: a shell reads the script, and completes by it."""

import subprocess
import sys

import pytest

from tinygraph.cli import COMMANDS, main


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_has_the_commands_and_their_options(shell, capsys):
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*COMMANDS, "verbose", "detail", "resume"):
        assert word in script
    if shell != "bash":  # which shows no descriptions
        assert "compute, draw and check batch norm: begin here" in script


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("tinygraph b", {"batchnorm", "bench"}),
        ("tinygraph batchnorm --v", {"--verbose"}),
        ("tinygraph completion ", {"bash", "zsh", "fish"}),
        ("tinygraph draw mod", {"model.py"}),
        ("tinygraph batchnorm --input mod", {"model.py"}),
    ],
)
def test_bash_completes(line, wanted, tmp_path, capsys):
    pytest.importorskip("shtab")
    main(["completion", "bash"])
    (tmp_path / "model.py").touch()
    *_, last = words = line.split(" ")
    script = f"""{capsys.readouterr().out}
COMP_WORDS=({" ".join(words[:-1])} "{last}")
COMP_CWORD={len(words) - 1}
$(complete -p tinygraph | sed -E 's/.*-F ([^ ]+).*/\\1/')
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert {word.strip() for word in done.stdout.splitlines()} == wanted


def test_without_shtab_the_error_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert capsys.readouterr().err == "tinygraph completion: the script is written by shtab: pip install shtab\n"
