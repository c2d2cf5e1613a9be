"""One marked picture, many others: the self-sorting memory of Medical SAM 2 finds the object on all of them."""

from pathlib import Path

import numpy as np
from PIL import Image

from voxtrace import ImageSet, MaskPrompt, SelfSorting, SetSession, open_engine

folder = Path("out/set")
folder.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(0)
y, x = np.mgrid[:128, :128]
truth = []
for number in range(6):
    centre, radius = random.uniform(45, 83, 2), random.uniform(15, 25)
    truth.append((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2)
    grey = random.normal(80, 10, (128, 128)) + 90 * truth[-1]
    Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")

images = ImageSet.of_folder(folder)
session = SetSession(open_engine("voxtrace-small"), images, memory=SelfSorting(rule="paper", seed=0))
session.add(MaskPrompt(truth[0]), object="disc", image=0)
result = session.run()

for number, known in enumerate(truth):
    mask = result.frame_mask("disc", number)
    print(f"image {number}: Dice {2 * (mask & known).sum() / (mask.sum() + known.sum()):.2f}")
