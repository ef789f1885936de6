"""A graph as TikZ: a document that compiles alone, in which the id of a node is its id in the graph.

A name that looks like mathematics is written as such; any other text is written character by character, with
the commands that pdfLaTeX knows.
"""
# ruff: noqa: E501 - a line of LaTeX reads best whole

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from tinygraph.drawing.layout.geometry import Layout, Placed, Point
from tinygraph.drawing.layout.labels import axes_words, is_loss, reduced_axes
from tinygraph.drawing.layout.place import lay_out
from tinygraph.drawing.style.conventions import CIRCLED, MOST_CARDS, shape_text
from tinygraph.drawing.style.formula import LETTER, UNSUB, Runs
from tinygraph.drawing.style.palette import LIGHT
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.scopes import fit
from tinygraph.graph.simplify import inline, latex_number

__all__ = ["tikz"]

COLORS = {
    "fwd": "value", "bwd": "grad", "line": "strong", "ew": "elementwise", "red": "reduction", "param": "parameter",
    "leaf": "data", "loss": "loss", "scope": "scopefill", "lane0": "lane0", "lane1": "lane1", "lane2": "lane2",
}  # fmt: skip
PREAMBLE = (
    r"""\documentclass[border=2mm]{standalone}
\usepackage[T1]{fontenc}
\usepackage{tikz,amsmath,amssymb,bm}
\usetikzlibrary{arrows.meta,backgrounds}
"""
    + "\n".join(rf"\definecolor{{tg{name}}}{{HTML}}{{{LIGHT[key].lstrip('#')}}}" for name, key in COLORS.items())
    + r"""
\tikzset{tg/.style={draw=tgline,rounded corners=2.5pt,align=center,inner sep=1pt,font=\small},
 tg ew/.style={tg,fill=tgew},tg red/.style={tg,fill=tgred},tg leaf/.style={tg,fill=tgleaf},
 tg const/.style={tg,fill=white,densely dashed},tg param/.style={tg,fill=tgparam,line width=1.3pt},
 tg loss/.style={tg,fill=tgloss},tg fused/.style={tg,fill=black!75,text=white},tg scope/.style={tg,fill=tgscope,line width=1.3pt},
 tg stub/.style={tg,fill=white,densely dashed},
 fwd/.style={tgfwd,line width=.7pt,rounded corners=5pt,-{Latex[length=4pt]}},
 bwd/.style={tgbwd,line width=.6pt,densely dashed,rounded corners=5pt,-{Latex[open,length=4pt]}},
 lab/.style={font=\scriptsize,fill=white,rounded corners=1.5pt,inner sep=1pt}}
\begin{document}
\begin{tikzpicture}[x=.24mm,y=-.24mm]
% tinygraph: node ids are graph ids, so that a paper can re-style or \ref single nodes
"""
)
STYLES = {"input": "leaf", "constant": "const", "parameter": "param", "reduction": "red", "loss": "loss", "fused": "fused",
          "scope": "scope", "stub": "stub"}  # fmt: skip
GREEK = {
    unicodedata.lookup(f"GREEK SMALL LETTER {name.upper()}"): "\\" + name
    for name in [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "nu",
        "xi",
        "pi",
        "rho",
        "sigma",
        "tau",
        "upsilon",
        "phi",
        "chi",
        "psi",
        "omega",
        "mu",
    ]
} | {"ε": r"\varepsilon", "λ": r"\lambda", "Γ": r"\Gamma", "Δ": r"\Delta", "Σ": r"\Sigma", "Ω": r"\Omega", "Φ": r"\Phi"}
ACCENTS = {"\u0302": "hat", "\u0304": "bar", "\u0303": "tilde", "\u0307": "dot", "\u030c": "check"}
TEXT = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", '"': r"\textquotedbl{}",
    "|": r"\textbar{}", "·": r"$\cdot$", "×": r"$\times$", "÷": r"$\div$", "−": "$-$", "Σ": r"$\sum$", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$", "√": r"$\surd$", "∂": r"$\partial$", "…": r"\dots{}", "‖": r"$\|$", "▸": r"$\triangleright$",
    "∗": "$*$", "⋆": r"$\star$", "→": r"$\to$", "≤": r"$\le$", "≥": r"$\ge$", "\u2009": r"\,", "\xa0": "~", "¬": r"$\neg$",
}  # fmt: skip
TEXT |= {c: rf"\textcircled{{\tiny{k}}}" for k, c in enumerate(CIRCLED, 1)}


def tikz(graph: Graph, *, depth: int | None = None, expand: Sequence[str] = ()) -> str:
    r"""Write a graph as a LaTeX document with one TikZ picture.

    Args:
        graph: from `snapshot`.
        depth: scopes deeper than this are collapsed; None collapses as many as it takes to leave 200 cards.
        expand: paths of scopes that stay open.

    Returns:
        LaTeX, for pdfLaTeX, XeLaTeX or LuaLaTeX. The same graph gives the same text.

    Raises:
        ValueError: ``depth`` is negative, or ``expand`` names no scope.

    >>> from tinygraph import Tensor, snapshot
    >>> "(n2) at" in tikz(snapshot((Tensor([1.0], name="x") * 3).named("y")))
    True
    """
    drawn = fit(inline(graph), MOST_CARDS, depth, expand)
    shown = sum(not drawn.is_number(n.id) for n in drawn.nodes)
    layout = lay_out(drawn, 0, chips=shown <= 60)
    out = [PREAMBLE, *lane_commands(layout)]
    out += [node_command(drawn, placed) for placed in layout.cards]
    for route in layout.routes:
        for style, points in (("fwd", route.forward), ("bwd", route.backward)):
            if points:
                out.append(rf"\draw[{style}] {' -- '.join(map(latex_point, points))};")
    for chip in layout.chips:
        x0, y0, x1, y1 = chip.rect
        ink = "tgfwd" if chip.ink == "value" else "tgbwd"
        out.append(
            rf"\node[lab,text={ink}] at {latex_point(((x0 + x1) / 2, (y0 + y1) / 2))} {{{latex_runs(chip.runs)}}};"
        )
    if graph.notes:
        said = r" \\ ".join(f"note: {latex_text(note)}" for note in graph.notes)
        place = latex_point((layout.width / 2, layout.height + 8))
        size = f"text width={0.24 * layout.width:.1f}mm,align=center"
        out.append(rf"\node[font=\scriptsize,anchor=north,{size}] at {place} {{{said}}};")
    return "\n".join([*out, r"\end{tikzpicture}", r"\end{document}"]) + "\n"


def latex_point(p: Point) -> str:
    """Write a point."""
    return f"({p[0]:.1f},{p[1]:.1f})"


def lane_commands(layout: Layout) -> list[str]:
    """Write the lanes, behind everything."""
    out = [r"\begin{scope}[on background layer]"]
    for lane in layout.lanes:
        out.append(
            rf"\fill[tglane{min(lane.depth, 2)}] (8,{lane.top:.1f}) rectangle ({layout.width - 8:.1f},{lane.bottom:.1f});"
        )
    out.append(r"\end{scope}")
    out += [
        rf"\node[font=\scriptsize,text=tgline,anchor=base west,inner sep=0] at ({v.x:.1f},{v.y:.1f}) {{{latex_runs(v.runs)}}};"
        for v in layout.lanes
    ]
    return out


def node_command(graph: Graph, placed: Placed) -> str:
    """Write one node."""
    c = placed.card
    node = graph.nodes[c.node] if c.node < len(graph.nodes) else None
    kind = "loss" if node and is_loss(graph, node.id) else c.family
    size = f"minimum width={c.width * 0.24:.2f}mm,minimum height={c.height * 0.24:.2f}mm"
    name = f"n{c.node}" if node else f"stub{c.node}-{placed.y:.0f}"
    centre = latex_point((placed.middle, placed.y + c.height / 2))
    text = node_text(graph, node) if node else latex_runs(c.items[0].runs)  # type: ignore[union-attr]
    return rf"\node[tg {STYLES.get(kind, 'ew')},{size}] ({name}) at {centre} {{{text}}};"


def node_text(graph: Graph, node: Node) -> str:
    """Write what stands on a card: the name, and below it how it is made."""
    if node.kind == "scope":
        return rf"{latex_text('▸ ' + (node.name or ''))}\\[-1pt]{{\tiny {dict(node.params).get('ops', 0)} ops}}"
    title = latex_name(node.name) if node.name else ""
    if node.op is None:
        return rf"${title or 'c'}$\\[-1pt]{{\tiny {latex_text(node.kind)} {latex_text(shape_text(node.shape))}}}"
    made = definition(graph, node)
    return rf"${title}$\\[-1pt]{{\tiny ${made}$}}" if title else rf"${made}$\\[-1pt]{{\tiny {latex_text(node.op)}}}"


def definition(graph: Graph, node: Node) -> str:
    """Return how a node is made, with the axes of a reduction in words."""
    found = graph.facts(node.id, lambda name: name)
    holes = {
        name: rf"\text{{{latex_text(text)}}}" if not text.isdigit() else text for name, text in found.items() if text
    }
    for e in node.inputs:
        source = graph.nodes[e.source]
        holes[e.operand] = (
            latex_name(source.name)
            if source.name
            else latex_number(graph.label(e.source))
            if graph.is_number(e.source)
            else r"(\,)"
        )
    holes["out"] = latex_name(node.name or "y")
    holes["xs"] = ", ".join(holes[e.operand] for e in node.inputs)
    if node.family == "reduction" and node.inputs:
        ndim = len(graph.nodes[node.inputs[0].source].shape)
        axes = reduced_axes(dict(node.params), ndim)
        holes["axis"] = rf"\text{{{axes_words(axes, ndim)}}}" if len(axes) < ndim else ""
    text = re.sub(r"\$([A-Za-z]+)", lambda m: "{" + holes.get(m[1], "") + "}", node.tex)
    return re.sub(r"[_^]\{(\{\})?\}", "", text)


def latex_name(name: str) -> str:
    """Write a name as LaTeX mathematics: x_c, x̂ and γ become letters, anything else text."""
    found = LETTER.fullmatch(name) if len(name) <= 24 else None
    letter = found[1][0] if found else ""
    if found and (letter.isascii() or letter in GREEK):
        core = GREEK.get(letter, letter)
        for mark in found[1][1:]:
            core = rf"\{ACCENTS[mark]}{{{core}}}" if mark in ACCENTS else core
        sub = (found[2] or found[3] or "").translate(UNSUB)
        sub = sub if len(sub) <= 1 or sub.isdigit() else rf"\text{{{latex_text(sub)}}}"
        return rf"\bm{{{core}}}" + (f"_{{{sub}}}" if sub else "")
    return rf"\text{{{latex_text(name if len(name) <= 24 else name[:23] + '…')}}}"


def latex_runs(pieces: Runs) -> str:
    """Write runs of text: italic letters as mathematics, raised and lowered ones as such."""
    out = []
    for run in pieces:
        text = "".join(
            f"${latex_letter(run.text[k])}$"
            if run.face == "serif" and latex_letter(run.text[k])
            else latex_text(run.text[k])
            for k in range(len(run.text))
        )
        marks = [m for m in run.text if m in ACCENTS]
        if run.face == "serif" and marks and latex_letter(run.text[0]):
            text = f"$\\{ACCENTS[marks[0]]}{{{latex_letter(run.text[0])}}}$"
        out.append(rf"$^{{\text{{{text}}}}}$" if run.rise > 0 else rf"$_{{\text{{{text}}}}}$" if run.rise < 0 else text)
    return "".join(out)


def latex_letter(letter: str) -> str:
    """Return a letter as mathematics, or nothing if it is none."""
    return GREEK.get(letter, letter if letter.isascii() and letter.isalpha() else "")


def latex_text(text: str) -> str:
    """Write text in what pdfLaTeX knows; a character that it does not know by its number."""
    out = []
    for c in text:
        if c in TEXT:
            out.append(TEXT[c])
        elif c in GREEK:
            out.append(f"${GREEK[c]}$")
        elif c.isascii():
            out.append(c if c.isprintable() else " ")
        elif unicodedata.combining(c):
            continue
        else:
            plain = unicodedata.normalize("NFKD", c)[0]
            out.append(plain if plain.isascii() and plain.isalnum() else f"[U+{ord(c):04X}]")
    return "".join(out)
