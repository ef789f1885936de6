"""A file format a module."""
