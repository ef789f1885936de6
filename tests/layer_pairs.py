"""Layers of both libraries with the same state, and the comparison of what they compute."""

from __future__ import annotations

import re

import numpy as np

from tests.cases import close
from tinygraph import Tensor, grad, nn

SIGNALS, IMAGES, VOLUMES = (5, 4, 7), (5, 4, 6, 6), (2, 2, 3, 4, 5)


# name, arguments, shape of x: the same call makes ours and theirs
LAYERS = [
    ("Linear", (4, 3), {}, (5, 4)),
    ("Linear", (4, 3), {"bias": False}, (2, 5, 4)),
    ("Conv2d", (4, 6, 3), {}, IMAGES),
    (
        "Conv2d",
        (4, 6, (3, 2)),
        {"stride": 2, "padding": (1, 2), "dilation": (2, 1), "groups": 2, "bias": False},
        IMAGES,
    ),
    ("Conv2d", (4, 4, 3), {"padding": "same", "groups": 4}, IMAGES),
    ("Conv2d", (4, 2, 3), {"padding": "valid"}, IMAGES),
    ("BatchNorm1d", (4,), {}, (5, 4)),
    ("BatchNorm1d", (4,), {"eps": 0.1, "momentum": 0.4}, (5, 4, 3)),
    ("BatchNorm2d", (4,), {}, IMAGES),
    ("BatchNorm2d", (4,), {"affine": False, "momentum": None}, IMAGES),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, IMAGES),
    ("LayerNorm", (4,), {}, (5, 3, 4)),
    ("LayerNorm", ((6, 6),), {"eps": 0.1}, IMAGES),
    ("LayerNorm", (4,), {"elementwise_affine": False}, (5, 4)),
    ("LayerNorm", (4,), {"bias": False}, (5, 4)),
    ("GroupNorm", (2, 4), {}, IMAGES),
    ("GroupNorm", (2, 4), {"affine": False, "eps": 0.1}, (5, 4)),
    ("InstanceNorm2d", (4,), {}, IMAGES),
    ("InstanceNorm2d", (4,), {"affine": True}, IMAGES),
    ("Dropout", (0.0,), {}, (5, 4)),
    ("Flatten", (), {}, IMAGES),
    ("Flatten", (0, 2), {}, IMAGES),
    ("Identity", (), {}, (5, 4)),
    ("ReLU", (), {}, (5, 4)),
    ("LeakyReLU", (0.2,), {}, (5, 4)),
    ("LeakyReLU", (), {}, (5, 4)),
    ("Sigmoid", (), {}, (5, 4)),
    ("Tanh", (), {}, (5, 4)),
    ("GELU", (), {}, (5, 4)),
    ("GELU", (), {"approximate": "tanh"}, (5, 4)),
    ("Softmax", (), {"dim": 1}, IMAGES),
    ("LogSoftmax", (), {"dim": -1}, (5, 4)),
    ("Conv2d", (4, 2, 2), {"padding": "same", "dilation": (1, 2)}, IMAGES),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, SIGNALS),
    ("Conv1d", (4, 2, 4), {"padding": "same", "bias": False}, SIGNALS[1:]),
    ("Conv3d", (2, 4, (1, 2, 3)), {"padding": (0, 1, 1), "dilation": (1, 2, 1)}, VOLUMES),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}, SIGNALS),
    ("ConvTranspose2d", (4, 3, (3, 2)), {"stride": (2, 1), "dilation": 2, "bias": False}, IMAGES),
    ("ConvTranspose3d", (2, 3, 2), {"stride": 2}, VOLUMES),
    ("AvgPool1d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False}, SIGNALS),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True, "divisor_override": 5}, IMAGES),
    ("AvgPool3d", ((1, 2, 2),), {"stride": 1}, VOLUMES),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True}, SIGNALS),
    ("MaxPool3d", (2,), {"padding": 1}, VOLUMES),
    ("LPPool1d", (2, 3), {"stride": 2}, SIGNALS),
    ("LPPool2d", (2, (2, 3)), {}, IMAGES),
    ("LPPool3d", (4, 2), {}, VOLUMES),
    ("AdaptiveAvgPool1d", (3,), {}, SIGNALS),
    ("Upsample", (), {"scale_factor": 2}, IMAGES),
    ("Upsample", (), {"scale_factor": (1.5, 0.7), "mode": "bilinear"}, IMAGES),
    ("Upsample", (), {"scale_factor": 1.7, "mode": "linear", "recompute_scale_factor": True}, SIGNALS),
    ("Upsample", ((5, 3, 2),), {"mode": "trilinear", "align_corners": True}, VOLUMES),
    ("Upsample", ((9, 4),), {"mode": "bicubic", "align_corners": False}, IMAGES),
    ("UpsamplingNearest2d", ((9, 4),), {}, IMAGES),
    ("UpsamplingBilinear2d", (), {"scale_factor": 2}, IMAGES),
    ("PixelShuffle", (2,), {}, IMAGES),
    ("PixelUnshuffle", (3,), {}, IMAGES),
    ("ChannelShuffle", (2,), {}, IMAGES),
    ("Unfold", ((2, 3),), {"dilation": (2, 1), "padding": 1, "stride": (1, 2)}, IMAGES),
    ("Fold", ((4, 5), 2), {"padding": 1}, (3, 8, 30)),
    ("ZeroPad1d", (2,), {}, SIGNALS),
    ("ZeroPad2d", ((1, 0, 2, 3),), {}, IMAGES),
    ("ZeroPad3d", (1,), {}, VOLUMES),
    ("ConstantPad1d", ((1, 2), 0.5), {}, SIGNALS),
    ("ConstantPad2d", (1, -2.0), {}, IMAGES),
    ("ConstantPad3d", (1, 1.5), {}, VOLUMES),
    ("ReflectionPad1d", ((2, 1),), {}, SIGNALS),
    ("ReflectionPad2d", (2,), {}, IMAGES),
    ("ReflectionPad3d", (1,), {}, VOLUMES),
    ("ReplicationPad1d", (3,), {}, SIGNALS),
    ("ReplicationPad2d", ((1, 0, 2, 3),), {}, IMAGES),
    ("ReplicationPad3d", (1,), {}, VOLUMES),
    ("CircularPad1d", ((2, 3),), {}, SIGNALS),
    ("CircularPad2d", (2,), {}, IMAGES),
    ("CircularPad3d", (1,), {}, VOLUMES),
    ("Conv1d", (4, 3, 3), {"padding": 1, "padding_mode": "circular"}, SIGNALS),
    ("Conv2d", (4, 3, (3, 2)), {"padding": (2, 1), "padding_mode": "reflect", "stride": 2}, IMAGES),
    ("Conv3d", (2, 3, 2), {"padding": "same", "padding_mode": "replicate"}, VOLUMES),
    ("Dropout1d", (0.0,), {}, SIGNALS),
    ("Dropout2d", (0.0,), {}, IMAGES),
    ("Dropout3d", (0.0,), {}, VOLUMES),
    ("AlphaDropout", (0.0,), {}, (5, 4)),
    ("FeatureAlphaDropout", (0.0,), {}, IMAGES),
    ("AdaptiveAvgPool3d", ((2, None, 3),), {}, VOLUMES),
    ("AdaptiveMaxPool1d", (4,), {}, SIGNALS),
    ("AdaptiveMaxPool2d", ((3, None),), {}, IMAGES),
    ("AdaptiveMaxPool3d", (2,), {}, VOLUMES),
    ("AvgPool2d", (2,), {}, IMAGES),
    ("AvgPool2d", ((3, 2),), {"stride": (2, 1), "padding": 1}, IMAGES),
    ("MaxPool2d", (3,), {"stride": 1, "padding": 1}, IMAGES),
    ("MaxPool2d", (2,), {}, IMAGES),
    ("AdaptiveAvgPool2d", (1,), {}, IMAGES),
    ("AdaptiveAvgPool2d", ((4, 5),), {}, IMAGES),
    ("AdaptiveAvgPool2d", ((None, 3),), {}, IMAGES),
]


IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(LAYERS)]


def random_state(module, rng):
    """Random parameters and buffers, also where they begin as ones and zeros; variances above 0."""
    state = module.state_dict()
    for key, value in state.items():
        if value.dtype.kind == "f":
            state[key] = (
                rng.uniform(0.5, 2, value.shape) if key.endswith("var") else rng.standard_normal(value.shape)
            ).astype(value.dtype)
    module.load_state_dict(state)


def pair(torch, name, args, options, dtype, rng):
    """Our layer and theirs with the same state."""
    ours = getattr(nn, name)(*args, **options).to(np.dtype(dtype))
    theirs = getattr(torch.nn, name)(*args, **options).to(getattr(torch, dtype))
    random_state(ours, rng)
    theirs.load_state_dict({key: torch.tensor(value) for key, value in ours.state_dict().items()})
    return ours, theirs


def compare(torch, ours, theirs, arrays, tolerance, rng):
    """Value and gradients in inputs and parameters, under a random cotangent."""
    xs, ts = [Tensor(a) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*xs), theirs(*ts)
    assert y.dtype == arrays[0].dtype
    close(y.data, z.detach().numpy(), tolerance, "value")
    g = rng.standard_normal(y.shape).astype(y.dtype)
    ps, qs = list(ours.parameters()), list(theirs.parameters())
    assert len(ps) == len(qs)
    wanted = torch.autograd.grad(z, [*ts, *qs], torch.tensor(g))
    for p, a, b in zip([*xs, *ps], grad(y, [*xs, *ps], g), wanted, strict=True):
        assert a.dtype == p.dtype
        close(a, b.numpy(), tolerance, f"gradient in {p.name}")


def without_bias(text):
    """A repr without the option of norms that newer releases have."""
    return re.sub(r"(Norm.*), bias=\w+", r"\1", text)
