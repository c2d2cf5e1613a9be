"""Model names and weights files: find, download, read safely, tell apart, load, save."""
