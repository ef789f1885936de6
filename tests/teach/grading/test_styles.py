"""Backwards in many styles: right ones pass; of wrong ones, each an edit of a right one, the line is named."""

from __future__ import annotations

import pytest

from tests.teach.grading import students as s
from tests.teach.grading import styles as t
from tinygraph.teach.grading.check import check_backward

# what is wrong, right text, what is changed, to what, a word of what is said
WRONG = [
    ("sign in a sum", t.EINSUM, "- x_hat * through_var)", "+ x_hat * through_var)", "the wrong sign"),
    ("einsum over the wrong axis", t.EINSUM, '"nd,nd->d", dout, x_hat)', '"nd,nd->n", dout, x_hat)', "axis 1"),
    ("strings", t.EINSUM, "return dx, dgamma, dbeta", 'return "dx", "dgamma", "dbeta"', "no array, but str"),
    ("a name that is not there", t.EINSUM, "- x_hat * through_var", "- xhat * through_var", "there is x_hat"),
    ("not centred", t.MATRIX, "C = np.eye(N) - 1.0 / N", "C = np.eye(N)", "-1 / N"),
    ("a matrix of another size", t.MATRIX, "np.eye(N) - 1.0 / N", "np.eye(D) - 1.0 / D", "D stands in the place"),
    ("1/N inside of a term", t.MATRIX, "h @ h.T / N) / std[j]", "h @ h.T) / std[j]", "division by N"),
    ("another order", t.ONE_LINER, "(dout * h).sum(0), dout.sum(0)", "dout.sum(0), (dout * h).sum(0)", "another order"),
    ("calls itself", t.ONE_LINER, "h, g, s = ", "return batchnorm_backward(dout, cache); h, g, s = ", "without an end"),
    ("two names exchanged", t.STAGED, "dgamma, dbeta = np.sum(dout * x_hat, axis=0), np.sum(dout, axis=0)",
     "dgamma, dbeta = np.sum(dout, axis=0), np.sum(dout * x_hat, axis=0)", "values of dbeta"),
    ("1/N in one of several steps", t.STAGED, "dx += 2.0 / N * dvar * xc", "dx += 2.0 * dvar * xc", "division by N"),
    ("mean in a helper", t.HELPERS, "return a.sum(axis=0)", "return a.mean(axis=0)", "where a sum should be"),
    ("sign in a helper", t.HELPERS, "return g - direction *", "return g + direction *", "sign"),
    ("an attribute that is not there", t.OBJECT, "cache.gamma\n    if", "cache.gama\n    if", "no attribute 'gama'"),
    ("gamma in a loop", t.COMPREHENSION, "g = dout[:, j] * gamma[j]", "g = dout[:, j]", "gamma[j]"),
    ("a row too few", t.COMPREHENSION, "for i in range(N)) for j", "for i in range(1, N)) for j", "number 1"),
    ("gamma in a loop of rows", t.LN_ROWS, "dh = dout[i] * gamma", "dh = dout[i]", "factor gamma"),
    ("count without H and W", t.SPATIAL_AXES, "m = N * H * W", "m = N", "H * W"),
    ("power", t.SPATIAL_AXES, "dx = ivar / m", "dx = ivar ** 2 / m", "power"),
    ("count of the other side", t.GROUPNORM, "m = size[1]", "m = size[0]", "number 0"),
    ("not reshaped", t.AFFINE_LOOPS, "return dflat.reshape(x.shape), dw, db", "return dflat, dw, db", "(4, 6)"),
    ("margins for ones", t.SVM, "dx[margins > 0] = 1", "dx[margins > 0] = margins[margins > 0]", "number 1"),
    ("overwritten windows", t.CONV, "c:c + WW] += w[f]", "c:c + WW] = w[f]", "overwrites"),
    ("least for greatest", t.POOL, "np.max(window)", "np.min(window)", "min stands where max"),
    ("the wrong array is changed", t.RELU_IN_PLACE, "dx[x <= 0] = 0", "x[x <= 0] = 0", "x stands in the place"),
    ("mask of the upstream", s.RELU, "dout * (cache > 0)", "dout > 0", "element"),
    ("an edge of the hinge", t.SVM, "dx[margins > 0] = 1", "dx[margins >= 0] = 1", "equal numbers"),
    ("an axis of length 1", t.FEW_NAMES, "(x_mu * dyivar).sum(axis=0)", "(x_mu * dyivar).sum(axis=0, keepdims=True)",
     "an axis of length 1"),
    ("a part in place of all", t.SUMMED_PARTS, "dnormalized * inv_std + x_minus_mean * (2.0 / N) * dvar",
     "x_minus_mean * (2.0 / N) * dvar", "forgotten"),
    ("windows that overlap", t.POOL, "j * s:j * s + w] += mask", "j * s:j * s + w] = mask", "overwrites"),
    ("the stride", t.POOL, "dx[n, c, i * s:i * s + h", "dx[n, c, i * h:i * h + h", "h stands"),
    ("comparison", t.RELU_IN_PLACE, "dx[x <= 0] = 0", "dx[x > 0] = 0", "comparison"),
    ("a factor of all", s.SPATIAL, "backward(flat, cache)", "backward(flat / N, cache)", "N is too much"),
    ("one class too high", s.SOFTMAX, "    dx = probs.copy()\n    dx[np.arange(N), y] -= 1\n", "    dx = 1 * probs\n",
     "5 of the 20 elements"),
]  # fmt: skip
NAMES = dict(t.RIGHT.values()) | {
    s.SPATIAL: "spatial_batchnorm_backward",
    s.SOFTMAX: "softmax_loss",
    s.RELU: "relu_backward",
}


@pytest.mark.parametrize(("text", "name"), t.RIGHT.values(), ids=t.RIGHT)
def test_a_right_one_passes(text, name, tmp_path):
    report = check_backward(getattr(s.module_of(text, tmp_path), name))
    assert report.passed, str(report)
    assert not report.mistakes


@pytest.mark.parametrize(("text", "old", "new", "word"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_wrong_one_is_located(text, old, new, word, tmp_path):
    changed, line = s.edit(text, old, new)
    report = check_backward(getattr(s.module_of(changed, tmp_path), NAMES[text]), hints=3)
    print(report)
    assert not report.passed
    assert [e.line for e in report.mistakes] == [line + ("dx = 1 * probs" in new)]
    assert word in report.mistakes[0].text


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [("p * (dp - (dp * p).sum(axis=-1, keepdims=True))", "p * (1 - p) * dp", "element"),
     ("(dp * p).sum(axis=-1,", "(dp * p).sum(axis=0,", "another axis")],
)  # fmt: skip
def test_in_attention_one_mistake_that_spoils_two_gradients_is_told_once(old, new, word, tmp_path):
    """``ds`` is changed in the next line, so its name says nothing of its first value."""
    text, line = s.edit(t.ATTENTION, old, new)
    module = s.module_of(text, tmp_path)
    shapes = {"q": (4, 3), "k": (4, 3), "v": (4, 2)}
    report = check_backward(module.attention_backward, module.attention_forward, shapes, hints=3)
    assert [e.line for e in report.mistakes] == [line], str(report)
    assert word in report.mistakes[0].text
    right = s.module_of(t.ATTENTION, tmp_path)
    assert check_backward(right.attention_backward, right.attention_forward, shapes).passed


def test_one_element_of_each_row_is_asked_for(tmp_path):
    text, line = s.edit(s.SOFTMAX, "dx[np.arange(N), y] -= 1", "dx[:, y] -= 1")
    report = check_backward(s.module_of(text, tmp_path).softmax_loss, hints=3)
    assert [e.line for e in report.mistakes] == [line], str(report)
    assert "whole column" in report.mistakes[0].text
    assert "np.arange(N), y" in report.mistakes[0].hints[-1]


def test_what_is_exchanged_is_told_once_with_the_order_that_is_asked_for(tmp_path):
    text, _ = s.edit(s.AFFINE, "return dx, dw, db", "return dw, dx, db")
    report = check_backward(s.module_of(text, tmp_path).affine_backward, hints=3)
    assert len(report.mistakes) == 1
    assert report.mistakes[0].hints[-1] == "return dx, dw, db"


def test_of_a_sum_in_a_loop_the_lines_that_come_into_question_are_told(tmp_path):
    text, line = s.edit(t.SOFTMAX_LOOPS, " / total - (j == y[i])", " / total")
    report = check_backward(s.module_of(text, tmp_path).softmax_loss)
    assert "5 of the 20 elements are wrong" in report.mistakes[0].text
    assert str(line) in report.mistakes[0].text.partition("line ")[2]


def test_a_loss_that_is_wrong_is_told(tmp_path):
    text, _ = s.edit(t.SOFTMAX_LOOPS, "loss /= num_train", "pass")
    report = check_backward(s.module_of(text, tmp_path).softmax_loss)
    assert not report.passed
    assert "softmax_loss itself is wrong" in report.mistakes[0].text


def test_where_nothing_is_returned_the_function_is_shown(tmp_path):
    text, _ = s.edit(t.EINSUM, "return dx, dgamma, dbeta", "print(dx)")
    report = check_backward(s.module_of(text, tmp_path).batchnorm_backward)
    assert report.mistakes[0].code == "def batchnorm_backward(dout, cache):"
