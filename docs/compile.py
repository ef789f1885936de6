"""Write docs/compile.md: ``python docs/compile.py`` compiles batch norm, and shows all that comes of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import tinygraph as tg
from tinygraph.compiler import in_cuda

PAGE = Path(__file__).parent / "compile.md"
TEXT = """\
# From primitives to kernels

`tg.compile(f)` makes kernels of a function of ops. This page shows what becomes of batch norm, of an x of {shape} in
float32. `python docs/compile.py` writes it.

```python
batch_norm = tg.compile(tg.batch_norm)
y = batch_norm(x, gamma, beta)  # an op like others: record it, differentiate it, draw it
```

## 1. Primitives

Forward, and the backward pass that the derivative lines record: {count} ops.

{primitives}

## 2. The plan

{lead}

![A box for each kernel, a band for each sweep](pictures/compile.svg)

```text
{plan}
```

`print(batch_norm)` prints this, and `batch_norm.draw("plan.svg")` draws it.

## 3. The derived formula

`tg.derive` applies rules about sums to the recorded backward pass:
{rules}.
So it comes to the closed form of the gradient:

$$ {closed} $$

Its two means are the two sums of the first sweep of the backward kernel; the second sweep writes dx.

## 4. The source, in NumPy

Without Numba, kernels are calls of NumPy on blocks. Names are those of the function; `h` and `l` before a name are the
high and the low part of a value in float64. A sum of squares is multiplied out about a pivot, a number that lies among
the values, so that the variance needs no sweep of its own. A value that a later sweep wants again, as x − μ in the
backward, waits in the array of the result.

```python
{numpy}```

## 5. The source, for Numba

The same sweeps, as loops; here the pivot is the median of three values. Threads take parts of the rows; between two
sweeps one of them settles what belongs to a channel.

```python
{numba}```

## 6. A whole step

```python
@tg.compile(whole=True)
def step(x, labels):
    optimizer.zero_grad()
    loss = tg.cross_entropy(net(x), labels)
    loss.backward()
    optimizer.step()
    return loss
```

Gradients and the optimizer's step are part of one program: products and convolutions stay calls, and what is around
them, Adam included, is in kernels. It moves the parameters, and sets their gradients, running statistics and what the
optimizer remembers, to what the step would have come to; a check that fails, such as a label out of range, moves
nothing. The first call of an optimizer that remembers something runs as it is. The learning rate and the other numbers
among its options may change at each call: `optim.lr_scheduler` works, outside of the step. What looks at a value
(`loss.item()`, LBFGS) is an error that names it. `tinygraph train --compile` and `Training(…, compile=True)` train so.

## 7. On a GPU

Arrays of CuPy get CUDA C, whatever `backend` is; CuPy compiles it at the first call, and keeps it on disk. With arrays
on a GPU, `print(batch_norm.source)` shows what follows. The plan is the one above; a whole step is compiled so, too. It
has not run on a GPU yet: the tests run every thread on the CPU, and nvcc takes every source.

- A sweep is a function, and so is what is settled between two: a launch ends when all its blocks have.
- A block has a part of the rows. Its threads stand in rows and columns; those of a column add up every so many values,
  `join` adds up what they found, always in the same order, and the next function what the blocks found. There are no
  atomics: equal inputs give equal bits.
- float16 is read and written, and computed with in float32. Arrays may have any strides: what is not contiguous is
  copied.
- Products, convolutions and what else is no kernel are calls of CuPy. A function that calls CuPy itself runs as it is.

```cpp
{cuda}```
"""


def main() -> None:
    """Write the page."""
    rng = np.random.default_rng(0)
    x, gamma, beta = rng.standard_normal((256, 64)), np.ones(64), np.zeros(64)
    arrays = [a.astype(np.float32) for a in (x, gamma, beta)]
    leaves = [tg.Parameter(a, name=n) for a, n in zip(arrays, ("x", "γ", "β"), strict=True)]
    made = {}
    for backend in ("numpy", "numba"):
        made[backend] = tg.compile(tg.batch_norm, backend=backend)
        made[backend](*leaves)
    y = tg.batch_norm(*leaves)
    upstream = tg.Tensor(np.ones_like(y.data), name="g", requires_grad=False)
    gradients = tg.grad(y, leaves, upstream, create_graph=True)
    graph = tg.snapshot(y, *gradients)
    ops = [node for node in graph.nodes if node.op]
    lines = ", ".join(f"`{node.name} = {node.op}`" if node.name else f"`{node.op}`" for node in ops)
    derivation = tg.derive(y, wrt=leaves[0])
    made["numba"].draw(PAGE.parent / "pictures" / "compile.svg", theme="auto")
    plan = re.sub(r"^.*\n", "", str(made["numba"]))
    PAGE.write_text(
        TEXT.format(
            shape="256 × 64",
            count=len(ops),
            primitives=lines,
            lead="One kernel each way, with two sweeps over memory. Only values of channels are kept between them.",
            plan=plan,
            rules=", ".join(step.name for step in derivation.steps[1:-1]),
            closed=f"{derivation.closed[0].name_tex} = {derivation.closed[0].tex}",
            numpy=kernels(made["numpy"].source),
            numba=kernels(made["numba"].source),
            cuda="\n".join(in_cuda.Writer(kernel).source for kernel in made["numba"].plan()[0].program.kernels),
        ),
        encoding="utf-8",
    )


def kernels(source: str) -> str:
    """Return a source without the comment on its arguments."""
    return source.partition("\n\n")[2]


if __name__ == "__main__":
    main()
