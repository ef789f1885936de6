"""Grading: which line of a backward pass that a student wrote is wrong, and why."""
