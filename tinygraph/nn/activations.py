"""Activations: elementwise functions as modules, for Sequential; each keeps the options of its function.

``inplace`` is taken, as PyTorch takes it, and without effect: a Tensor is never changed in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from tinygraph.engine.tensor import Parameter
from tinygraph.engine.types import Value
from tinygraph.nn import functional, init
from tinygraph.nn.module import Module

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]  # fmt: skip


class Activation(Module):
    """A function of `nn.functional` with its options kept as attributes."""

    function: ClassVar[Callable[..., Value]]
    _options: tuple[str, ...] = ()

    def _keep(self, **options: object) -> None:
        """Keep the options under their names."""
        for name, value in options.items():
            setattr(self, name, value)
        self._options = tuple(options)

    def forward(self, x: Value) -> Value:
        """Return the function of x, with the options."""
        return type(self).function(x, **{name: getattr(self, name) for name in self._options})

    def extra_repr(self) -> str:
        """Return the options."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._options)


class InPlace(Activation):
    """An activation without options but ``inplace``."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()


class ReLU(InPlace):
    """Keep what is above 0: ``max(x, 0)``, as `functional.relu`.

    Args:
        inplace: taken, and without effect.

    >>> ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    function = staticmethod(functional.relu)


class ReLU6(InPlace):
    """Limit to 0 … 6, as `functional.relu6`.

    Args:
        inplace: taken, and without effect.

    >>> ReLU6()(np.array([-1.0, 8.0]))
    array([0., 6.])
    """

    function = staticmethod(functional.relu6)


class SELU(InPlace):
    """Keep what is above 0 and bend the rest, scaled so that variance 1 stays, as `functional.selu`.

    Args:
        inplace: taken, and without effect.

    Source: Klambauer et al. 2017.

    >>> SELU()(np.array([0.0, 1.0]).round(4)).round(4)
    array([0.    , 1.0507])
    """

    function = staticmethod(functional.selu)


class SiLU(InPlace):
    """Multiply x by its sigmoid, as `functional.silu`.

    Args:
        inplace: taken, and without effect.

    Source: Hendrycks and Gimpel 2016; Ramachandran, Zoph and Le 2017, as swish.

    >>> SiLU()(np.array([0.0]))
    array([0.])
    """

    function = staticmethod(functional.silu)


class Mish(InPlace):
    """Multiply x by ``tanh(softplus(x))``, as `functional.mish`.

    Args:
        inplace: taken, and without effect.

    Source: Misra 2019.

    >>> Mish()(np.array([0.0]))
    array([0.])
    """

    function = staticmethod(functional.mish)


class Hardsigmoid(InPlace):
    """Rise in a line from 0 at -3 to 1 at 3, as `functional.hardsigmoid`.

    Args:
        inplace: taken, and without effect.

    >>> Hardsigmoid()(np.array([-3.0, 0.0, 3.0]))
    array([0. , 0.5, 1. ])
    """

    function = staticmethod(functional.hardsigmoid)


class Hardswish(InPlace):
    """Multiply x by its `Hardsigmoid`, as `functional.hardswish`.

    Args:
        inplace: taken, and without effect.

    Source: Howard et al. 2019.

    >>> Hardswish()(np.array([-3.0, 3.0]))
    array([-0.,  3.])
    """

    function = staticmethod(functional.hardswish)


class Sigmoid(Activation):
    """Squash into 0 … 1: ``1 / (1 + exp(-x))``, as `functional.sigmoid`.

    >>> Sigmoid()(np.array([0.0]))
    array([0.5])
    """

    function = staticmethod(functional.sigmoid)


class Tanh(Activation):
    """Squash into -1 … 1, as `functional.tanh`.

    >>> Tanh()(np.array([0.0]))
    array([0.])
    """

    function = staticmethod(functional.tanh)


class LogSigmoid(Activation):
    """Take the logarithm of the sigmoid, without overflow, as `functional.logsigmoid`.

    >>> LogSigmoid()(np.array([0.0]))
    array([-0.69314718])
    """

    function = staticmethod(functional.logsigmoid)


class Softsign(Activation):
    """Squash into -1 … 1: ``x / (1 + |x|)``, as `functional.softsign`.

    >>> Softsign()(np.array([1.0]))
    array([0.5])
    """

    function = staticmethod(functional.softsign)


class Tanhshrink(Activation):
    """Subtract the hyperbolic tangent, as `functional.tanhshrink`.

    >>> Tanhshrink()(np.array([0.0]))
    array([0.])
    """

    function = staticmethod(functional.tanhshrink)


class LeakyReLU(Activation):
    """Keep what is above 0, and scale the rest, as `functional.leaky_relu`.

    Args:
        negative_slope: what values below 0 are multiplied by.
        inplace: taken, and without effect.

    >>> LeakyReLU(0.1)(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    function = staticmethod(functional.leaky_relu)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self._keep(negative_slope=negative_slope)


class ELU(Activation):
    """Keep what is above 0, and bend the rest to ``alpha (exp(x) - 1)``, as `functional.elu`.

    Args:
        alpha: minus what is approached far below 0.
        inplace: taken, and without effect.

    Source: Clevert, Unterthiner and Hochreiter 2016.

    >>> ELU()(np.array([-1.0, 2.0])).round(4)
    array([-0.6321,  2.    ])
    """

    function = staticmethod(functional.elu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self._keep(alpha=alpha)


class CELU(Activation):
    """Keep what is above 0, and bend the rest to ``alpha (exp(x / alpha) - 1)``, as `functional.celu`.

    Args:
        alpha: minus what is approached far below 0, above 0.
        inplace: taken, and without effect.

    Source: Barron 2017.

    >>> CELU()(np.array([-1.0, 2.0])).round(4)
    array([-0.6321,  2.    ])
    """

    function = staticmethod(functional.celu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self._keep(alpha=alpha)


class GELU(Activation):
    """Multiply x by the chance that a normal error is below it, as `functional.gelu`.

    Args:
        approximate: "none", or "tanh" for the formula that many models were trained with.

    Raises:
        ValueError: another ``approximate``.

    Source: Hendrycks and Gimpel 2016, section 2.

    >>> GELU()(np.array([0.0, 1.0]))
    array([0.        , 0.84134475])
    """

    function = staticmethod(functional.gelu)

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate {approximate!r} is neither 'none' nor 'tanh'")
        self._keep(approximate=approximate)


class Softplus(Activation):
    """Round off ``max(x, 0)``: ``ln(1 + exp(beta x)) / beta``, as `functional.softplus`.

    Args:
        beta: how sharply it bends.
        threshold: where ``beta x`` is above it, x is returned.

    >>> Softplus()(np.array([0.0]))
    array([0.69314718])
    """

    function = staticmethod(functional.softplus)

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self._keep(beta=beta, threshold=threshold)


class Hardtanh(Activation):
    """Limit to a range, as `functional.hardtanh`.

    Args:
        min_val: its lower end.
        max_val: its upper end.
        inplace: taken, and without effect.

    Raises:
        ValueError: the range is empty.

    >>> Hardtanh()(np.array([-1.0, 2.0]))
    array([-1.,  1.])
    """

    function = staticmethod(functional.hardtanh)

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        if min_val > max_val:
            raise ValueError(f"Hardtanh: {min_val=} is above {max_val=}")
        self._keep(min_val=min_val, max_val=max_val)


class Threshold(Activation):
    """Keep what is above a threshold, and replace the rest, as `functional.threshold`.

    Args:
        threshold: what x is compared with.
        value: what replaces the rest.
        inplace: taken, and without effect.

    >>> Threshold(0.0, -5.0)(np.array([-1.0, 2.0]))
    array([-5.,  2.])
    """

    function = staticmethod(functional.threshold)

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self._keep(threshold=threshold, value=value)


class Softshrink(Activation):
    """Move towards 0 by ``lambd``, and no further, as `functional.softshrink`.

    Args:
        lambd: by how much, 0 or more.

    Raises:
        ValueError: lambd is negative.

    >>> Softshrink()(np.array([-1.0, 2.0]))
    array([-0.5,  1.5])
    """

    function = staticmethod(functional.softshrink)
    lambd: float

    def __init__(self, lambd: float = 0.5) -> None:
        if lambd < 0:
            raise ValueError(f"Softshrink: {lambd=} is negative")
        self._keep(lambd=lambd)

    def extra_repr(self) -> str:
        """Return the options."""
        return str(self.lambd)


class Hardshrink(Activation):
    """Keep what is farther from 0 than ``lambd``, as `functional.hardshrink`.

    Args:
        lambd: how far.

    >>> Hardshrink()(np.array([-1.0, 0.3]))
    array([-1.,  0.])
    """

    function = staticmethod(functional.hardshrink)
    lambd: float

    def __init__(self, lambd: float = 0.5) -> None:
        self._keep(lambd=lambd)

    def extra_repr(self) -> str:
        """Return the options."""
        return str(self.lambd)


class RReLU(Activation):
    """Keep what is above 0, and scale the rest by random slopes in training, their mean in evaluation.

    Args:
        lower: the least slope.
        upper: the largest slope.
        inplace: taken, and without effect.

    Raises:
        ValueError: lower is above upper.

    Source: Xu et al. 2015.

    >>> RReLU(0.5, 0.5)(np.array([-1.0, 2.0]))
    array([-0.5,  2. ])
    """

    function = staticmethod(functional.rrelu)
    lower: float
    upper: float

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        if lower > upper:
            raise ValueError(f"RReLU: {lower=} is above {upper=}")
        self._keep(lower=lower, upper=upper)

    def forward(self, x: Value) -> Value:
        """Return x above 0 and a fraction of it below.

        Args:
            x: of any shape.

        Returns:
            Of the shape of x.
        """
        return functional.rrelu(x, self.lower, self.upper, self.training)


class PReLU(Module):
    """Keep what is above 0, and scale the rest by a slope that is learned.

    Args:
        num_parameters: how many slopes: 1, or one for each channel.
        init: their first value.

    Attributes:
        weight: the slopes, (num_parameters,).

    Raises:
        ValueError: in a call, there are several slopes, and x has another number of channels.

    Source: He et al. 2015.

    >>> PReLU()(np.array([-1.0, 2.0])).data
    array([-0.25,  2.  ])
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(np.empty(num_parameters, np.float32))
        self.reset_parameters()

    def reset_parameters(self, generator: init.Generator = None) -> None:
        """Set the slopes to their first value.

        Args:
            generator: not used: nothing is random.
        """
        init.constant_(self.weight, self.init)

    def forward(self, x: Value) -> Value:
        """Return x above 0 and a fraction of it below.

        Args:
            x: of any shape; with several slopes, (N, C, …).

        Returns:
            Of the shape of x.
        """
        return functional.prelu(x, self.weight)

    def extra_repr(self) -> str:
        """Return the number of slopes."""
        return f"num_parameters={self.num_parameters}"
