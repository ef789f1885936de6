"""Themes: text stands out, and grey is enough to tell forward from backward."""
# ruff: noqa: E501 - tables read best in lines

from __future__ import annotations

import re

import pytest

from tinygraph.drawing.style.themes import DARK, LIGHT, PRINT, THEMES, style


def luminance(color: str) -> float:
    parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
def test_text_stands_out_from_what_is_behind_it(theme: dict[str, str]) -> None:
    behind = {
        "ink": ["paper", "card", "value0", "value6", "grad0", "grad6", "data", "constant", "parameter", "elementwise", "reduction", "loss", "scopefill"],
        "muted": ["paper", "card", "lane0", "lane1", "lane2", "data", "constant", "parameter", "elementwise", "reduction", "loss", "scopefill"],
        "value": ["card"], "grad": ["card"], "bad": ["card"], "zero": ["value0", "grad0"], "fusedink": ["fused"], "fusedmuted": ["fused"],
    }  # fmt: skip
    for ink, grounds in behind.items():
        for ground in grounds:
            assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground, contrast(theme[ink], theme[ground]))
    assert (LIGHT["value"], LIGHT["grad"], DARK["value"], DARK["grad"]) == ("#0B5CAD", "#B84A00", "#79B8FF", "#FFA657")


@pytest.mark.parametrize("theme", list(THEMES))
def test_without_colour_forward_and_backward_still_differ(theme: str) -> None:
    """In grey a gradient is told by its dashes and its hollow head, a parameter by its border, a constant by dashes."""
    lines = style(theme)
    assert f".tg-{theme} .grad-line{{stroke-width:1.6;stroke-dasharray" in lines
    assert f".tg-{theme} .value-line{{stroke-width:1.6}}" in lines
    assert re.search(r"\.grad-head\{fill:#\w{6};stroke:#\w{6}\}", lines)
    assert f".tg-{theme} .strong{{stroke-width:2.6}}" in lines
    assert f".tg-{theme} .dashed{{stroke-dasharray" in lines
