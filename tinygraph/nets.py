"""The public path of `tinygraph.train.recipes`: another name of the same module."""

import sys

from tinygraph.train import recipes
from tinygraph.train.recipes import *

sys.modules[__name__] = recipes
