"""The distances of a drawing, in its own pixels: what a page gets, and what a column of a paper gets."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMPACT", "NORMAL", "Spacing"]


class Spacing(NamedTuple):
    """How far things stand apart.

    Attributes:
        gutter: least room between two columns; ``bare_gutter`` where cards have a name and a formula alone.
        bare_gutter: see ``gutter``.
        turn: room beside the lines that turn in a gutter, both sides together.
        chip: room beside a label in a gutter, both sides together.
        channel: least room above a row.
        crossed: the same where a line with a label crosses it.
        lane: further room above the first row of a lane but the first.
        heading: room between the top of a lane and its first card, in which its name stands.
        foot: room below the last row.
        track: between two lines that run side by side.
        margin: at the left and the right end.
        tier: between two rows of a picture that is broken.
        letters: size of the letters of a label; ``label`` is its height.
        label: see ``letters``.
        first: room above the first row of all.
        frame: from the frame of a box to the one inside it; ``headed`` where its name stands between them.
        headed: see ``frame``.
        inner: from the frame of a box to its cards; ``name`` where its name stands between them.
        name: see ``inner``.
        title: size of the letters of a title.
        least: width of the narrowest card that has a name and a formula alone.
        pad: room beside the letters of such a card, both sides together.
        widest: of the title of a collapsed scope; ``bars`` is the width of the course of a figure in it.
        bars: see ``widest``.
        stub: width of the name of a value that stands elsewhere.
        line: from its top to its name, and from there to its formula; a little less from there to its bottom.
    """

    gutter: float = 31.0
    bare_gutter: float = 30.0
    turn: float = 20.0
    chip: float = 8.0
    channel: float = 28.0
    crossed: float = 42.0
    lane: float = 10.0
    heading: float = 30.0
    foot: float = 12.0
    track: float = 13.0
    margin: float = 10.0
    tier: float = 14.0
    letters: float = 11.0
    label: float = 17.0
    first: float = 30.0
    frame: float = 9.0
    headed: float = 21.0
    inner: float = 10.0
    name: float = 24.0
    title: float = 16.0
    least: float = 86.0
    pad: float = 20.0
    widest: float = 250.0
    bars: float = 72.0
    stub: float = 90.0
    line: float = 18.0

    @property
    def pair(self) -> float:
        """The room of a forward line and its backward line."""
        return 2 * self.track


NORMAL = Spacing()
COMPACT = Spacing(
    gutter=20.0, bare_gutter=18.0, turn=12.0, chip=6.0, channel=14.0, crossed=20.0, lane=4.0, heading=16.0, foot=6.0,
    track=9.0, margin=4.0, tier=8.0, first=14.0, frame=6.0, headed=17.0, inner=6.0, name=19.0, title=13.0, least=52.0,
    pad=10.0, widest=150.0, bars=36.0, stub=62.0, line=13.5, letters=10.0, label=15.0,
)  # fmt: skip
