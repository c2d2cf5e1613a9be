"""Runs the official SAM 2 (PyPI `sam2`) for test_model_sam2_official.py: python official_sam2.py ORDER ANSWER

In a process of its own: the folder that holds sam2 and what it needs (`make oracle`) is on this process's PYTHONPATH
and on no other's. torchvision is not needed for what is asked here. ORDER and ANSWER are files of torch.save with plain
values.

order: {"configs": [file names]} -> {file name: {parameter name: shape}}, or
       {"config": file name, "overrides", "state": weights, "frames": (T, 3, S, S), "walks": [walk]}
       -> [{frame: (logits (N, S, S), object scores (N,))}]
walk:  {"prompts": [{"object", "frame", "points", "labels", "box", "mask"}], "start": frame, "reverse": bool}
"""

from __future__ import annotations

import sys
from typing import Any
from unittest import mock

import torch
from sam2 import sam2_video_predictor
from sam2.build_sam import build_sam2_video_predictor


def answer(order: dict[str, Any]) -> Any:
    """What the official code says to an order; see the module."""
    if "configs" in order:
        return {config: shapes(config) for config in order["configs"]}
    predictor = build_sam2_video_predictor(order["config"], device="cpu", hydra_overrides_extra=order["overrides"])
    predictor.fill_hole_area = 0  # a CUDA kernel that the repack lacks
    predictor.load_state_dict(order["state"], strict=True)
    # Memories stay float32. The predictor rounds them to bfloat16, and then fails without autocast where an object has
    # no pointer behind it; the rounding alone moves logits by about 0.01 with these random weights.
    with mock.patch.object(torch, "bfloat16", torch.float32):
        return [walked(predictor, order["frames"], walk) for walk in order["walks"]]


def shapes(config: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a released net's state."""
    with mock.patch.object(torch.Tensor, "uniform_", lambda x, *_, **__: x):  # values do not matter here
        state = build_sam2_video_predictor(config, device="cpu").state_dict()
    return {name: tuple(value.shape) for name, value in state.items()}


def walked(predictor: Any, frames: torch.Tensor, walk: dict[str, Any]) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """Prompt and propagate once."""
    loaded = frames, frames.shape[-2], frames.shape[-1]
    with mock.patch.object(sam2_video_predictor, "load_video_frames", return_value=loaded):
        state = predictor.init_state("given")
    for prompt in walk["prompts"]:
        if prompt["mask"] is not None:
            predictor.add_new_mask(state, prompt["frame"], prompt["object"], prompt["mask"])
        else:
            marks = {key: prompt[key] for key in ("points", "labels", "box")}
            predictor.add_new_points_or_box(state, prompt["frame"], prompt["object"], **marks)
    followed = predictor.propagate_in_video(state, start_frame_idx=walk["start"], reverse=walk["reverse"])
    return {frame: (masks[:, 0].clone(), scores(state, frame)) for frame, _, masks in followed}


def scores(state: dict[str, Any], frame: int) -> torch.Tensor:
    """Object scores of all objects on a frame, from where the predictor keeps them."""
    found = []
    for kept in state["output_dict_per_obj"].values():
        out = kept["cond_frame_outputs"].get(frame) or kept["non_cond_frame_outputs"][frame]
        found.append(out["object_score_logits"].flatten())
    return torch.cat(found)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.save(answer(torch.load(sys.argv[1], weights_only=True)), sys.argv[2])
