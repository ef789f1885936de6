"""A character-level LSTM from primitives: it reads a sonnet letter by letter, guesses the next one, and then writes.

The cell is drawn as its papers draw it: i lets in, f keeps, o lets out, g is what is offered, c is what is kept.
"""

import sys
from pathlib import Path

import numpy as np

import tinygraph as tg

TEXT = (Path(__file__).parent / "sonnet.txt").read_text(encoding="utf-8")
LETTERS = sorted(set(TEXT))
HIDDEN = 64


def lstm(x, h, c, weights):
    """Take one step: each gate has a matrix for the letter, one for the hidden state, and a shift."""
    gates = {}
    for name in "ifog":
        with tg.scope(f"gate {name}"):
            rows = x @ weights[f"W_{name}"] + h @ weights[f"U_{name}"] + weights[f"b_{name}"]
            gates[name] = (tg.tanh(rows) if name == "g" else tg.sigmoid(rows)).named(name)
    c = (gates["f"] * c + gates["i"] * gates["g"]).named("c")
    return (gates["o"] * tg.tanh(c)).named("h"), c


def make(rng, inputs, hidden, outputs):
    """Return the parameters by name; the shift of f begins at 1, so that the cell begins by keeping."""
    shapes = {f"W_{g}": (inputs, hidden) for g in "ifog"} | {f"U_{g}": (hidden, hidden) for g in "ifog"}
    weights = {name: rng.standard_normal(shape) / np.sqrt(hidden) for name, shape in shapes.items()}
    weights |= {f"b_{g}": np.full(hidden, float(g == "f")) for g in "ifog"}
    weights |= {"V": rng.standard_normal((hidden, outputs)) / np.sqrt(hidden)}
    return {name: tg.Parameter(array, name=name) for name, array in weights.items()}


def write(weights, length, start="S"):
    """Write the likeliest letters, each read again to find the next."""
    h = c = np.zeros((1, HIDDEN))
    text = start
    with tg.no_grad():
        for _ in range(length):
            h, c = lstm(tg.Tensor(np.eye(len(LETTERS))[[LETTERS.index(text[-1])]], name="x"), h, c, weights)
            text += LETTERS[int((h @ weights["V"]).data.argmax())]
    return text


def main(steps: int = 400, window: int = 32, folder: str = "pictures") -> tuple[float, Path]:
    """Train, write a few lines and draw the cell; return the last loss, in nats a letter, and the picture."""
    rng = np.random.default_rng(0)
    codes = np.array([LETTERS.index(letter) for letter in TEXT])
    weights = make(rng, len(LETTERS), HIDDEN, len(LETTERS))
    optimizer = tg.optim.Adam(weights.values(), lr=1e-2)
    for step in range(steps):
        starts = rng.integers(0, len(codes) - window, 16)
        rows = codes[starts[:, None] + np.arange(window + 1)]
        h = c = np.zeros((16, HIDDEN))
        losses = []
        for t in range(window):
            x = tg.Tensor(np.eye(len(LETTERS))[rows[:, t]], name="x", requires_grad=False)
            h, c = lstm(x, h, c, weights)
            losses.append(tg.cross_entropy(h @ weights["V"], rows[:, t + 1]))
        loss = tg.stack(losses).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:3d}  loss {loss.item():.3f}")
    print(write(weights, 200))

    small = make(rng, 3, 2, 3)
    state = (tg.Tensor(rng.standard_normal((4, 2)), name=name, requires_grad=False) for name in ("h′", "c′"))
    h, _ = lstm(tg.Tensor(np.eye(3)[[0, 1, 2, 1]], name="x", requires_grad=False), *state, small)
    return loss.item(), tg.draw(h, Path(folder) / "lstm_cell.svg")


if __name__ == "__main__":
    print("wrote", main(folder=sys.argv[1] if len(sys.argv) > 1 else "pictures")[1])
