"""Rows change places where lines then cross less, and never leave their lane."""

from __future__ import annotations

from tinygraph.drawing.layout.order import crossings, order_rows


def test_two_rows_that_cross_change_places() -> None:
    """Row 0 is the lane's first; a line goes from it to row 2 through a card in row 1, which joins nothing."""
    row = {0: 0, 1: 1, 2: 2}
    found = order_rows(row, {0: 0, 1: 1, 2: 1}, [(0, 2)], [0], 3)
    assert found == {0: 0, 1: 2, 2: 1}


def test_the_first_row_of_a_lane_and_the_lanes_stay() -> None:
    row = {k: k for k in range(6)}
    column = dict.fromkeys(range(6), 0) | {5: 1, 2: 1, 4: 1}
    found = order_rows(row, column, [(0, 2), (3, 5)], [0, 3], 6)
    assert found[0] == 0
    assert found[3] == 3
    assert {found[1], found[2]} == {1, 2}
    assert {found[4], found[5]} == {4, 5}


def test_nothing_changes_where_nothing_crosses() -> None:
    row = {0: 0, 1: 1, 2: 2}
    assert order_rows(row, {0: 0, 1: 1, 2: 2}, [(0, 1), (1, 2)], [0], 3) == row


def test_a_line_costs_what_it_passes() -> None:
    over = {(1, 4): 3}
    assert crossings([0, 1, 2], [(0, 2, 4)], over) == 3 + 0.02
    assert crossings([1, 0, 2], [(0, 2, 4)], over) == 0.01
