"""Write a page in fewer letters, so that nothing that a reader sees is lost: its picture, its formulas, its script."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

__all__ = ["FIRST", "compact_script", "compact_svg", "share"]

FIRST, MOST = 0xE000, 0x1900  # the characters that stand for what is shared; Unicode leaves them to everybody
TAG = re.compile(r"<(/?)\w+[^<>]*?(/?)>")
SHORT = 16  # letters; what is no longer is not shared
PRIVATE = re.compile("[\ue000-\uf8ff]")


def compact_svg(text: str, kept: str = "") -> str:
    """Return a picture in fewer letters: what most texts have stands once, and rules for nothing go.

    Args:
        text: from `tinygraph.svg`.
        kept: classes that a script uses.

    >>> compact_svg('<svg><text x="1" font-size="10" text-anchor="middle">a</text></svg>')
    '<svg font-size="10" text-anchor="middle"><text x="1">a</text></svg>'
    """
    text = re.sub(r"tg[0-9a-f]{8}-", "g-", text)
    text = re.sub(r"(<title>[^<\n]*\n[^<\n]*)\n[^<]*", r"\1", text)  # the page has the numbers
    used = set(re.findall(r"[\w-]+", " ".join(re.findall(r'class="([^"]*)"', text)) + " " + kept))

    def keep(rule: re.Match[str]) -> str:
        return rule[0] if used & set(re.findall(r"\.([\w-]+)", rule[1].partition(" ")[2])) else ""

    text = re.sub(r"(\.tg-[^{}]*)\{[^{}]*\}", keep, text)
    text = re.sub(r"<text (?![^>]*text-anchor)", '<text text-anchor="start" ', text)
    for usual in (' font-size="10"', ' text-anchor="middle"'):
        text = re.sub(rf"(<text [^>]*){usual}", r"\1", text)
    text = text.replace("<svg", '<svg font-size="10" text-anchor="middle"', 1)
    return re.sub(r"\n+(?=[<.@}]|$)", "", text)


def compact_script(text: str) -> str:
    r"""Return a script without indents and without comments: those on a line of their own, or after two spaces.

    >>> compact_script("// all\nif (x) {  // so\n  y();\n}\n")
    'if (x) {\ny();\n}\n'
    """
    text = re.sub(r"(?m)  // [^'\"`\n]*$", "", text)
    return re.sub(r"(?m)^[ \t]*(?://.*)?\n|^[ \t]+", "", text)


# Formulas repeat each other: a part that stands in several is sent once, and a character stands for it.


def share(content: Any) -> tuple[Any, list[str]]:
    r"""Return data in which parts of MathML that repeat are single characters, and what these stand for.

    A character from U+E000 on stands for the part of that number, which may have such characters again.

    >>> part = "<mfrac><mn>1</mn><mi>σ</mi></mfrac>"
    >>> share([part, f"<mrow>{part}</mrow>"]) == (["\ue000", "<mrow>\ue000</mrow>"], [part])
    True
    """
    texts = strings(content)
    if any(PRIVATE.search(text) for text in texts):
        return content, []
    count = Counter(part for text in texts if text.startswith("<m") for part in elements(text))
    often = sorted((part for part, n in count.items() if n > 1 and len(part) > SHORT), key=len)[-MOST:]
    place = {part: chr(FIRST + k) for k, part in enumerate(often)}
    parts = [encode(part, place, inside=True) for part in often]
    return rewrite(content, place), parts


def strings(content: Any) -> list[str]:
    """Return all strings in data, in order."""
    found, rest = list[str](), [content]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            rest += reversed([part for pair in item.items() for part in pair])
        elif isinstance(item, list | tuple):
            rest += reversed(item)
    return found


def rewrite(content: Any, place: dict[str, str]) -> Any:
    """Return data with each formula in its short form."""
    if isinstance(content, str):
        return encode(content, place) if content.startswith("<m") else content
    if isinstance(content, dict):
        return {key: rewrite(value, place) for key, value in content.items()}
    return [rewrite(item, place) for item in content] if isinstance(content, list | tuple) else content


def elements(text: str) -> Iterator[str]:
    """Yield each element of MathML, with all that is in it."""
    starts = []
    for tag in TAG.finditer(text):
        if not tag[1]:
            starts.append(tag.start())
        if tag[1] or tag[2]:
            yield text[starts.pop() : tag.end()]


def encode(text: str, place: dict[str, str], inside: bool = False) -> str:
    """Return MathML with a character for each part that has one; ``inside`` says that it is not for the whole."""
    out, last, depth, start, first = "", 0, 0, 0, 0
    for tag in TAG.finditer(text):
        if not tag[1]:
            if not depth:
                start, first = tag.start(), tag.end()
            depth += 1
        if tag[1] or tag[2]:
            depth -= 1
            if not depth:
                whole = text[start : tag.end()]
                found = None if inside else place.get(whole)
                if found is None and not tag[2]:
                    found = text[start:first] + encode(text[first : tag.start()], place) + tag[0]
                out += text[last:start] + (found or whole)
                last = tag.end()
    return out + text[last:]
