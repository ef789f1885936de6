"""Experiment 14: whitening by the full covariance in place of batch norm, which divides by the variances alone.

An exercise of "Dive into Deep Learning". Three hidden layers of 50, Adam at 1e-3, batches of 200, 5,000 examples. The
covariance Σ = L Lᵀ is Cholesky's; L⁻¹ (x − μ) has the covariance I. Its derivative is that of its parts.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from report import BLUE, GREEN, ORANGE, Report, band, images, main, panels, table
from six_layers import net_of, split, train_net

import tinygraph as tg
from tinygraph import nn

HIDDEN = [50] * 3


class Whitening(nn.Module):
    """Take off the mean and make the covariance of the features I; then γ and β, as batch norm has them."""

    def __init__(self, features: int, eps: float = 1e-3, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum, self.features = eps, momentum, features
        self.weight = nn.Parameter(np.ones(features, np.float32))
        self.bias = nn.Parameter(np.zeros(features, np.float32))
        self.register_buffer("running_mean", np.zeros(features, np.float32))
        self.register_buffer("running_cov", np.eye(features, dtype=np.float32))

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        """Whiten the rows of x (N, D)."""
        mu, sigma = self.running_mean, self.running_cov
        if self.training:
            mu = tg.mean(x, axis=0)
            centred = x - mu
            sigma = tg.matmul(tg.transpose(centred), centred) / len(x)
            for name, new in (("running_mean", mu), ("running_cov", sigma)):
                setattr(self, name, (1 - self.momentum) * getattr(self, name) + self.momentum * new.data)
        factor = tg.linalg.cholesky(sigma + self.eps * np.eye(self.features, dtype=np.float32))
        white = tg.transpose(tg.linalg.solve_triangular(factor, tg.transpose(x - mu), upper=False))
        return white * self.weight + self.bias


def run(short: bool = False, data: Path | None = None) -> Report:
    """Train the net with each, from several seeds."""
    sets = split(images(data)[0], 400 if short else 5000)
    seeds, epochs = range(1 if short else 3), 2 if short else 10
    found, rows, took = {}, [], {}
    for name, norm in (("whitening", Whitening), ("batch norm", nn.BatchNorm1d), ("nothing", None)):
        started = time.perf_counter()
        found[name] = [
            train_net(sets, HIDDEN, None, net=net_of(sets[0], HIDDEN, norm, seed), seed=seed, batch=200, epochs=epochs)
            for seed in seeds
        ]
        took[name] = (time.perf_counter() - started) / len(seeds)
    figure, axes = panels(1, 2, (9, 3))
    for (name, runs), color in zip(found.items(), (GREEN, BLUE, ORANGE), strict=True):
        losses, held = (np.array([getattr(r, what) for r in runs]) for what in ("loss", "validation"))
        band(axes[0, 0], np.arange(1, losses.shape[1] + 1), losses, color=color, label=name)
        band(axes[0, 1], np.arange(1, epochs + 1), held, color=color, label=name)
        first, last = (
            f"{held[:, 0].mean():.3f}",
            f"{held[:, -1].mean():.3f} ({held[:, -1].min():.3f}–{held[:, -1].max():.3f})",
        )
        rows.append((name, f"{losses[:, -10:].mean():.3f}", first, last, f"{took[name] / took['whitening']:.2f}"))
    axes[0, 0].set(title="loss of each step", xlabel="step")
    axes[0, 1].set(title="validation accuracy", xlabel="epoch")
    axes[0, 1].legend()
    head = (
        "between the layers",
        "loss, last 10 steps",
        "validation after 1 epoch",
        "validation accuracy",
        "time ÷ whitening's",
    )
    return Report(table(head, rows), figure, found)


if __name__ == "__main__":
    main(14, run)
