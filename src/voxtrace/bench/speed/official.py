"""The official SAM 2 (PyPI `sam2`, a repack), used as its notebooks show; `make oracle` puts it beside the rest."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from voxtrace.bench.speed.work import Work
from voxtrace.errors import ModelError

ORACLE = "VOXTRACE_ORACLE"


def oracle_folder() -> Path:
    """Where `make oracle` puts it: VOXTRACE_ORACLE, or the folder `oracle` of this environment."""
    return Path(os.environ.get(ORACLE) or Path(sys.prefix) / "oracle")


class Official:
    """Memories stay float32 here, so that the IoU tells of our errors alone; it rounds them to bfloat16 otherwise, and
    on a CPU fails where no pointer is behind them."""

    def __init__(self, work: Work, weights: Path) -> None:
        import torch

        self.work = work
        self.net = _net(work.side, weights)
        self.frames = torch.from_numpy(work.normalised())
        self._masks: list[np.ndarray] = []
        self._marked: Any = None

    def run(self) -> None:
        """The volume: all objects in one state, or one after another."""
        boxes = self.work.boxes()
        groups = [[box] for box in boxes] if self.work.separately else [boxes]
        self._masks = [self._followed(group) for group in groups]

    def masks(self) -> np.ndarray:
        """(objects, slices, H, W) bool of the last run."""
        return np.concatenate(self._masks)

    def mark(self) -> None:
        """A box on the middle slice, whose features the state has."""
        if self._marked is None:
            self._marked = self._state()
        self._prompt(self._marked, self.work.boxes()[:1])

    def _followed(self, boxes: list[tuple[int, int, int, int]]) -> np.ndarray:
        state = self._state()
        found = np.zeros((len(boxes), self.work.slices, self.work.side, self.work.side), bool)
        for reverse in (False, True):
            self.net.reset_state(state)
            self._prompt(state, boxes)
            frames = self.net.propagate_in_video(state, start_frame_idx=self.work.middle, reverse=reverse)
            with _quiet():
                for frame, _, masks in frames:
                    found[:, frame] = (masks[:, 0] > 0).numpy()
        return found

    def _state(self) -> Any:
        from sam2 import sam2_video_predictor

        loaded = self.frames, self.work.side, self.work.side
        with mock.patch.object(sam2_video_predictor, "load_video_frames", return_value=loaded):
            return self.net.init_state("given")

    def _prompt(self, state: Any, boxes: list[tuple[int, int, int, int]]) -> None:
        with _quiet():
            for name, (y0, x0, y1, x1) in enumerate(boxes, start=1):
                corners = np.array([x0, y0, x1 - 1, y1 - 1], np.float32)
                self.net.add_new_points_or_box(state, self.work.middle, name, box=corners)


@contextmanager
def _quiet() -> Iterator[None]:
    """Memories in float32, and no bar of progress."""
    import torch
    from sam2 import sam2_video_predictor

    with (
        mock.patch.object(torch, "bfloat16", torch.float32),
        mock.patch.object(sam2_video_predictor, "tqdm", lambda frames, **_: frames),
    ):
        yield


def _net(side: int, weights: Path) -> Any:
    """Its video predictor, tiny, for images of `side`, with weights of official names."""
    folder = oracle_folder()
    if not (folder / "sam2").is_dir():
        raise ModelError(f"the official sam2 is not in {folder}: run `make oracle`, or set {ORACLE} to its folder")
    sys.path.append(str(folder))  # last: what this environment has itself stays
    from safetensors.torch import load_file

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sam2.build_sam import build_sam2_video_predictor

        overrides = [f"++model.image_size={side}"]
        net = build_sam2_video_predictor(
            "configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu", hydra_overrides_extra=overrides
        )
    net.fill_hole_area = 0  # a CUDA kernel that the repack lacks
    net.load_state_dict(load_file(weights), strict=True)
    return net.requires_grad_(False)
