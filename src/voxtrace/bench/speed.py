"""Seconds and memory of one volume: 32 slices at 512 px, one box on the middle slice, both directions.

    python -m voxtrace.bench.speed --out benchmarks/speed.json

Each contender runs in a process of its own; peak memory is the process's, imports and weights included. Nets that are
not embedded have random weights: time does not depend on them, so masks mean nothing here and no walk is stopped early.
Figures of one run may be compared with one another, not with those of another day.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import MissingDependencyError

SLICES, SIDE = 32, 512


def scan() -> np.ndarray:
    """(32, 512, 512) uint8: a bright ball in noise."""
    random = np.random.default_rng(0)
    z, y, x = np.ogrid[:SLICES, :SIDE, :SIDE]
    inside = ((z - 16) / 12) ** 2 + ((y - 260) / 60) ** 2 + ((x - 240) / 60) ** 2 < 1
    return np.clip(random.normal(80, 15, (SLICES, SIDE, SIDE)) + 80 * inside, 0, 255).astype(np.uint8)


def _session(engine: Any) -> Callable[[], object]:
    from voxtrace.prompts import Box
    from voxtrace.sessions import VolumeSession
    from voxtrace.volume import Volume
    from voxtrace.windowing import parse_window

    volume, box = Volume(scan()), Box.on_slice(16, 200, 180, 320, 300)
    return lambda: VolumeSession(engine, volume, window=parse_window("full"), stop=None).add(box).run()


def voxtrace_small() -> Callable[[], object]:
    """The embedded net."""
    from voxtrace.engines import open_engine

    return _session(open_engine("voxtrace-small", "cpu"))


def sam2_tiny() -> Callable[[], object]:
    """Our SAM 2.1 tiny at 512."""
    from voxtrace.engines.torch import TorchEngine
    from voxtrace.model.config import CONFIGS
    from voxtrace.model.sam2 import Sam2

    return _session(TorchEngine(Sam2(CONFIGS["sam2.1_hiera_tiny"].at(512)), "cpu"))


def transformers_tiny() -> Callable[[], object]:
    """transformers' Sam2VideoModel, tiny at 512, used as its documentation shows."""
    try:
        import transformers
    except ImportError:
        raise MissingDependencyError("transformers", "test", "the comparison with Sam2VideoModel") from None
    import torch

    config: Any = transformers.Sam2VideoConfig(image_size=SIDE)
    config.memory_attention_rope_feat_sizes = [SIDE // 16] * 2
    config.prompt_encoder_config.image_size = SIDE
    config.vision_config.backbone_feature_sizes = [[SIDE // stride] * 2 for stride in (4, 8, 16)]
    config.vision_config.backbone_config.image_size = [SIDE, SIDE]
    net = transformers.Sam2VideoModel(config).eval()
    frames = torch.from_numpy(scan())[:, None].expand(-1, 3, -1, -1).float() / 255

    @torch.inference_mode()
    def run() -> None:
        session = transformers.Sam2VideoInferenceSession(
            video=frames, video_height=SIDE, video_width=SIDE, dtype=torch.float32
        )
        number = session.obj_id_to_idx(1)
        points = {"point_coords": torch.tensor([[[[180.0, 200.0], [299.0, 319.0]]]])}
        points["point_labels"] = torch.tensor([[[2, 3]]], dtype=torch.int32)
        session.add_point_inputs(number, 16, points)
        session.obj_with_new_inputs.append(1)
        net(session, frame_idx=16)
        for reverse in (False, True):
            for _ in net.propagate_in_video_iterator(session, start_frame_idx=16, reverse=reverse):
                pass

    return run


CONTENDERS = {"voxtrace-small": voxtrace_small, "voxtrace sam2.1 tiny": sam2_tiny, "transformers": transformers_tiny}


def measure(name: str, repeats: int) -> dict[str, float]:
    """Best of `repeats` after one run to warm up; in this process."""
    run = CONTENDERS[name]()
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ms_per_slice": round(min(seconds[1:]) / SLICES * 1000, 1), "peak_mb": round(peak)}


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description="Time one volume with each contender.")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", choices=list(CONTENDERS))
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args.only, args.repeats)))
        return
    rows: dict[str, dict[str, float]] = {}
    for name in CONTENDERS:
        command = [sys.executable, "-m", "voxtrace.bench.speed", "--only", name, "--repeats", str(args.repeats)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows[name] = json.loads(output.splitlines()[-1])
        print(name, rows[name], flush=True)
    slowest = rows["transformers"]["ms_per_slice"]
    ratios = {name: round(slowest / row["ms_per_slice"], 2) for name, row in rows.items()}
    import torch

    machine = {"machine": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    report = {
        "volume": [SLICES, SIDE, SIDE],
        "machine": machine,
        "results": rows,
        "times_faster_than_transformers": ratios,
    }
    print(json.dumps(report, indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
