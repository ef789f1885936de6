"""Record: a Tensor and the node that made it, ops and their calls."""
