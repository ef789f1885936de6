"""Write docs/derive.md: ``python docs/derive.py`` derives batch norm's gradient, and shows all that comes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import tinygraph as tg
from tinygraph.sums.rules import RULES
from tinygraph.teach.examples import LESSONS

PAGE = Path(__file__).parent / "derive.md"
PICTURE = Path(__file__).parent / "pictures" / "derive_batch_norm.svg"
ASKED = (
    "gamma/sigma*(w - w.mean(0) - xhat*(w*xhat).mean(0))",
    "gamma/sigma*(w - xhat*(w*xhat).mean(0))",
    "gamma/np.sqrt((x**2).mean(0) - x.mean(0)**2)*(w - w.mean(0) - xhat*(w*xhat).mean(0))",
)
TEXT = """\
# From a recorded gradient to its closed form

`tg.derive(gradient)` takes a gradient that `grad(…, create_graph=True)` recorded, lifts its graph into sums of
products, and applies a handful of rules about Σ, one at a time. It ends at the formula of the textbook, and shows how
it came there. `python docs/derive.py` writes this page.

```python
x = tg.Tensor(rng.standard_normal((4, 3)), name="x")
derivation = tg.derive(tg.batch_norm(x, gamma, beta))  # or of gradients that you have recorded yourself
print(derivation)
derivation.save("bn.tex")  # or .svg .json .txt
```

On the command line it is `tinygraph derive model.py:loss`; without a file, batch norm on a batch that can be solved by
hand:

```text
{derivation}
```

![The graph of each step: what goes next is pale, what came is outlined](pictures/derive_batch_norm.svg)

## What each step says

- **The formulas** of the gradients, and what the names in them stand for. A name is that of a value of the way forward;
  y, p, r and s are made up for an output, a softmax, a root and a sigmoid that have none.
- **Where the rule was applied**, before and after. In step 3 the fourth path is seen: it is a mean of deviations, and
  step 4 removes it.
- **Sweeps over memory**: what is added up in the first, what is known after it in the second, and so on to the last,
  which writes. **Arrays kept** are large ones that the way back needs of the way forward.
- **The difference** from what was recorded, in float64, relative to the largest element; and whether both are equal in
  **exact numbers**: rationals and square roots, with ε = 0, on a batch of whole numbers. exp and log keep their
  identities there: exp(a + b) = exp(a) exp(b), exp(log a) = a.
- In `step.graph` the graph that computes the formulas, and in `step.nodes` the nodes of the recorded graph that the
  rule touched. `to_json()` has all of it.

## The rules

{rules}

What is **not** a rule: to multiply a product out over a value that has lost its mean. Σ(x − mean x)² = Σx² − (Σx)²/n
passes every check in algebra. In float32, at a mean of 10⁴ and a deviation of 1, it leaves nothing of the variance.
With a pivot, one value of the channel that is taken away first, it is harmless.

## Your own closed form

`tg.derive(…, ask="…")` judges a closed form that is written as NumPy code, and names the term that differs. The code is
read as mathematics and never run. Of several gradients, `dgamma = …` says which one is meant. On the command line it is
`--ask`, and the exit status is 1 if it is wrong.

```text
{asked}
```

The names are those of the values (`xhat`, `x_hat` and x̂ are the same), `dy` or `dout` for what comes in, `eps`, the
lengths N and D, and n for how many elements a sum has. `tinygraph check` names the term, too, where the backward pass
that it checks is a closed form.

## What it works for

{table}

What is no sum (a matrix product, a convolution, a gather) stays as it is, and its result is a name.
"""
WORKS = {
    "batch norm": lambda x: tg.batch_norm(x, tg.Parameter([1.0, 2.0, 3.0], name="γ")),
    "layer norm": lambda x: tg.layer_norm(x, tg.Parameter([1.0, 2.0, 3.0], name="γ")),
    "RMS norm": lambda x: x / tg.sqrt((x * x).mean(1, keepdims=True)),
    "softmax": tg.softmax,
    "log-softmax": tg.log_softmax,
    "cross-entropy": lambda x: tg.cross_entropy(x, np.array([0, 2, 1, 0])),
    "sigmoid, 1/(1 + exp(−x))": lambda x: 1 / (1 + tg.exp(-x)),
    "tanh": tg.tanh,
    "SiLU": lambda x: x * tg.sigmoid(x),
    "L2-normalize": lambda x: x / tg.sqrt((x * x).sum(1, keepdims=True)),
}  # fmt: skip


def page() -> str:
    """Return the page."""
    loss = LESSONS["batch_norm"]()
    x = np.random.default_rng(0).standard_normal((4, 3))
    rows = ["| of | the gradient in x |", "|---|---|"]
    for name, function in WORKS.items():
        closed = tg.derive(function(tg.Tensor(x, name="x")), wrt="x").closed[0]
        rows.append(f"| {name} | `{closed.text}` |")
    asked = [f"> {code}\n{tg.derive(loss, ask=code).verdict}" for code in ASKED]
    rules = [f"- **{rule.name}**: {rule.says} $`{rule.tex}`$" for rule in RULES]
    return TEXT.format(
        derivation=tg.derive(loss), rules="\n".join(rules), asked="\n".join(asked), table="\n".join(rows)
    )


def main() -> None:
    """Write the page and its picture."""
    PAGE.write_text(page(), encoding="utf-8")
    PICTURE.write_text(tg.derive(LESSONS["batch_norm"]()).svg(detail=0, theme="auto"), encoding="utf-8")


if __name__ == "__main__":
    main()
