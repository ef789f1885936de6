"""The colours of pictures, charts and curves: one table for each theme.

``value`` is blue and means forward, ``grad`` is orange and means backward, everywhere; ``held`` is a
parameter on the card of its consumer. ``value0`` and ``value6`` are
the faintest and the strongest tint of a cell, ``lane0`` to ``lane2`` the bands across a picture; ``data`` to ``fused``
and ``gradient`` fill the heads of cards.
"""

from __future__ import annotations

__all__ = ["DARK", "LIGHT", "PRINT"]

LIGHT = {
    "paper": "#FFFFFF", "card": "#FFFFFF", "ink": "#1B1F24", "muted": "#57606A", "line": "#AEB7C1", "strong": "#7B8794",
    "value": "#0B5CAD", "grad": "#B84A00", "bad": "#B42318", "held": "#6A3FB5",
    "lane0": "#F4F7FA", "lane1": "#E9EEF3", "lane2": "#DFE6EE", "scope": "#7B8794",
    "data": "#E9EBEE", "constant": "#F4F5F7", "parameter": "#E9DFF5", "elementwise": "#DCEBFA", "reduction": "#D9F0EA",
    "loss": "#F7E1E1", "fused": "#3C4650", "fusedink": "#FFFFFF", "fusedmuted": "#D5DCE3", "scopefill": "#ECEEF1",
    "value0": "#FFFFFF", "value6": "#92C1F0", "grad0": "#FFFFFF", "grad6": "#FDBA7A", "zero": "#667080",
    "gradient": "#FFEFDF",
}  # fmt: skip
DARK = {
    "paper": "#0D1117", "card": "#161B22", "ink": "#E6EDF3", "muted": "#9DA7B3", "line": "#4A545F", "strong": "#7B8794",
    "value": "#79B8FF", "grad": "#FFA657", "bad": "#FF7B72", "held": "#C9A8FF",
    "lane0": "#11161D", "lane1": "#171D26", "lane2": "#1E2631", "scope": "#6B7683",
    "data": "#2B3138", "constant": "#20262D", "parameter": "#3A2C50", "elementwise": "#1B3350", "reduction": "#17392F",
    "loss": "#4A2427", "fused": "#C9D1D9", "fusedink": "#0D1117", "fusedmuted": "#2B3138", "scopefill": "#262C34",
    "value0": "#161B22", "value6": "#1F5C9E", "grad0": "#161B22", "grad6": "#8F4A10", "zero": "#8B95A1",
    "gradient": "#3D2A14",
}  # fmt: skip
PRINT = {
    "paper": "#FFFFFF", "card": "#FFFFFF", "ink": "#000000", "muted": "#333333", "line": "#777777", "strong": "#333333",
    "value": "#000000", "grad": "#000000", "bad": "#000000", "held": "#000000",
    "lane0": "#FFFFFF", "lane1": "#F4F4F4", "lane2": "#EAEAEA", "scope": "#555555",
    "data": "#EDEDED", "constant": "#FFFFFF", "parameter": "#DEDEDE", "elementwise": "#FFFFFF", "reduction": "#E6E6E6",
    "loss": "#D2D2D2", "fused": "#333333", "fusedink": "#FFFFFF", "fusedmuted": "#E8E8E8", "scopefill": "#F0F0F0",
    "value0": "#FFFFFF", "value6": "#BEBEBE", "grad0": "#FFFFFF", "grad6": "#BEBEBE", "zero": "#666666",
    "gradient": "#F4F4F4",
}  # fmt: skip
