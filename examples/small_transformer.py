"""A small transformer from primitives: two blocks of attention read a sonnet and guess each next letter.

A block adds to each letter what it finds by looking at the letters before it, and then what a small net makes of it.
"""

import sys
from pathlib import Path

import numpy as np

import tinygraph as tg

TEXT = (Path(__file__).parent / "sonnet.txt").read_text(encoding="utf-8")
LETTERS = sorted(set(TEXT))
WIDTH, HEADS, WINDOW, BLOCKS = 32, 4, 32, 2


def attention(x, w, mask):
    """Let each letter look back: softmax(Q Kᵀ / √d) V, in several heads."""
    n, length, width = x.shape

    def heads(name):
        rows = (x @ w[f"W_{name}"]).reshape(n, length, HEADS, width // HEADS)
        return rows.transpose(0, 2, 1, 3).named(name)

    q, k, v = heads("Q"), heads("K"), heads("V")
    scores = (q @ tg.swapaxes(k, -1, -2) / np.sqrt(width // HEADS)).named("S")
    p = tg.softmax(tg.where(mask, scores, -np.inf)).named("P")
    return (p @ v).transpose(0, 2, 1, 3).reshape(n, length, width) @ w["W_O"]


def block(x, w, mask):
    """Add what attention finds, then what the small net makes; a layer norm stands before each."""
    with tg.scope("attention"):
        x = x + attention(tg.layer_norm(x, w["γ₁"], w["β₁"]), w, mask)
    with tg.scope("net"):
        return x + tg.relu(tg.layer_norm(x, w["γ₂"], w["β₂"]) @ w["W₁"]) @ w["W₂"]


def make(rng, width):
    """Return the parameters of a block by name."""
    shapes = {f"W_{name}": (width, width) for name in "QKVO"} | {"W₁": (width, 4 * width), "W₂": (4 * width, width)}
    weights = {name: rng.standard_normal(shape) / np.sqrt(shape[0]) for name, shape in shapes.items()}
    weights |= {"γ₁": np.ones(width), "γ₂": np.ones(width), "β₁": np.zeros(width), "β₂": np.zeros(width)}
    return {name: tg.Parameter(array, name=name) for name, array in weights.items()}


def scores_of(codes, table, places, blocks):
    """Return a score for each letter that may come next, after each letter of the windows (N, L)."""
    length = codes.shape[1]
    mask = np.tril(np.ones((length, length), bool))
    x = (table[codes] + places[:length]).named("x")
    for number, w in enumerate(blocks):
        with tg.scope(f"block {number + 1}"):
            x = block(x, w, mask)
    return tg.layer_norm(x) @ table.T


def main(steps: int = 300, folder: str = "pictures") -> tuple[float, Path]:
    """Train, write a few lines and draw a block; return the last loss, in nats a letter, and the picture."""
    rng = np.random.default_rng(0)
    codes = np.array([LETTERS.index(letter) for letter in TEXT])
    table = tg.Parameter(rng.standard_normal((len(LETTERS), WIDTH)) / np.sqrt(WIDTH), name="letters")
    places = tg.Parameter(rng.standard_normal((WINDOW, WIDTH)) / np.sqrt(WIDTH), name="places")
    blocks = [make(rng, WIDTH) for _ in range(BLOCKS)]
    net = (table, places, blocks)
    optimizer = tg.optim.Adam([table, places, *(p for w in blocks for p in w.values())], lr=3e-3)
    for step in range(steps):
        starts = rng.integers(0, len(codes) - WINDOW, 16)
        rows = codes[starts[:, None] + np.arange(WINDOW + 1)]
        loss = tg.cross_entropy(scores_of(rows[:, :-1], *net).transpose(0, 2, 1), rows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:3d}  loss {loss.item():.3f}")
    text = "S"
    with tg.no_grad():
        while len(text) < 200:
            window = np.array([[LETTERS.index(letter) for letter in text[-WINDOW:]]])
            text += LETTERS[int(scores_of(window, *net).data[0, -1].argmax())]
    print(text)

    x = tg.Tensor(rng.standard_normal((2, 3, 8)), name="x")
    y = block(x, make(rng, 8), np.tril(np.ones((3, 3), bool)))
    return loss.item(), tg.draw(y.named("out"), Path(folder) / "transformer_block.svg")


if __name__ == "__main__":
    print("wrote", main(folder=sys.argv[1] if len(sys.argv) > 1 else "pictures")[1])
