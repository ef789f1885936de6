"""What must not be in a layout: things that cover each other, and lines on one track."""

from __future__ import annotations

import itertools

from tinygraph.drawing.layout.geometry import Layout, meets


def faults(layout: Layout) -> list[str]:
    """Return what overlaps in a layout that must not."""
    found = []
    cards = [(p.card.title or p.card.node, p.rect) for p in layout.cards]
    for (a, ra), (b, rb) in itertools.combinations(cards, 2):
        if meets(ra, rb):
            found.append(f"card {a} on card {b}")
    for chip in layout.chips:
        found += [f"chip {chip.ends} on card {a}" for a, rect in cards if meets(chip.rect, rect)]
        if chip.rect[0] < 0 or chip.rect[2] > layout.width or chip.rect[3] > layout.height:
            found.append(f"chip {chip.ends} outside")
    for a, b in itertools.combinations(layout.chips, 2):
        if meets(a.rect, b.rect):
            found.append(f"chip {a.ends} on chip {b.ends}")
    for r in layout.routes:
        for points in filter(None, (r.forward, r.backward)):
            for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
                if x0 != x1 and y0 != y1:
                    found.append(f"edge {r.link.k} is slanted")
                line = min(x0, x1) + 0.01, min(y0, y1) + 0.01, max(x0, x1) - 0.01, max(y0, y1) - 0.01
                line = min(line[0], line[2]), min(line[1], line[3]), max(line[0], line[2]), max(line[1], line[3])
                thick = line[0] - 0.005, line[1] - 0.005, line[2] + 0.005, line[3] + 0.005
                found += [f"edge {r.link.k} ({r.way.kind}) through card {a}" for a, rect in cards if meets(thick, rect)]
    for p in layout.cards:
        for item in p.card.items:
            left, top, right, bottom = item.box
            if left < -p.card.width / 2 or right > p.card.width / 2 or top < -1 or bottom > p.card.height + 0.5:
                found.append(f"{item} sticks out of card {p.card.title}")
    return found


def shared_lines(layout: Layout) -> list[str]:
    """Return lines of different edges that lie on each other."""
    segments = []
    for r in layout.routes:
        for points in filter(None, (r.forward, r.backward)):
            for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
                if (x0, y0) != (x1, y1):
                    segments.append(
                        (r.link.k, x0 == x1, (x0 if x0 == x1 else y0), sorted((y0, y1) if x0 == x1 else (x0, x1)))
                    )
    found = []
    for a, b in itertools.combinations(segments, 2):
        if (
            a[0] != b[0]
            and a[1] == b[1]
            and abs(a[2] - b[2]) < 1.5
            and min(a[3][1], b[3][1]) - max(a[3][0], b[3][0]) > 1
        ):
            found.append(f"edges {a[0]} and {b[0]} on one line")
    return found
