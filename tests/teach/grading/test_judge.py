"""A wrong backward is located to the line, and a right one passes however it is written."""

from __future__ import annotations

import pytest

from tests.teach.grading import students as s
from tinygraph.teach.grading.check import check_backward

# name, right text, line that is changed, what it is changed to, a word of what is said
WRONG = [
    # from the review of a student's session, and from the design
    ("no sum for dbeta", s.STEPS, "dbeta = np.sum(dout, axis=0)", "dbeta = dout", "not added up"),
    ("wrong axis", s.STEPS, "dgamma = np.sum(dout * xhat, axis=0)", "dgamma = np.sum(dout * xhat, axis=1)", "axis 1"),
    ("half forgotten", s.STEPS, "dvar = 0.5 / np", "dvar = 1.0 / np", "2 times"),
    ("dmu is zero", s.STEPS, "dmu = -np.sum(dx1, axis=0)", "dmu = np.zeros(D)", "zero"),
    ("1/N forgotten", s.STEPS, "dsq = np.ones((N, D)) / N * dvar", "dsq = np.ones((N, D)) * dvar", "5 times"),
    ("dout for dxhat", s.STEPS, "divar = np.sum(dxhat * xmu, axis=0)", "divar = np.sum(dout * xmu, axis=0)", "dout"),
    ("gamma left out", s.STEPS, "dxhat = dout * gamma", "dxhat = dout", "gamma"),
    ("sign of dsqrtvar", s.STEPS, "dsqrtvar = -1.0 /", "dsqrtvar = 1.0 /", "sign"),
    ("a way forgotten", s.STEPS, "dx1 = dxmu1 + dxmu2", "dx1 = dxmu1", "forgotten"),
    ("a way added twice", s.STEPS, "dx = dx1 + dx2", "dx = dx1 + dx2 + dx2", "twice"),
    ("keepdims", s.STEPS, "(dout * xhat, axis=0)", "(dout * xhat, axis=0, keepdims=True)", "axis of length 1"),
    ("ones for upstream", s.STEPS, "dbeta = np.sum(dout, axis=0)", "dbeta = np.sum(np.ones_like(dout), axis=0)",
     "ones"),
    ("(v+eps)² for √", s.STEPS, "dvar = 0.5 / np.sqrt(var + eps) * dsqrtvar",
     "dvar = 0.5 / (var + eps) ** 2 * dsqrtvar", ""),
    ("unpacked in another order", s.STEPS, "xhat, gamma, xmu, ivar, sqrtvar, var, eps = cache",
     "xmu, gamma, xhat, ivar, sqrtvar, var, eps = cache", "xhat"),
    # Knet.jl #288: the gradient that is not scaled by gamma goes into dx
    ("Knet 288", s.PAPER, "dx_norm = dout * gamma", "dx_norm = dout", "gamma"),
    # cs231n_spring_2017_assignment #7: mean for sum
    ("mean for sum", s.PAPER, "dgamma = np.sum(dout * x_norm, axis=0)", "dgamma = np.mean(dout * x_norm, axis=0)",
     "averaged"),
    # mxnet #1053: the mean's gradient has a term too much
    ("mxnet 1053", s.PAPER, "dx = dx_norm / np.sqrt(sample_var + eps)",
     "dx = dmean + dx_norm / np.sqrt(sample_var + eps)", ""),
    # mlpack #2474: the way through the mean does not have its 1/N
    ("mlpack 2474", s.PAPER, "+ dmean / N", "+ dmean", ""),
    # datascience.stackexchange 10741 and forks: a power that is off by one
    ("power", s.PAPER, "** (-1.5), axis=0)", "** (-0.5), axis=0)", ""),
    ("sigma frozen", s.PAPER, " + dvar * 2.0 * (x - sample_mean) / N", "", "sample_var"),
    ("mu frozen", s.PAPER, " + dmean / N", "", "sample_mean"),
    # tt-metal #53204: the mean is subtracted twice
    ("tt-metal 53204", s.LAYERNORM, "(dx_norm - m1 -", "(dx_norm - 2 * m1 -", ""),
    # FlagGems #59: a sum over everything in place of a sum over each row
    ("FlagGems 59", s.LAYERNORM, "m1 = np.mean(dx_norm, axis=1, keepdims=True)", "m1 = np.mean(dx_norm)", ""),
    ("layer norm over the batch", s.LAYERNORM, "m2 = np.mean(dx_norm * x_norm, axis=1, keepdims=True)",
     "m2 = np.mean(dx_norm * x_norm, axis=0, keepdims=True)", ""),
    # SoftmaxLossLayer of Mate #2: not divided by the batch
    ("Mate 2", s.SOFTMAX, "    dx /= N\n", "    dx /= 1\n", "5 times"),
    ("softmax without -1", s.SOFTMAX, "dx[np.arange(N), y] -= 1", "dx[np.arange(N), y] -= 0", ""),
    ("affine w not transposed", s.AFFINE, "dw = np.dot(x.reshape(x.shape[0], -1).T, dout)",
     "dw = np.dot(x.reshape(x.shape[0], -1).T, dout).T", "transposed"),
    ("affine db", s.AFFINE, "db = np.sum(dout, axis=0)", "db = dout", "not added up"),
    ("affine x not reshaped", s.AFFINE, "dx = np.dot(dout, w.T).reshape(x.shape)", "dx = np.dot(dout, w.T)", "shape"),
    ("relu of dout", s.RELU, "dx = dout * (cache > 0)", "dx = dout * (dout > 0)", ""),
    ("closed form without gamma", s.CLOSED, "dx = gamma / (N", "dx = 1.0 / (N", "gamma"),
    ("closed form without the last term", s.CLOSED, " - x_norm * (dout * x_norm).sum(0))", ")", ""),
    ("loop", s.ROWS, "dx_norm[i] = dout[i] * gamma", "dx_norm[i] = dout[i]", "gamma"),
    ("loop overwrites", s.ROWS, "dbeta += dout[i]", "dbeta = dout[i]", ""),
    ("renamed, a factor", s.RENAMED, "third = -second * inv ** 2", "third = -second * inv", "ivar"),
    ("renamed, half", s.RENAMED, "fourth = third / (2 * s)", "fourth = third / s", "2 times"),
    ("renamed, gamma", s.RENAMED, "first = dout * g", "first = dout", "factor g "),
]  # fmt: skip
RIGHT = {
    "steps": (s.STEPS, "batchnorm_backward"), "paper": (s.PAPER, "batchnorm_backward"),
    "closed": (s.CLOSED, "batchnorm_backward_alt"), "rows": (s.ROWS, "batchnorm_backward"),
    "renamed": (s.RENAMED, "batchnorm_backward"), "affine": (s.AFFINE, "affine_backward"),
    "layernorm": (s.LAYERNORM, "layernorm_backward"), "spatial": (s.SPATIAL, "spatial_batchnorm_backward"),
    "softmax": (s.SOFTMAX, "softmax_loss"), "relu": (s.RELU, "relu_backward"),
}  # fmt: skip
NAMES = dict(RIGHT.values())


@pytest.mark.parametrize(("text", "name"), RIGHT.values(), ids=RIGHT)
def test_a_right_one_passes(text, name, tmp_path):
    report = check_backward(getattr(s.module_of(text, tmp_path), name))
    assert report.passed, str(report)
    assert not report.mistakes
    assert report.points == report.most_points


@pytest.mark.parametrize(("text", "old", "new", "word"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_wrong_one_is_located(text, old, new, word, tmp_path):
    changed, line = s.edit(text, old, new)
    report = check_backward(getattr(s.module_of(changed, tmp_path), NAMES[text]), hints=3)
    print(report)
    assert not report.passed
    assert [e.line for e in report.mistakes] == [line]
    assert word in report.mistakes[0].text
