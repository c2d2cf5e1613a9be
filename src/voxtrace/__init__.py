"""Promptable segmentation of medical images, volumes and video: one prompt, the whole scan."""

__version__ = "0.1.0"
