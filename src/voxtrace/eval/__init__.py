"""Metrics, stated where they are computed."""
