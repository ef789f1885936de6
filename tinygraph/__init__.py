"""tinygraph: nets and batch norm from graph primitives, drawn, differentiated to any order, and compared.

An op called with arrays computes; called with a Tensor it also records.
"""

from tinygraph.context import composite, no_grad, scope
from tinygraph.functions import *  # noqa: F403
from tinygraph.grad import grad
from tinygraph.op import op, sample
from tinygraph.ops.elementwise import *  # noqa: F403
from tinygraph.tensor import Parameter, Tensor
