"""The exercise of the texts: backpropagate through batch norm by hand, and compare every intermediate gradient.

Write each line of `by_hand` yourself; the graph knows the answer to each of them by its name. The first ✗ is where to
begin. `tinygraph check FILE.py:batchnorm_backward` says which line of a function is wrong, and why.
"""

import numpy as np

import tinygraph as tg
from tinygraph.data import digits


def by_hand(x, gamma, beta, dy, eps=1e-5):
    """Forward, then backward, a line a node. Where a value is used twice, its gradients are added."""
    n = len(x)
    mu = x.mean(0)
    x_c = x - mu
    v = (x_c**2).mean(0)
    sigma = np.sqrt(v + eps)
    x_hat = x_c / sigma

    dbeta = dy.sum(0)  # β was copied to every row: add the rows
    ds = dy
    dgamma = (ds * x_hat).sum(0)
    dx_hat = ds * gamma
    dsigma = (dx_hat * -x_c / sigma**2).sum(0)
    dv = dsigma / (2 * sigma)
    dq = np.ones((n, 1)) * dv / n  # v was a mean: each row gets 1/n
    dx_c = dx_hat / sigma + dq * 2 * x_c  # x_c is used twice: ① + ②
    dmu = -dx_c.sum(0)
    dx = dx_c + np.ones((n, 1)) * dmu / n  # and so is x
    found = locals()
    return {name: found[variable] for name, variable in VARIABLES.items()}


VARIABLES = {
    "β": "dbeta", "s": "ds", "γ": "dgamma", "x̂": "dx_hat", "σ": "dsigma",
    "v": "dv", "q": "dq", "x_c": "dx_c", "μ": "dmu", "x": "dx",
}  # fmt: skip


def gradients(*arguments):
    """Return what `by_hand` computes; if it stops at shapes that do not fit, what it has computed until there."""
    try:
        return by_hand(*arguments)
    except ValueError as error:
        inside = error.__traceback__.tb_next
        print(f"line {inside.tb_lineno} stops: {error}")
        found = inside.tb_frame.f_locals
        return {name: found[variable] for name, variable in VARIABLES.items() if variable in found}


def main(steps: int = 1) -> dict[str, float]:
    """Compare each gradient by hand with the one that the graph has for that name; return the relative errors."""
    rng = np.random.default_rng(0)
    images, _ = digits()
    x = images[:32].astype(np.float64)
    x = x[:, x.std(0) > 0][:, :20]
    gamma, beta, dy = rng.standard_normal(20), rng.standard_normal(20), rng.standard_normal(x.shape)

    y = tg.batch_norm(tg.Tensor(x, name="x"), tg.Parameter(gamma, name="γ"), tg.Parameter(beta, name="β"))
    y.backward(dy)
    graph = tg.snapshot(y, values=x.size)

    errors = {}
    for name, hand in gradients(x, gamma, beta, dy).items():
        node = graph.find(name)
        found = np.reshape(node.grad.values, node.shape)
        if np.size(hand) != found.size:  # a Σ is missing, or runs over the wrong axis
            errors[name] = np.inf
            print(f"d{name:4s} ✗  its shape is {np.shape(hand)}, and should be {found.shape}")
            continue
        errors[name] = float(np.abs(np.reshape(hand, found.shape) - found).max() / np.abs(found).max())
        print(f"d{name:4s} {'✓' if errors[name] < 1e-9 else '✗'}  relative error {errors[name]:.1e}")
    if wrong := [name for name, error in errors.items() if error >= 1e-9]:
        print(f"Begin with d{wrong[0]}: the others may only use it. `tg.check_backward` says more.")
    return errors


if __name__ == "__main__":
    main()
