"""Prove: derivatives checked by differences, functions compared with certificates, ops timed."""
