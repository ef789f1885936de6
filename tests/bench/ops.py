"""Time ops and layers against PyTorch: forward and backward of (64, 64), on one thread, each library in its process.

    python tests/bench/ops.py [--turns 5] [--only erf,solve] [--above 2] [--write]

The processes take turns, and a figure is the least of all turns. The table has what takes more than ``--above`` times
PyTorch's time; ``--write`` puts it into docs/benchmarks.md, with the reasons that stand here in `REASONS`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import timeit
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
N = 64


def each(form: str, names: str) -> dict[str, str]:
    """Return the calls of some functions, by name: ``form`` has @ for the name."""
    return {name: form.replace("@", name) for name in names.split()}


# Calls by name. In them T is the library, F its nn.functional, L its linalg; x, y and z are (64, 64), x and y normal
# and z within 0.5 … 1.5. Where the two are written otherwise, PyTorch's stands after " | ".
CALLS: dict[str, str] = {
    **each("T.@(x)", "exp exp2 expm1 neg abs sign square tanh sigmoid sin cos tan sinh cosh arctan arcsinh erf erfc "
           "relu floor ceil round trunc sinc nan_to_num tril triu"),
    **each("T.@(z)", "log log2 log10 log1p sqrt rsqrt reciprocal digamma"),
    **each("T.@(z / 2)", "arcsin arccos arctanh erfinv"),
    "arccosh": "T.arccosh(z + 1)",
    "gammaln": "T.gammaln(z) | T.special.gammaln(z)", "i0": "T.i0(x) | T.special.i0(x)",
    "i1": "T.i1(x) | T.special.i1(x)", "entr": "T.entr(z) | T.special.entr(z)", "logit": "T.logit(z / 2)",
    "ndtr": "T.ndtr(x) | T.special.ndtr(x)", "xlogy": "T.xlogy(x, z)", "cbrt": "T.cbrt(z) | z ** (1 / 3)",
    "xlog1py": "T.xlog1py(x, z) | T.special.xlog1py(x, z)",
    **each("T.@(x, y)", "add sub mul maximum minimum fmax fmin hypot arctan2 logaddexp logaddexp2 copysign"),
    **each("T.@(x, z)", "div remainder fmod"),
    "power": "z ** y", "power, by 3": "x ** 3", "clip": "T.clip(x, -0.5, 0.5)", "lerp": "T.lerp(x, y, z)",
    "addcmul": "T.addcmul(x, y, z)", "where": "T.where(mask, x, y)",
    **each("F.@(x)", "softplus silu mish elu celu selu gelu hardtanh hardsigmoid hardswish leaky_relu logsigmoid relu6 "
           "softsign tanhshrink hardshrink softshrink"),
    "gelu, by tanh": "F.gelu(x, approximate='tanh')", "glu": "F.glu(x)", "softmax": "F.softmax(x, 1)",
    "log_softmax": "F.log_softmax(x, 1)", "layer_norm": "F.layer_norm(x, (64,))", "rms_norm": "F.rms_norm(x, (64,))",
    "normalize": "F.normalize(x)",
    **each("T.@(x, 1)", "sum mean prod logsumexp cumsum cumprod logcumsumexp diagonal"),
    "max": "T.amax(x, 1)", "var": "T.var(x, 1, correction=1)", "std": "T.std(x, 1, correction=1)",
    "norm": "T.norm(x, 2, 1)", "cummax": "T.cummax(x, 1).values", "sort": "T.sort(x, 1) | T.sort(x, dim=1).values",
    "topk": "T.topk(x, 8).values", "kthvalue": "T.kthvalue(x, 8).values",
    "median": "T.median(x, 1) | T.quantile(x, 0.5, 1, interpolation='midpoint')", "quantile": "T.quantile(x, 0.3, 1)",
    "matmul": "x @ y", "einsum ij,jk->ik": "T.einsum('ij,jk->ik', x, y)",
    "einsum ij,ij->i": "T.einsum('ij,ij->i', x, y)",
    "einsum ii->i": "T.einsum('ii->i', x)", "outer": "T.outer(x[0], y[0])", "inner": "T.inner(x, y)",
    "dot": "T.dot(x[0], y[0])", "kron": "T.kron(x[:8, :8], y[:8, :8])", "addmm": "T.addmm(x, y, z)",
    "tensordot": "T.tensordot(x, y, 1)", "cdist": "T.cdist(x, y)", "linear": "F.linear(x, y, z[0])",
    "transpose": "x.T * 1.0", "reshape": "x.reshape((32, 128))", "concatenate": "T.cat([x, y], 1)",
    "stack": "T.stack([x, y])", "index": "x[places]", "take_along_dim": "T.take_along_axis(x, grid, 1) | "
    "T.take_along_dim(x, grid, 1)", "gather": "T.gather(x, 1, grid)", "scatter_add": "T.scatter_add(x, 1, grid, y)",
    "index_add": "T.index_add(x, 0, places, y)", "flip": "T.flip(x, (1,))", "roll": "T.roll(x, 3, 1)",
    "tile": "T.tile(x, (2,))", "repeat": "T.repeat_interleave(x, 2, 1)", "diff": "x.diff()",
    "pad": "F.pad(x, (3, 3))", "pad, reflect": "F.pad(x, (3, 3), 'reflect')", "cross": "L.cross(x[:, :3], y[:, :3])",
    "mse_loss": "F.mse_loss(x, y)", "l1_loss": "F.l1_loss(x, y)", "smooth_l1_loss": "F.smooth_l1_loss(x, y)",
    "huber_loss": "F.huber_loss(x, y)", "kl_div": "F.kl_div(x, z, reduction='sum')",
    "cross_entropy": "F.cross_entropy(x, places)", "nll_loss": "F.nll_loss(x, places)",
    "bce_with_logits": "F.binary_cross_entropy_with_logits(x, z / 2)", "bce": "F.binary_cross_entropy(z / 2, z / 2)",
    "cosine_similarity": "F.cosine_similarity(x, y)", "attention": "F.scaled_dot_product_attention(x, y, z)",
    "embedding": "F.embedding(places, x)",
    # Images are x as (1, 4, 32, 32); filters are part of y.
    **{f"{name}2d": f"F.{name}2d(x.reshape((1, 4, 32, 32)), 2)" for name in ("avg_pool", "max_pool")},
    "avg_pool2d, overlapping": "F.avg_pool2d(x.reshape((1, 4, 32, 32)), 3, 1)",
    "max_pool2d, overlapping": "F.max_pool2d(x.reshape((1, 4, 32, 32)), 3, 1)",
    "adaptive_avg_pool2d": "F.adaptive_avg_pool2d(x.reshape((1, 4, 32, 32)), 5)",
    "adaptive_max_pool2d": "F.adaptive_max_pool2d(x.reshape((1, 4, 32, 32)), 5)",
    "lp_pool2d": "F.lp_pool2d(x.reshape((1, 4, 32, 32)), 2, 2)",
    **{f"interpolate, {mode}": f"F.interpolate(x.reshape((1, 4, 32, 32)), scale_factor=2, mode={mode!r})"
       for mode in ("nearest", "bilinear", "bicubic", "area")},
    "grid_sample": "F.grid_sample(x.reshape((1, 4, 32, 32)), y.reshape((1, 32, 64, 2)), align_corners=False)",
    "unfold": "F.unfold(x.reshape((1, 4, 32, 32)), 3)",
    "pixel_shuffle": "F.pixel_shuffle(x.reshape((1, 4, 32, 32)), 2)",
    "conv1d": "F.conv1d(x.reshape((1, 4, 1024)), y[:8, :12].reshape((8, 4, 3)))",
    "conv2d": "F.conv2d(x.reshape((1, 4, 32, 32)), y[:8, :36].reshape((8, 4, 3, 3)))",
    "conv3d": "F.conv3d(x.reshape((1, 4, 16, 8, 8)), y[:8, :32].reshape((8, 4, 2, 2, 2)))",
    "conv_transpose2d": "F.conv_transpose2d(x.reshape((1, 4, 32, 32)), y[:8, :18].reshape((4, 4, 3, 3)))",
    "batch_norm": "F.batch_norm(x, None, None, training=True)", "group_norm": "F.group_norm(x, 4)",
    "RNN": "rnn(x.reshape((16, 4, 64)))[0]", "GRU": "gru(x.reshape((16, 4, 64)))[0]",
    "LSTM": "lstm(x.reshape((16, 4, 64)))[0]",
}  # fmt: skip
# Of float64. m is regular, s symmetric and positive definite, l lower triangular, p a plane of pairs.
LINALG: dict[str, str] = {
    "solve": "L.solve(m, y)", "inv": "L.inv(m)", "det": "L.det(m)", "slogdet": "L.slogdet(m)[1]", "pinv": "L.pinv(m)",
    "cholesky": "L.cholesky(s)", "eigvalsh": "L.eigvalsh(s)", "eigh": "L.eigh(s)[1]", "svdvals": "L.svdvals(m)",
    "svd": "L.svd(m)[0]", "qr": "L.qr(m)[0]", "lstsq": "L.lstsq(m, y)[0]", "cond": "L.cond(m)", "norm nuc":
    "L.norm(m, 'nuc')", "norm 1": "L.norm(m, 1)", "matrix_power 5": "L.matrix_power(m, 5)",
    "multi_dot": "L.multi_dot([x, y, z])", "solve_triangular": "L.solve_triangular(l, y, upper=False)",
    "cholesky_solve": "L.cholesky_solve(y, l) | T.cholesky_solve(y, l)",
    "fft": "T.fft.fft(p) | T.view_as_real(T.fft.fft(T.view_as_complex(p)))",
    "fft2": "T.fft.fft2(p) | T.view_as_real(T.fft.fft2(T.view_as_complex(p)))",
    "rfft": "T.fft.rfft(x) | T.view_as_real(T.fft.rfft(x))",
    "irfft": "T.fft.irfft(p) | T.fft.irfft(T.view_as_complex(p))",
    "convolve": "T.convolve(x[0], y[0]) | F.conv1d(x[:1, None], y[:1].flip(1)[:, None], padding=63)[0, 0]",
}  # fmt: skip

# Why a call may take more than twice the time; a name stands for all that begin with it.
LAPACK = "LAPACK of NumPy's OpenBLAS against MKL; at this size they differ by processor and run"
CALLS_OF = "made of several ops, some µs each; PyTorch has one kernel"
LOOP = "NumPy's loop takes one element at a time"
REASONS: dict[str, str] = {
    "grid_sample": "made of some 60 ops; each corner is taken by an index",
    "power, by 3": "NumPy's power, so that arrays and Tensors have the same bits; `x * x * x` is fast",
    "digamma": "its derivative is SciPy's zeta function", "i0": "SciPy's function", "i1": "SciPy's function",
    "gammaln": "SciPy's function, and its derivative SciPy's digamma",
    "sinc": "computed in float64, and near 0 as a sum of powers, so that all its derivatives are right",
    "erf": "rational functions in NumPy's calls, 34 steps", "ndtr": "of erfc", "gelu": "of erf",
    "solve_triangular": "NumPy has no triangular solver: a general one", "cholesky_solve": "as `solve_triangular`",
    "interpolate": "sums by places in NumPy's calls", "sort": "stable, for a fixed order of equal elements",
    "kthvalue": "sorts all, stably", "topk": "sorts all, stably", "quantile": "sorts all, stably",
    "median": "sorts all, stably",
    "cummax": "NumPy's `maximum.accumulate` goes element by element, twice",
    "LSTM": CALLS_OF, "GRU": CALLS_OF, "RNN": CALLS_OF, "cross_entropy": CALLS_OF, "softmax": CALLS_OF,
    "log_softmax": CALLS_OF, "batch_norm": CALLS_OF, "group_norm": CALLS_OF, "nll_loss": CALLS_OF,
    "embedding": CALLS_OF, "gather": "NumPy's index of a place for each element", "scatter_add": "as `gather`",
    "pad, reflect": "made of parts that are turned round and joined", "repeat": CALLS_OF,
    "cdist": "differences themselves: what PyTorch computes by products loses digits",
    "max_pool2d": "one NumPy call for each pixel of a window, and axis by axis",
    "avg_pool2d": "one NumPy call for each pixel of a window, and axis by axis",
    "adaptive_max_pool2d": "windows are laid out, so that each may have a length of its own",
    "conv": "windows laid out for one product by BLAS; PyTorch has oneDNN's loops",
    "irfft": "pairs are copied into complex numbers and back", "fft": "pairs are copied into complex numbers and back",
    "remainder": LOOP, "kron": CALLS_OF, "inner": CALLS_OF,
    **each(LAPACK, "solve inv det slogdet pinv cholesky eigh eigvalsh svd svdvals qr lstsq cond norm"),
}  # fmt: skip


def arrays() -> dict[str, np.ndarray]:
    """Return what the calls are of."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, N, N))
    m = x + N / 4 * np.eye(N)
    return {
        "x": x, "y": y, "z": rng.uniform(0.5, 1.5, (N, N)), "m": m, "s": x @ x.T / N + np.eye(N), "l": np.tril(m),
        "p": rng.standard_normal((N, N, 2)), "mask": y > 0, "places": rng.integers(0, N, N),
        "grid": rng.integers(0, N, (N, N)),
    }  # fmt: skip


def names_of(library: str, dtype: str) -> tuple[dict[str, Any], Any]:
    """Return what a call may name, and what makes an array of the library's."""
    if library == "torch":
        import torch

        torch.set_num_threads(1)
        whole: Any = torch
        make: Any = torch.from_numpy
    else:
        import tinygraph

        tinygraph.manual_seed(0)
        whole, make = tinygraph, lambda a: a
    names = {"T": whole, "F": whole.nn.functional, "L": whole.linalg}
    for name in ("rnn", "gru", "lstm"):
        names[name] = getattr(whole.nn, name.upper())(N, N)
    for name, array in arrays().items():
        if array.dtype.kind != "f":
            names[name] = make(array)
        elif library == "torch":
            names[name] = make(array.astype(dtype)).requires_grad_()
        else:
            names[name] = whole.Tensor(array.astype(dtype))
    return names, make


def written(name: str) -> tuple[str, str]:
    """Return a call as tinygraph and as PyTorch has it."""
    ours, _, theirs = {**CALLS, **LINALG}[name].partition(" | ")
    return ours, theirs or ours


def step_of(library: str, name: str) -> Any:
    """Return what is timed: forward, and backward if there is one."""
    dtype = "float64" if name in LINALG else "float32"
    text = written(name)
    call = compile(text[library == "torch"], name, "eval")
    names, make = names_of(library, dtype)
    leaves = [names[n] for n in re.findall(r"\w+", text[0]) if n in ("x", "y", "z", "m", "s", "l", "p")]
    y = eval(call, names)
    ones = make(np.ones(tuple(y.shape), str(y.dtype).removeprefix("torch.")))

    def run() -> None:
        for leaf in leaves:
            leaf.grad = None
        result = eval(call, names)
        if result.requires_grad:
            result.backward(ones)

    return run


def work(library: str) -> None:
    """Answer each name that is read with the microseconds that its step takes."""
    steps: dict[str, Any] = {}
    for line in sys.stdin:
        name = line.rstrip("\n")
        try:
            if name not in steps:
                steps[name] = step_of(library, name)
                steps[name]()
            once = timeit.timeit(steps[name], number=1)
            number = max(1, int(0.01 / (once + 1e-9)))
            print(min(timeit.repeat(steps[name], number=number, repeat=3)) / number * 1e6, flush=True)
        except Exception as error:
            print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)


def start(library: str) -> subprocess.Popen[str]:
    """Start the process of a library, with one thread."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--work", library]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, **one})


def ask(process: subprocess.Popen[str], name: str) -> float:
    """Return microseconds, or raise with what went wrong."""
    assert process.stdin and process.stdout
    process.stdin.write(name + "\n")
    process.stdin.flush()
    answer = process.stdout.readline().strip()
    try:
        return float(answer)
    except ValueError:
        raise RuntimeError(f"{name}: {answer or 'the process ended'}") from None


def reason(name: str) -> str:
    """Return why a call is slow: the reason of the longest beginning of its name."""
    return REASONS.get(max((known for known in REASONS if name.startswith(known)), key=len, default=""), "")


def table(found: dict[str, tuple[float, float]], above: float) -> str:
    """Return the text of the page: how many are above, and the rows of those."""
    ratios = {name: a / b for name, (a, b) in found.items()}
    slow = sorted((name for name in ratios if ratios[name] > above), key=lambda name: -ratios[name])
    middle = sorted(ratios.values())[len(ratios) // 2]
    lines = [f"Of {len(ratios)} calls {len(slow)} take more than {above:g} times PyTorch's time; the median is "
             f"{middle:.2f} times.", "", "| call | µs | PyTorch | times | why |", "|---|---|---|---|---|"]  # fmt: skip
    for name in slow:
        a, b = found[name]
        lines.append(f"| `{name}` | {a:.0f} | {b:.0f} | {a / b:.1f} | {reason(name)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", default="", help="names, or parts of names, with commas between them")
    parser.add_argument("--above", type=float, default=2.0)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    wanted = [name for name in options.only.split(",") if name]
    names = [name for name in {**CALLS, **LINALG} if not wanted or any(part in name for part in wanted)]
    processes = {library: start(library) for library in ("tinygraph", "torch")}
    found: dict[str, tuple[float, float]] = {}
    for _ in range(options.turns):
        for name in names:
            try:
                ours, theirs = (ask(process, name) for process in processes.values())
            except RuntimeError as error:
                print(error, file=sys.stderr)
                continue
            before = found.get(name, (ours, theirs))
            found[name] = min(before[0], ours), min(before[1], theirs)
    for process in processes.values():
        process.communicate()
    text = table(found, options.above)
    print(text)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        begin, end = "<!-- ops -->\n", "<!-- /ops -->"
        head, _, rest = page.partition(begin)
        PAGE.write_text(head + begin + text + end + rest.partition(end)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
