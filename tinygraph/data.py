"""The public path of `tinygraph.train.datasets`: another name of the same module."""

import sys

from tinygraph.train import datasets
from tinygraph.train.datasets import *

sys.modules[__name__] = datasets
