"""Check batch norm: against finite differences, at order two, and against the fused op, on real digits."""

import numpy as np

import tinygraph as tg
from tinygraph.data import digits


def main(steps: int = 1) -> bool:
    """Check the gradient and print the certificate; return whether all is well."""
    rng = np.random.default_rng(0)
    x, gamma, beta = rng.standard_normal((5, 3)), rng.standard_normal(3), rng.standard_normal(3)
    assert tg.gradcheck(tg.batch_norm, (x, gamma, beta))
    assert tg.gradgradcheck(tg.batch_norm, (x, gamma, beta))
    print("gradcheck and gradgradcheck: the composed batch norm is right\n")

    images, _ = digits()
    batch = images[:64]
    gamma, beta = (rng.standard_normal(64).astype(np.float32) for _ in range(2))
    certificate = tg.compare(tg.batch_norm, tg.fused.batch_norm, batch, gamma, beta)
    print(certificate)
    return certificate.ok


if __name__ == "__main__":
    raise SystemExit(not main())
