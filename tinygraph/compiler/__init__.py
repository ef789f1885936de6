"""Compile a function: trace it, find few sweeps over memory by rules about sums, and write kernels for it."""
