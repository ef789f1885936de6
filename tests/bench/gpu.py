"""Time the fused normalizations on a GPU, both ways, against PyTorch's and against the device's copy bandwidth.

Each call is timed twice. *Device*: calls queue up behind a long copy, so that events around them time the device
alone. *Call*: the time from an idle device until it is idle again. Batch norm must read or write at least three arrays
forward (x for the statistics, x again, y) and five backward; layer norm, whose rows stay in the cache, two and three.
The bytes of those in a second are compared with those of a copy of a gigabyte.

    PYTHONPATH=. python tests/bench/gpu.py [--json gpu.json] [--rounds 50] [--only batch_norm]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

CALLS = 5  # that queue up between two events
SHAPES = [
    ("batch_norm", (1024, 1024)), ("batch_norm", (8192, 1024)), ("batch_norm", (32, 64, 56, 56)),
    ("batch_norm", (64, 256, 28, 28)), ("batch_norm", (256, 64, 112, 112)),
    ("layer_norm", (1024, 1024)), ("layer_norm", (8192, 4096)),
]  # fmt: skip
ARRAYS = {"batch_norm": {"forward": 3, "backward": 5}, "layer_norm": {"forward": 2, "backward": 3}}


def time_call(call: Callable[[], Any], delay: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Return the median seconds of a call on the device, and from an idle device to an idle one."""
    import cupy

    device, alone = cupy.cuda.Device(), []
    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    for _ in range(5):
        call()
    queued = []
    for _ in range(rounds):
        device.synchronize()
        delay()
        begin.record()
        for _ in range(CALLS):
            call()
        end.record()
        end.synchronize()
        queued.append(cupy.cuda.get_elapsed_time(begin, end) / 1e3 / CALLS)
        start = time.perf_counter()
        call()
        device.synchronize()
        alone.append(time.perf_counter() - start)
    return statistics.median(queued), statistics.median(alone)


def make_our_calls(family: str, shape: Sequence[int]) -> dict[str, Callable[[], Any]]:
    """Return functions that run our fused op forward, and backward."""
    import cupy

    from tinygraph import Tensor, fused, grad

    channels, axis = (
        (shape[1], tuple(a for a in range(len(shape)) if a != 1)) if family == "batch_norm" else (shape[-1], -1)
    )
    draw = lambda n: cupy.random.default_rng(0).standard_normal(n, dtype=cupy.float32)
    inputs, dy = [Tensor(draw(n)) for n in (shape, channels, channels)], draw(shape)
    forward = lambda: getattr(fused, family)(*inputs, axis=axis)
    y = forward()
    return {"forward": forward, "backward": lambda: grad(y, inputs, dy)}


def make_torch_calls(family: str, shape: Sequence[int]) -> dict[str, Callable[[], Any]]:
    """Return functions that run PyTorch's op forward, and backward."""
    import torch

    channels = shape[1] if family == "batch_norm" else shape[-1]
    inputs = [torch.randn(n, device="cuda", requires_grad=True) for n in (shape, channels, channels)]
    x, gamma, beta = inputs
    dy = torch.randn(shape, device="cuda")
    if family == "batch_norm":
        forward = lambda: torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True)
    else:
        forward = lambda: torch.nn.functional.layer_norm(x, (channels,), gamma, beta)
    y = forward()
    return {"forward": forward, "backward": lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)}


def free_memory() -> None:
    """Give back what both libraries have allocated."""
    import cupy
    import torch

    torch.cuda.empty_cache()
    cupy.get_default_memory_pool().free_all_blocks()


def measure_rows(rounds: int, only: str) -> Iterator[dict[str, Any]]:
    """Yield the copy's row, then one for each function, shape and direction."""
    import cupy

    source = cupy.zeros(1 << 28, cupy.float32)
    target = cupy.empty_like(source)
    copy = lambda: cupy.copyto(target, source)
    delay = lambda: [copy() for _ in range(6)]  # some milliseconds
    seconds, _ = time_call(copy, delay, rounds)
    bandwidth = 2 * source.nbytes / seconds
    yield {"name": "copy 1 GiB", "seconds": seconds, "bandwidth": bandwidth}
    for family, shape in SHAPES:
        name = f"{family} {'×'.join(map(str, shape))}"
        if only not in name:
            continue
        found = {}
        for library, make in (("ours", make_our_calls), ("torch", make_torch_calls)):
            found[library] = {k: time_call(call, delay, rounds) for k, call in make(family, shape).items()}
            free_memory()
        for way, arrays in ARRAYS[family].items():
            (mine, mine_alone), (peer, peer_alone) = found["ours"][way], found["torch"][way]
            rate = arrays * 4 * math.prod(shape) / mine
            yield {
                "name": name, "way": way, "seconds": mine, "torch": peer, "ratio": mine / peer,
                "of copy": rate / bandwidth,
                "of copy, torch": rate / bandwidth * mine / peer, "call": mine_alone, "call, torch": peer_alone,
            }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    options = parser.parse_args()
    import cupy
    import torch

    about = {
        "device": cupy.cuda.runtime.getDeviceProperties(0)["name"].decode(), "cupy": cupy.__version__,
        "torch": torch.__version__, "python": sys.version.split()[0], "rounds": options.rounds,
    }  # fmt: skip
    print(", ".join(f"{k} {v}" for k, v in about.items()))
    print(
        f"{'':30}{'':9}{'device':>10}{'PyTorch':>10}{'ratio':>7}{'of copy':>9}{'PyTorch':>9}{'call':>10}{'PyTorch':>10}"
    )
    found, us = [], 1e6
    for row in measure_rows(options.rounds, options.only):
        found.append(row)
        if "way" not in row:
            print(f"{row['name']:39}{row['seconds'] * us:7.0f} µs{row['bandwidth'] / 1e12:27.2f} TB/s", flush=True)
            continue
        print(
            f"{row['name']:30}{row['way']:9}{row['seconds'] * us:7.0f} µs{row['torch'] * us:7.0f} µs{row['ratio']:7.2f}"
            f"{row['of copy']:9.0%}{row['of copy, torch']:9.0%}{row['call'] * us:7.0f} µs"
            f"{row['call, torch'] * us:7.0f} µs",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps({**about, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
