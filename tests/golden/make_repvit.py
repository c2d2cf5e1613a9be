"""Write repvit_m1.npz: what timm's repvit_m1 makes of the weights and picture of test_model_repvit.py.

Not part of the tests: timm 1.0.31 needs torchvision, which does not load beside a CPU build of torch. Made with
torch 2.13.0, src on PYTHONPATH, and `pip install --no-deps timm==1.0.31 torchvision==0.28.0` in an environment of its
own.
"""

import sys
from pathlib import Path

import numpy as np
import torch

# torchvision's compiled operators are missing; naming these two is enough to import it.
OPERATORS = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_model_repvit import EVERY, GOLDEN, picture, seeded_weights  # noqa: E402

net = timm.create_model("repvit_m1", pretrained=False, features_only=True, out_indices=[0, 1, 2, 3])
arrays: dict[str, np.ndarray] = {}
for mode in ("eval", "train"):
    seeded_weights(net)
    net.train(mode == "train")
    with torch.no_grad():
        for index, feature in enumerate(net(picture(96, 64))):
            arrays[f"{mode}_{index}"] = feature.flatten()[::EVERY].numpy()
names = np.array([f"{name} {tuple(value.shape)}" for name, value in net.state_dict().items()])
np.savez_compressed(GOLDEN, names=names, **arrays)
