"""``tinygraph completion``: the script with which a shell completes the commands, the options and the names of files.

The script is written by shtab, out of the parser.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from tinygraph.cli.errors import UsageError
from tinygraph.engine.lazy_import import install_hint

HELP = "print the script that completes commands in your shell"
DESCRIPTION = """\
Print the script with which a shell completes the commands of tinygraph, their options and the names of files when
you press Tab. Write it to where your shell looks for such scripts, and open a new shell."""
EXAMPLES = """\
  folder=~/.local/share/bash-completion/completions; mkdir -p $folder
  tinygraph completion bash > $folder/tinygraph

  mkdir -p ~/.zfunc   # in ~/.zshrc, before compinit: fpath+=~/.zfunc
  tinygraph completion zsh > ~/.zfunc/_tinygraph

  tinygraph completion fish > ~/.config/fish/completions/tinygraph.fish
"""
SHELLS = ("bash", "zsh", "fish")


def declare(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of this command."""
    parser.add_argument("shell", choices=SHELLS, help="which shell")


def run(options: argparse.Namespace) -> int:
    """Print the script for one shell.

    Args:
        options: ``shell`` is the name of the shell, ``parser`` the parser of all commands.

    Returns:
        0, the exit status.

    Raises:
        UsageError: shtab is not installed.
    """
    try:
        import shtab
    except ModuleNotFoundError:
        raise UsageError(f"the script is written by shtab: {install_hint('completion')}") from None
    for action in actions_of(options.parser):
        if action.type is Path or action.dest in ("what", "a", "b"):
            action.complete = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for command in action._choices_actions:  # a menu has room for a line, not for the whole description
                action.choices[command.dest].description = command.help
    print(shtab.complete(options.parser, options.shell))
    return 0


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the options and arguments of a parser, and those of its commands."""
    for action in parser._actions:
        yield action
        for command in action.choices.values() if isinstance(action, argparse._SubParsersAction) else ():
            yield from actions_of(command)
