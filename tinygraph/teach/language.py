"""What students read, in their language: a table of texts for each, in the folder ``languages``."""

from __future__ import annotations

import functools
import importlib.resources
import re
import tomllib
from collections.abc import Mapping
from typing import Any

__all__ = ["Language", "language_of", "languages"]


def languages() -> list[str]:
    """Return the codes of the languages that there are: "en", "zh"."""
    folder = importlib.resources.files(__package__).joinpath("languages")
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


class Language:
    """The texts of one language.

    Args:
        code: such as "en".
        texts: the table.
    """

    def __init__(self, code: str, texts: Mapping[str, Any]) -> None:
        self.code, self.texts = code, texts

    def text(self, key: str, **facts: object) -> str:
        """Return a text with its holes filled.

        Args:
            key: its place in the table, such as "words.shape".
            facts: what fills the holes; nothing in them is read as a hole.

        >>> language_of("en").text("words.shape", found=(4, 3), wanted=(3,))
        'the shape is (4, 3), and should be (3,)'
        """
        found: Any = self.texts
        for name in key.split("."):
            found = found[name]
        return str(found).format(**facts)

    def picture(self, svg: str) -> str:
        """Return a picture with its words in this language; names stay as they are.

        >>> language_of("zh").picture('<text class="sans value" x="1">value</text>')
        '<text class="sans value" x="1">值</text>'
        """
        known: Mapping[str, str] = self.texts["picture_words"]

        def words(found: re.Match[str]) -> str:
            text = found[0].replace("\xa0", " ")
            return known.get(text) or "\xa0".join(known.get(word, word) for word in text.split(" "))

        def run(found: re.Match[str]) -> str:
            return found[1] + re.sub("[a-z][a-z\xa0 ]*[a-z]", words, found[2])

        return re.sub(r'(<(?:text|tspan) class="sans\b[^"]*"[^>]*>)([^<]+)', run, svg)


@functools.cache
def language_of(code: str) -> Language:
    """Return a language.

    Args:
        code: "en", "zh" or another that has a file; "zh-CN" and "zh_Hans" are "zh".

    Raises:
        ValueError: there is no such language.
    """
    short = code.replace("_", "-").partition("-")[0].lower()
    if short not in languages():
        raise ValueError(f"lang is {code!r}; it must be one of {', '.join(languages())}")
    file = importlib.resources.files(__package__).joinpath("languages", f"{short}.toml")
    return Language(short, tomllib.loads(file.read_text(encoding="utf-8")))
