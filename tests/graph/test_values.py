"""Arrays and parameters as data, and back."""

import numpy as np
import pytest

import tinygraph as tg
from tinygraph.graph.data import Graph
from tinygraph.graph.values import summarize


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.clip(-np.inf, np.inf),
        lambda x: tg.pad(x, 1, constant_values=np.nan),
        lambda x: x.clip(np.array([0.0, -np.inf])),
        lambda x: x.clip(np.float32(-np.inf), np.longdouble(2)),
        lambda x: tg.fused.batch_norm(x),
        lambda x: tg.fused.layer_norm(x, None, np.ones(2)),
        lambda x: tg.Tensor(x.data.astype(np.longdouble)) * 2,
    ],
)
def test_what_json_has_no_word_for_comes_back(make):
    y = make(tg.Tensor([[1.0, -2.0], [3.0, 5.0]], name="x"))
    graph = tg.snapshot(y)
    again = Graph.from_json(graph.to_json())
    assert [n.params for n in again.nodes] == [n.params for n in graph.nodes]
    assert again.to_json() == graph.to_json()
    np.testing.assert_array_equal(tg.run(again), y.data)


def test_summary_counts():
    s = summarize(np.array([0.0, 1.0, np.nan, np.inf, 3.0]), values=2)
    assert (s.zeros, s.nans, s.infs, s.mean, s.min, s.max, s.values) == (1, 1, 1, pytest.approx(4 / 3), 0.0, 3.0, None)
    assert sum(s.histogram) == 3
