"""Names of values as a program can have them: ``x̂`` is an identifier of Python, ``W^{(1)}`` becomes ``W_1``."""

from __future__ import annotations

import builtins
import functools
import keyword
import re
import unicodedata
from collections.abc import Iterable

__all__ = ["Names", "to_ascii", "to_identifier"]

MARKS = {
    "\u0302": "_hat", "\u0303": "_tilde", "\u0304": "_bar", "\u0305": "_bar", "\u0307": "_dot", "\u0308": "_ddot",
    "\u20d7": "_vec", "\u2032": "_prime", "\u2033": "_prime2", "'": "_prime",
}  # fmt: skip
ACCENTS = {
    "hat": "\u0302",
    "widehat": "\u0302",
    "tilde": "\u0303",
    "widetilde": "\u0303",
    "bar": "\u0304",
    "dot": "\u0307",
}
GREEK = re.compile(r"GREEK (SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)$")


@functools.lru_cache(maxsize=1024)
def to_ascii(name: str) -> str:
    r"""Return a name in ASCII: ``μ`` is ``mu``, ``x̂`` is ``x_hat``, ``h'`` is ``h_prime``, ``W₁`` is ``W1``.

    Args:
        name: any text; commands of LaTeX for letters and accents are understood.

    Returns:
        An identifier of Python in ASCII.

    >>> [to_ascii(name) for name in ("σ", "x̂", r"\tilde{h}", "fc1.weight", "W^{(1)}", "1")]
    ['sigma', 'x_hat', 'h_tilde', 'fc1_weight', 'W_1', '_1']
    """
    name = re.sub(r"\\(\w+)\{(\w)\}", lambda m: m[2] + ACCENTS.get(m[1], ""), name)
    name = re.sub(r"\\([A-Za-z]+)", r"\1", name)
    parts = []
    for letter in unicodedata.normalize("NFKD", name):
        if letter in MARKS:
            parts.append(MARKS[letter])
        elif found := GREEK.match(unicodedata.name(letter, "")):
            parts.append(found[2].lower() if found[1] == "SMALL" else found[2].capitalize())
        else:
            parts.append(letter if letter.isascii() and letter.isalnum() else "_")
    return to_word("".join(parts))


def to_identifier(name: str) -> str:
    """Return a name as an identifier of Python, with its own letters where Python takes them.

    Args:
        name: any text.

    >>> to_identifier("x̂"), to_identifier("σ"), to_identifier("h'"), to_identifier("for")
    ('x̂', 'σ', 'h_prime', 'for_')
    """
    kept = unicodedata.normalize("NFKC", name)
    return to_word(kept) if kept.isidentifier() else to_ascii(name)


def to_word(name: str) -> str:
    """Make an identifier of letters, digits and marks: no digit first, no word of Python."""
    name = re.sub(r"_{2,}", "_", name).strip("_") or "t"
    name = f"_{name}" if name[0].isdigit() else name
    return f"{name}_" if keyword.iskeyword(name) or name in TAKEN else name


TAKEN = {"np", "torch", "math", *dir(builtins)}


class Names:
    """Hands out identifiers, each once.

    >>> names = Names(ascii=True)
    >>> names.take("σ"), names.take("sigma"), names.take("")
    ('sigma', 'sigma_2', 't1')
    """

    def __init__(self, ascii: bool = False, taken: Iterable[str] = ()) -> None:  # noqa: A002 - the name of the option
        self.spell = to_ascii if ascii else to_identifier
        self.taken = set(taken)
        self.unnamed = 0

    def take(self, wanted: str) -> str:
        """Return an identifier for a name; of an empty one, the next of t1, t2, …

        Args:
            wanted: the name.
        """
        while not wanted:
            self.unnamed += 1
            wanted = "" if f"t{self.unnamed}" in self.taken else f"t{self.unnamed}"
        name = first = self.spell(wanted)
        count = 1
        while name in self.taken:
            count += 1
            name = f"{first}_{count}"
        self.taken.add(name)
        return name
