"""Data sets of users: which labelled cases lie in a folder, whatever its layout, and what is wrong with them. No torch.

found = find_cases("Dataset004_Hippocampus")     nnU-Net raw, BIDS, challenge npz, image/mask pairs, our manifest
found.cases, found.layout, found.notes
"""

from voxtrace.datasets.found import Asked, Found
from voxtrace.datasets.layouts import find_cases

__all__ = ["Asked", "Found", "find_cases"]
