"""The graph as data: what was computed, frozen, to be drawn, compared, cut down, saved and run again."""

from tinygraph.graph.data import Edge, Graph, Node, Summary

__all__ = ["Edge", "Graph", "Node", "Summary"]
