"""Look: graphs as pictures, pages and text. What is here reads a `Graph` and never the engine."""
