"""The ellipse, or ellipsoid, inscribed in each box. numpy alone; the picture is not looked at."""

import sys
from pathlib import Path

import numpy as np

inputs, outputs = map(Path, sys.argv[1:])
(file,) = inputs.glob("*.npz")
with np.load(file) as case:
    boxes = case["boxes"].astype(float)
    shape = case["imgs"].shape[: boxes.shape[1] // 2]

labels = np.zeros(shape, np.uint8)
for number, box in enumerate(boxes, 1):
    half = len(box) // 2
    first, last = box[:half][::-1], box[half:][::-1]  # x y (z) -> (z) y x
    middle, radius = (first + last) / 2, (last - first + 1) / 2
    axes = np.ogrid[tuple(map(slice, shape))]
    distance = sum(((axis - m) / r) ** 2 for axis, m, r in zip(axes, middle, radius, strict=True))
    labels[(distance <= 1) & (labels == 0)] = number

np.savez_compressed(outputs / file.name, segs=labels)
