"""Experiment 7: batch norm that shifts before it scales, γ·(x̂ + β), as one of the course texts has it.

It can compute whatever γ·x̂ + β can, with β/γ in place of β, as long as γ is not 0; but its gradients are others: γ
takes part in that of β, and β in that of γ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from by_hand import relative_error
from report import BLUE, ORANGE, Report, band, images, main, panels, table
from six_layers import HIDDEN, split, train_net

import tinygraph as tg
from tinygraph import nn


class ShiftFirst(nn.Module):
    """Normalize, shift by β, then scale by γ."""

    def __init__(self, features: int) -> None:
        self.norm = nn.BatchNorm1d(features, affine=False)
        self.weight = nn.Parameter(np.ones(features, np.float32), name="γ")
        self.bias = nn.Parameter(np.zeros(features, np.float32), name="β")

    def forward(self, x: Any) -> Any:
        """Return γ·(x̂ + β)."""
        return self.weight * (self.norm(x) + self.bias)


def layers(features: int, rng: np.random.Generator) -> tuple[nn.BatchNorm1d, ShiftFirst]:
    """Return a layer of each kind that compute the same."""
    usual, other = nn.BatchNorm1d(features).to(np.float64), ShiftFirst(features).to(np.float64)
    gamma, beta = rng.uniform(0.5, 2, features), rng.standard_normal(features)
    usual.weight.data, usual.bias.data = gamma, beta
    other.weight.data, other.bias.data = gamma, beta / gamma
    return usual, other


def run(short: bool = False, data: Path | None = None) -> Report:
    """Compare values and gradients of the layers; then train nets of each from the same weights."""
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 64, 20))
    usual, other = layers(20, rng)
    y, z = usual(tg.Tensor(x)), other(tg.Tensor(x))
    dgamma, dbeta = tg.grad(y, [usual.weight, usual.bias], g)
    found = {
        "value": relative_error(y.data, z.data),
        **dict(zip(("dγ", "dβ"), tg.grad(z, [other.weight, other.bias], g), strict=True)),
    }
    gamma, shift = other.weight.data, other.bias.data
    predicted = {"dγ": dgamma + shift * dbeta, "dβ": gamma * dbeta}
    other.weight.data = np.zeros(20)
    (stuck,) = tg.grad(other(tg.Tensor(x)), other.bias, g)
    rows = [
        ("the same values with β/γ for β", f"relative difference {found['value']:.0e}"),
        ("dγ = Σ dy·(x̂ + β), not Σ dy·x̂", f"differs by {relative_error(found['dγ'], dgamma):.2f}; from the formula by "
         f"{relative_error(found['dγ'], predicted['dγ']):.0e}"),
        ("dβ = γ·Σ dy, not Σ dy", f"differs by {relative_error(found['dβ'], dbeta):.2f}; from the formula by "
         f"{relative_error(found['dβ'], predicted['dβ']):.0e}"),
        ("dβ where γ = 0", f"{abs(stuck).max():g}: β cannot move"),
    ]  # fmt: skip

    sets = split(images(data)[0], 500 if short else 1000)
    seeds, epochs = range(1 if short else 5), 2 if short else 10
    runs = {
        name: [train_net(sets, HIDDEN, norm, seed=seed, epochs=epochs) for seed in seeds]
        for name, norm in (("γ·x̂ + β", nn.BatchNorm1d), ("γ·(x̂ + β)", ShiftFirst))
    }
    figure, axes = panels(1, 2, (8, 3))
    for (name, curves), color, style in zip(runs.items(), (BLUE, ORANGE), ("-", "--"), strict=True):
        for axis, what in zip(axes[0], ("loss", "validation"), strict=True):
            values = np.array([getattr(c, what) for c in curves])
            band(axis, np.arange(1, values.shape[1] + 1), values, color=color, linestyle=style, label=name)
        last = [np.mean([getattr(c, what)[-1] for c in curves]) for what in ("train", "validation")]
        rows.append((f"trained with {name}", f"training accuracy {last[0]:.3f}, validation {last[1]:.3f}"))
    apart = np.abs(np.subtract(*([np.array(c.loss) for c in curves] for curves in runs.values()))).mean(0)
    rows.append(
        (
            "losses apart",
            f"{apart[0]:.0e} at step 1, {apart[1]:.0e} at step 2, {apart[2]:.0e} at step 3, "
            f"{apart[-20:].mean():.0e} in the last 20",
        )
    )
    axes[0, 0].set(title="loss of each step", xlabel="step")
    axes[0, 1].set(title="validation accuracy", xlabel="epoch")
    axes[0, 0].legend()
    errors = {key: relative_error(found[key], predicted[key]) for key in predicted}
    return Report(
        table(("", "found"), rows), figure, {**found, "errors": errors, "stuck": stuck, "apart": apart, **runs}
    )


if __name__ == "__main__":
    main(7, run)
