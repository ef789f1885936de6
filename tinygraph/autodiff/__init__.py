"""Differentiate: gradients carried back, and asked for."""
