"""Differentiate: gradients carried back, asked for, and defined for fused ops."""
