"""A video with its masks drawn in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from voxtrace.errors import OutputError
from voxtrace.mapped import let_go
from voxtrace.preview import overlay
from voxtrace.volume import Frames


def write_overlay(path: Path, frames: Frames, labels: Sequence[np.ndarray], fps: float) -> None:
    """H.264 that every player shows (yuv420p, even sides). Whole or not at all; raises OutputError."""
    import av

    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    height, width = labels[0].shape
    even = height + height % 2, width + width % 2
    try:
        with av.open(str(partial), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            stream.height, stream.width = even
            stream.pix_fmt = "yuv420p"
            for index, mask in enumerate(labels):
                drawn = np.pad(overlay(frames[index], mask), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(drawn, format="rgb24")))
                let_go(mask)
            container.mux(stream.encode())
        os.replace(partial, path)
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise OutputError(f"the overlay {path} cannot be written: {error}") from None
    finally:
        partial.unlink(missing_ok=True)
