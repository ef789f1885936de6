"""Renderers: `Graph -> str`. None of them imports the engine."""
