"""Runtimes that make a net an Engine."""
