"""GrabCut in each box, slice by slice: two mixtures of colours and a minimum cut between them; no weights."""

import sys
from pathlib import Path

import numpy as np

from voxtrace.bench.grabcut import grabcut
from voxtrace.prompts import Box

inputs, outputs = map(Path, sys.argv[1:])
(file,) = inputs.glob("*.npz")
with np.load(file) as case:
    boxes, images = case["boxes"], case["imgs"]

flat = boxes.shape[1] == 4
frames = images[None] if flat else np.repeat(images[..., None], 3, axis=-1)  # (D, H, W, 3)
labels = np.zeros(frames.shape[:3], np.uint8)
for number, box in enumerate(boxes.tolist(), 1):
    x0, y0, z0, x1, y1, z1 = (*box[:2], 0, *box[2:], 0) if flat else box
    for z in range(z0, z1 + 1):
        found = grabcut(frames[z], Box.on_slice(z, y0, x0, y1 + 1, x1 + 1))
        labels[z][found & (labels[z] == 0)] = number

np.savez_compressed(outputs / file.name, segs=labels[0] if flat else labels)
