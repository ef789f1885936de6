"""How wide text is, by the advance widths of DejaVu, the widest of the fonts that a style names.

So a box that fits the text by these figures fits it in Chromium, Firefox, rsvg and Inkscape, whichever of these
fonts is installed. Widths are in hundredths of an em, rounded up.
"""

from __future__ import annotations

import functools
import math
import unicodedata

__all__ = ["FONTS", "shorten", "width", "wrap"]

FONTS = {
    "sans": "'DejaVu Sans', Verdana, 'Bitstream Vera Sans', sans-serif",
    "bold": "'DejaVu Sans', Verdana, 'Bitstream Vera Sans', sans-serif",
    "serif": "'DejaVu Serif', 'STIX Two Text', 'Times New Roman', serif",
    "roman": "'DejaVu Serif', 'STIX Two Text', 'Times New Roman', serif",
    "mono": "'DejaVu Sans Mono', Menlo, Consolas, monospace",
}
ADVANCES = {  # face: {hundredths of an em: the characters that wide}; "roman" follows from "serif", its italic
    "sans": {
        20: "\u2009",
        23: "′",
        28: "'ijlìíîïĩīĭįıĵĺļ",
        29: "ł",
        30: "IJÌÍÎÏĨĪĬĮİĴΙΪ",
        32: " ,.\xa0·‘’·",
        34: "/:;\\|¦ίι",
        35: "ŀ",
        36: "fſ",
        37: "-\xad‐",
        38: "ľ″",
        39: "ᵀ",
        40: "()[]tţťŧ",
        41: "!¡²³¹⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉",
        42: "rŕŗř",
        46: "\"",
        48: "ªº",
        50: "*_`§¨¯°´¸–†‖∥ˆ",
        51: "▸▾▴◂",
        52: "“”∂",
        53: "szśŝşšźżž∫⁺⁻₊₋",
        54: "?¿",
        55: "cçćĉċčέεζ",
        56: "LĳĹĻĽĿΓνξ",
        57: "Ł",
        58: "Fkķĸΰυχ",
        59: "Ĳκς•",
        60: "vxyýÿŷγλ",
        61: "PÞΡπτ",
        62: "TYaeo«»ÝàáâãäåèéêëðòóôõöøāăąēĕėęěōŏőŢŤŦŶŸΤΥΫδθοϑϵ",
        63: "ß",
        64: "$0123456789ESbdghnpqu{}¢£¤¥µ¶ÈÉÊËñùúûüþďđĒĔĖĘĚĝğġģĥńņňŋŚŜŞŠũūŭůűųΕΞΣήβημρσ√",
        66: "KĶΚάαφψϕ",
        67: "∇∆",
        68: "∑",
        69: "ABVXZÀÁÂÃÄÅĀĂĄŹŻŽΑΒΔΖΛΧ",
        70: "CRÇĆĈĊČħŔŖŘ",
        74: "UÙÚÛÜŨŪŬŮŰŲ",
        75: "NÑŃŅŇŊΝ",
        76: "HĤΗΠ∏",
        77: "Ω",
        78: "&DGÐĎĐĜĞĠĢ",
        79: "OQÒÓÔÕÖØŌŎŐΘΟΦΨ",
        82: "wŉŵ",
        84: "#+<=>^~¬±×÷ω−∞≈≠≤≥±×÷⊙⊕⊗↑↓→←↔¬",
        87: "MΜ",
        88: "∈",
        90: "①②③④⑤⑥⑦⑧⑨",
        92: "Ħ",
        96: "%",
        97: "¼½¾",
        98: "mÆ",
        99: "WæŴ",
        100: "@©®—…",
        103: "œ",
        107: "Œ",
        135: "‰",
    },
    "bold": {
        20: "\u2009",
        27: "′",
        31: "'",
        35: " ijl\xa0ìíîïĩīĭįıĵĺļ",
        37: "/\\|¦",
        38: ",.IJ·ÌÍÎÏĨĪĬĮİĴłΙΪ‘’·",
        39: "ίι",
        40: ":;",
        42: "-\xad‐",
        43: "ᵀ",
        44: "f²³¹ſ⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉",
        45: "″",
        46: "!()[]¡",
        48: "tľţťŧ",
        50: "_`r§¨¯°´¸ŕŗř–†‖∥ˆ",
        51: "▸▾▴◂",
        53: "\"*⁺⁻₊₋",
        55: "∂",
        56: "ŀέε",
        57: "ªº",
        59: "?z¿źżž",
        60: "csçćĉċčśŝşšζξς",
        61: "∫",
        64: "L¤¶ĹĻĽĿΓΞλτ•",
        65: "x«»Łχϵ",
        66: "vyýÿŷ“”",
        67: "kķĸϑ√",
        68: "aeàáâãäåèéêëāăąēĕėęěΰυ",
        69: "EFToÈÉÊËðòóôõöøĒĔĖĘĚĳōŏőŢŤŦΕΣΤάαγδθνο",
        70: "$0123456789¢£¥∇∆",
        72: "bdghnpqu{}ßñùúûüþďđĝğġģĥńņňŋũūŭůűųήβηκρ∑",
        73: "SYZÝŚŜŞŠŶŸŹŻŽΖΥΫ",
        74: "CPµÇÞĆĈĊČΡμ",
        75: "Ĳ",
        77: "BΒ",
        78: "AKRVXÀÁÂÃÄÅĀĂĄĶŔŖŘΑΔΚΛΧσ",
        79: "φ∏",
        80: "ħπψϕ",
        82: "UÙÚÛÜŨŪŬŮŰŲ",
        83: "GĜĞĠĢ",
        84: "#+<=>DHN^~¬±ÐÑ×÷ĎĐĤŃŅŇŊΗΝΠ−∞≈≠≤≥±×÷⊙⊕⊗↑↓→←↔¬",
        85: "Ψ①②③④⑤⑥⑦⑧⑨",
        86: "OQÒÓÔÕÖØŌŎŐΘΟΦΩ",
        87: "ω",
        88: "&",
        90: "∈",
        93: "wŵ",
        98: "Ħ",
        99: "ŉ",
        100: "@M©®Μ—…",
        101: "%",
        104: "¼½¾",
        105: "mæ",
        109: "Æ",
        110: "œ",
        111: "WŴ",
        117: "Œ",
        144: "‰",
    },
    "serif": {
        20: "\u2009",
        23: "′",
        28: "'",
        32: " ,.ijl\xa0·ìíîïĩīĭįıĵĺļ‘’·",
        33: "ł",
        34: "-/:;\\|¦\xad‐",
        38: "fſ″",
        40: "()I[]ÌÍÎÏĨĪĬĮİΙΪίι",
        41: "!Jt¡²³¹Ĵľţťŧ⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉",
        42: "ᵀ",
        46: "\"",
        47: "ŀ∥",
        48: "rªºŕŗř",
        50: "*_`§¨¯°´¸–†‖ˆ",
        51: "▸▾▴◂",
        52: "sśŝşš“”∂",
        53: "zźżž∫⁺⁻₊₋",
        54: "?¿ĳέε",
        55: "ζ",
        56: "ξτ",
        57: "cvxyçýÿćĉċčŷςϵ",
        58: "β",
        59: "ρ•",
        60: "aeàáâãäåèéêëāăąēĕėęěήγη",
        61: "koðòóôõöøķĸōŏőΰδθνουχ",
        62: "«»",
        64: "$0123456789{}¢£¤¥¶λ√",
        65: "bdghnpquµñùúûüþďđĝğġģĥħńņňŋũūŭůűųμ",
        66: "κπ",
        67: "LTYÝßĹĻĽŁŢŤŦŶŸΤΥΫ",
        68: "PÞĿΡάα",
        69: "SŚŜŞŠσϕ",
        70: "FZŹŻŽΓΖ∇∆",
        71: "ΞΣφ",
        72: "XΧϑ∑",
        73: "AEVÀÁÂÃÄÅÈÉÊËĀĂĄĒĔĖĘĚΑΔΕΛ",
        74: "BΒ",
        75: "KĶΚ∈",
        76: "RŔŖŘ",
        77: "CÇĆĈĊČ",
        79: "ψ",
        80: "GĜĞĠĢ∏",
        81: "DÐĎĐĲ",
        82: "OQÒÓÔÕÖØŌŎŐΘΟΦω",
        83: "Ω",
        84: "#+<=>^~¬±×÷−∞≈≠≤≥±×÷⊙⊕⊗↑↓→←↔¬",
        85: "UÙÚÛÜŊŨŪŬŮŰŲ",
        86: "wŵ",
        87: "ŉ",
        88: "HNÑĤĦŃŅŇΗΝΠΨ",
        90: "&",
        94: "æ",
        95: "m",
        96: "%",
        97: "¼½¾",
        99: "œ",
        100: "@©®—…",
        101: "Æ",
        103: "MWŴΜ",
        114: "Œ",
        135: "‰",
    },
}  # fmt: skip
WIDTHS = {face: {c: w / 100 for w, line in table.items() for c in line} for face, table in ADVANCES.items()}
WIDTHS["roman"] = WIDTHS["serif"] | {"κ": 0.63, "Ŀ": 0.67, "έ": 0.52, "ε": 0.52, "ľ": 0.32, "ŀ": 0.32}
WIDTHS["mono"] = dict.fromkeys(WIDTHS["sans"], 0.61)


@functools.lru_cache(maxsize=8192)
def width(text: str, size: float, face: str = "sans") -> float:
    """Return how wide ``text`` is at font size ``size``, in its units, or a little more.

    >>> width("x", 10) < width("xx", 10) < width("XX", 10)
    True
    """
    known = WIDTHS[face]
    # math.fsum here and wherever places are added up: the sum() of Python 3.12 rounds otherwise than that of 3.11
    return size * math.fsum(known[c] if c in known else guess_width(c) for c in text)


def guess_width(c: str) -> float:
    """Guess the width of a character that is not in the table, in em."""
    if unicodedata.combining(c) or unicodedata.category(c) in ("Cf", "Mn", "Me"):
        return 0.0
    if unicodedata.east_asian_width(c) in "WF":
        return 1.4 if unicodedata.category(c) == "So" else 1.05
    return 1.1


def shorten(text: str, size: float, room: float, face: str = "sans") -> str:
    """Return ``text``, or as much of it as fits ``room`` with an ellipsis.

    >>> shorten("a long name", 10, 30)
    'a lo…'
    """
    if len(text) <= 400 and width(text, size, face) <= room:
        return text
    room -= width("…", size, face)
    end, used = 0, 0.0
    for c in text:
        used += width(c, size, face)
        if used > room:
            break
        end += 1
    while end and unicodedata.combining(text[end]):
        end -= 1  # an accent stays with its letter
    return text[:end].rstrip() + "…"


def wrap(text: str, size: float, room: float, face: str = "sans") -> list[str]:
    """Break ``text`` at spaces into lines that fit ``room``; a longer word has a line of its own.

    >>> wrap("one line or two", 10, 50)
    ['one line', 'or two']
    """
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size, face) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
