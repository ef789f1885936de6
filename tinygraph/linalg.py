"""Linear algebra: what ``numpy.linalg`` and ``torch.linalg`` have, batched and differentiable."""

from tinygraph.exchange.missing import module_getattr
from tinygraph.functions.equations import (
    cholesky_inverse,
    cholesky_solve,
    logdet,
    lstsq,
    matrix_exp,
    matrix_power,
    matrix_transpose,
    multi_dot,
    slogdet,
    solve_triangular,
    tensorinv,
    tensorsolve,
)
from tinygraph.functions.factors import cholesky, eigh, eigvalsh, pinv, qr, svd, svdvals
from tinygraph.functions.norms import cond, matrix_norm, matrix_rank, norm, vector_norm
from tinygraph.functions.products import cross, outer, tensordot, vecdot
from tinygraph.ops.diagonals import diagonal_of_matrices as diagonal
from tinygraph.ops.diagonals import trace_of_matrices as trace
from tinygraph.ops.linear import matmul
from tinygraph.ops.matrices import cofactor, det, inv, solve

__all__ = [
    "cholesky", "cholesky_inverse", "cholesky_solve", "cofactor", "cond", "cross", "det", "diagonal", "eigh",
    "eigvalsh", "inv", "logdet", "lstsq", "matmul", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank",
    "matrix_transpose", "multi_dot", "norm", "outer", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd",
    "svdvals", "tensordot", "tensorinv", "tensorsolve", "trace", "vecdot", "vector_norm",
]  # fmt: skip

__getattr__ = module_getattr("linalg")
