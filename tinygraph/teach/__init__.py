"""Teach: the graph as a program that a person could have written, and what follows from it."""
