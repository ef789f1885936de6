"""The public path of `tinygraph.train.checkpoint`: another name of the same module."""

import sys

from tinygraph.train import checkpoint
from tinygraph.train.checkpoint import *

sys.modules[__name__] = checkpoint
