"""Train: data sets, loops, checkpoints, and the nets of the texts."""
