"""The style sheet of a picture: the colours of a theme as CSS rules, one for each class."""
# ruff: noqa: E501 - a line of CSS reads best whole

from __future__ import annotations

from tinygraph.drawing.style.conventions import TINTS
from tinygraph.drawing.style.palette import DARK, LIGHT, PRINT
from tinygraph.drawing.style.text_width import FONTS

__all__ = ["THEMES", "style"]

THEMES = {"light": LIGHT, "dark": DARK, "print": PRINT, "transparent": LIGHT, "auto": LIGHT}


def blend(low: str, high: str, share: float) -> str:
    """Mix two colours."""
    a, b = ([int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in (low, high))
    return "#" + "".join(f"{round(x + (y - x) * share):02X}" for x, y in zip(a, b, strict=True))


def rules(c: dict[str, str], theme: str) -> str:
    """Write a theme as CSS rules, each for a class."""
    root = f".tg-{theme}"
    out = [
        f"{root} .{name}{{fill:{c[name]}}}"
        for name in ("paper", "ink", "muted", "value", "grad", "bad", "held", "zero", "card")
    ]
    out += [f"{root} .lane{k}{{fill:{c[f'lane{k}']}}}" for k in range(3)]
    out += [
        f"{root} .h-{name}{{fill:{c[name]}}}"
        for name in ("data", "constant", "parameter", "elementwise", "reduction", "loss", "fused", "gradient")
    ]
    out += [f"{root} .h-{name}{{fill:{c['elementwise']}}}" for name in ("shape", "linear", "window")]
    out.append(f"{root} .h-scope{{fill:{c['scopefill']}}}{root} .h-stub{{fill:{c['card']}}}")
    out.append(f"{root} .fusedink{{fill:{c['fusedink']}}}{root} .fusedmuted{{fill:{c['fusedmuted']}}}")
    for ink in ("value", "grad"):
        for k in range(TINTS + 1):
            out.append(
                f"{root} .{ink[0]}{k}{{fill:{blend(c[ink + '0'], c[ink + '6'], 0 if not k else 0.2 + 0.8 * k / TINTS)}}}"
            )
        out.append(f"{root} .{ink}-line{{fill:none;stroke:{c[ink]}}}{root} .{ink}-rule{{fill:none;stroke:{c['card']}}}")
    out.append(
        f"{root} .grad-head{{fill:{c['card']};stroke:{c['grad']}}}{root} .x{{fill:{blend(c['card'], c['bad'], 0.3)}}}"
    )
    out.append(f"{root} .divide{{stroke:{c['muted']};stroke-width:1.4}}")
    out.append(f"{root} .edge{{fill:none;stroke:{c['line']}}}{root} .strong{{fill:none;stroke:{c['strong']}}}")
    out.append(
        f"{root} .scope{{fill:none;stroke:{c['line']}}}{root} .marked{{fill:none;stroke:{c['bad']}}}{root} .chosen{{fill:none;stroke:{c['value']}}}"
        f"{root} .now{{fill:none;stroke:{c['ink']}}}"
    )
    out += [
        f"{root} .f-{name}{{fill:none;stroke:{c['muted' if name != 'unused' else 'grad']}}}"
        for name in ("none", "pending", "unused")
    ]
    out.append(f"{root} .box{{stroke:{c['grad']}}}{root} .faint text{{fill:{c['muted']}}}")
    return "\n".join(out)


def style(theme: str) -> str:
    """Write the style sheet of a document."""
    root = f".tg-{theme}"
    fonts = [f"{root} .{face}{{font-family:{family}}}" for face, family in FONTS.items()]
    lines = [
        *fonts,
        f"{root} .serif{{font-style:italic}}{root} .bold{{font-weight:bold}}",
        f"{root} .value-line{{stroke-width:1.6}}{root} .grad-line{{stroke-width:1.6;stroke-dasharray:6 4}}",
        f"{root} .table{{stroke-width:1.2;stroke-dasharray:none}}{root} .grad-head{{stroke-width:1.4}}",
        f"{root} .rule{{stroke-width:.6;stroke-dasharray:none}}",
        f"{root} .edge{{stroke-width:1.1}}{root} .strong{{stroke-width:2.6}}{root} .scope{{stroke-width:1.2}}",
        f"{root} .marked,{root} .chosen{{stroke-width:3}}{root} .now{{stroke-width:3.6}}{root} .thick{{stroke-width:3.2}}",
        f"{root} .dashed{{stroke-dasharray:4 3}}",
        f"{root} .f-none{{stroke-width:1;stroke-dasharray:1.5 2.5;stroke-linecap:round}}"
        f"{root} .f-pending{{stroke-width:1;stroke-dasharray:5 3}}{root} .f-unused{{stroke-width:1}}",
        f"{root} .faint rect,{root} .faint path{{opacity:.3}}",
        rules(THEMES[theme], theme),
    ]
    if theme == "auto":
        lines.append("@media (prefers-color-scheme: dark) {\n" + rules(DARK, theme) + "\n}")
    return "\n".join(lines)
