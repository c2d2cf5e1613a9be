"""transformers' Sam2VideoModel, used as its documentation shows; from the second direction on after a reset, as the
published scripts do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from voxtrace.bench.speed.work import Work
from voxtrace.errors import CheckpointError, MissingDependencyError

POSITION = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
TWIN = "shared_image_embedding.positional_embedding"


class HuggingFace:
    """Memories stay float32 here, so that the IoU tells of our errors alone; it rounds them to bfloat16 otherwise."""

    def __init__(self, work: Work, weights: Path) -> None:
        import torch

        self.work = work
        self.net = _net(work.side, weights)
        self.frames = torch.from_numpy(work.normalised())
        self._masks: list[np.ndarray] = []
        self._marked: Any = None

    def run(self) -> None:
        """The volume: all objects in one session, or one after another."""
        import torch

        boxes = self.work.boxes()
        groups = [[box] for box in boxes] if self.work.separately else [boxes]
        with torch.inference_mode(), mock.patch.object(torch, "bfloat16", torch.float32):
            self._masks = [self._followed(group) for group in groups]

    def masks(self) -> np.ndarray:
        """(objects, slices, H, W) bool of the last run."""
        return np.concatenate(self._masks)

    def mark(self) -> None:
        """A box on the middle slice, whose features the session has."""
        import torch

        with torch.inference_mode(), mock.patch.object(torch, "bfloat16", torch.float32):
            if self._marked is None:
                self._marked = self._session()
            self._prompt(self._marked, self.work.boxes()[:1])

    def _followed(self, boxes: list[tuple[int, int, int, int]]) -> np.ndarray:
        session = self._session()
        found = np.zeros((len(boxes), self.work.slices, self.work.side, self.work.side), bool)
        for reverse in (False, True):
            session.reset_inference_session()
            self._prompt(session, boxes)
            frames = self.net.propagate_in_video_iterator(session, start_frame_idx=self.work.middle, reverse=reverse)
            for answer in frames:
                found[:, answer.frame_idx] = self._full(answer.pred_masks)
        return found

    def _session(self) -> Any:
        import torch
        from transformers import Sam2VideoInferenceSession

        side = self.work.side
        return Sam2VideoInferenceSession(video=self.frames, video_height=side, video_width=side, dtype=torch.float32)

    def _prompt(self, session: Any, boxes: list[tuple[int, int, int, int]]) -> None:
        import torch

        for name, (y0, x0, y1, x1) in enumerate(boxes, start=1):
            index = session.obj_id_to_idx(name)
            corners = torch.tensor([[[[x0, y0], [x1 - 1, y1 - 1]]]], dtype=torch.float32)
            labels = torch.tensor([[[2, 3]]], dtype=torch.int32)
            session.add_point_inputs(index, self.work.middle, {"point_coords": corners, "point_labels": labels})
            session.obj_with_new_inputs.append(name)
        answer = self.net(session, frame_idx=self.work.middle)
        self._full(answer.pred_masks)

    def _full(self, logits: Any) -> np.ndarray:
        from torch.nn import functional as F

        side = self.work.side
        return (F.interpolate(logits, size=(side, side), mode="bilinear")[:, 0] > 0).numpy()


def _net(side: int, weights: Path) -> Any:
    """Sam2VideoModel, tiny, for images of `side`, with weights of official names."""
    try:
        import transformers
    except ImportError:
        raise MissingDependencyError("transformers", "test", "the comparison with Sam2VideoModel") from None
    from safetensors.torch import load_file

    from voxtrace.checkpoints.hugging_face import to_official

    config: Any = transformers.Sam2VideoConfig(image_size=side)
    config.memory_attention_rope_feat_sizes = [side // 16] * 2
    config.prompt_encoder_config.image_size = side
    config.vision_config.backbone_feature_sizes = [[side // stride] * 2 for stride in (4, 8, 16)]
    config.vision_config.backbone_config.image_size = [side, side]
    net = transformers.Sam2VideoModel(config).eval().requires_grad_(False)
    state, given = net.state_dict(), load_file(weights)
    twin = state.pop(TWIN, None)
    own: dict[str, Any] = to_official(state)  # parts of the same memory: what is written to them is in the net
    if own.keys() != given.keys():
        raise CheckpointError(f"{weights} is no SAM 2.1 tiny: {sorted(own.keys() ^ given.keys())[:3]} differ")
    for name, value in own.items():
        value.copy_(given[name])
    if twin is not None:
        twin.copy_(given[POSITION])
    return net
