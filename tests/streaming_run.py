"""One object through a scan or video in a process of its own: what it held in memory, as JSON.

python streaming_run.py SCAN OUT      SCAN: 256 x 256 frames with a disc in the middle of the first one
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from fake_engine import FakeDecoded, FakeEngine, FakeEntry, FakeFeatures
from voxtrace import io
from voxtrace.engine import Recalled
from voxtrace.prompts import Box
from voxtrace.sessions import VideoSession, VolumeSession
from voxtrace.volume import Video, Volume


class Forgetful(FakeEngine):
    """Writes nothing down of what it is asked, and a disc is whatever is bright: quick, and bounded itself."""

    image_size = 4096  # so large that the features of four frames fill the cache

    def encode(self, frames: list[np.ndarray]) -> list[FakeFeatures]:
        return [FakeFeatures(frame[..., 0]) for frame in frames]

    def begin(self, features: FakeFeatures, prompts: list) -> FakeDecoded:
        return self._bright(features, len(prompts))

    def follow(self, features: FakeFeatures, recalled: list[Recalled]) -> FakeDecoded:
        return self._bright(features, len(recalled))

    def remember(self, features: FakeFeatures, decoded: FakeDecoded, frame: int, prompted: bool) -> list[FakeEntry]:
        return [FakeEntry(frame, prompted) for _ in decoded.logits]

    def _bright(self, features: FakeFeatures, count: int) -> FakeDecoded:
        logits = features.grey.astype(np.float32) - 127.5
        return FakeDecoded(np.stack([logits] * count), np.full(count, 5.0), np.full(count, 0.9))


def status_mb(name: str) -> float:
    """A figure of /proc/self/status. VmHWM: the most memory so far, pages of files included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    scan, out = Path(sys.argv[1]), Path(sys.argv[2])
    source = io.read(scan)
    assert isinstance(source, Volume | Video)
    engine, (_, height, width) = Forgetful(), source.shape
    work = VideoSession(engine, source) if isinstance(source, Video) else VolumeSession(engine, source)
    result = work.add(Box.on_slice(0, height // 4, width // 4, 3 * height // 4, 3 * width // 4)).run()
    io.write(out, result.labels, like=source)
    voxels = sum(int(np.count_nonzero(result.frame_mask(1, frame))) for frame in range(len(result.frames)))
    print(json.dumps({"peak_mb": status_mb("VmHWM"), "frames": len(result.frames), "voxels": voxels}))


if __name__ == "__main__":
    main()
