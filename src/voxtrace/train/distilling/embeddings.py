"""The teacher's maps kept on disk, in float16: the winners computed them once, for they cost most of the time.

One small file a window, named by what it depends on: the teacher's weights and config and the window's own pixels
(case, frame, grey window and placement decide those). Written beside and renamed: a killed run leaves whole files only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from voxtrace.errors import OutputError

Maps = tuple[Tensor, ...]


class Embeddings:
    """A folder of one teacher's maps, at most `limit` bytes of them. Beyond, nothing more is kept: every window is
    wanted equally often, so throwing one out for another would gain nothing. Raises OutputError without a folder."""

    def __init__(self, folder: Path, teacher: str, limit: int) -> None:
        self.folder = folder / hashlib.sha256(teacher.encode()).hexdigest()[:16]
        self.limit = limit
        self.found = self.made = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the folder for embeddings {folder} cannot be made: {error.strerror}") from None
        for left in self.folder.glob("*.part"):
            left.unlink(missing_ok=True)
        self.bytes = sum(path.stat().st_size for path in self.folder.glob("*.safetensors"))

    def get(self, window: Tensor) -> Maps | None:
        """The maps (1, C, h, w) kept for a window (3, S, S) uint8; None without a whole file."""
        path = self._path(window)
        try:
            kept = load_file(path)
        except (FileNotFoundError, SafetensorError, OSError):
            return None
        self.found += 1
        return tuple(kept[str(level)] for level in range(len(kept)))

    def put(self, window: Tensor, maps: Maps) -> None:
        """Keep the maps (1, C, h, w) of a window, if there is room. A full disk ends the keeping, not the training."""
        self.made += 1
        size = sum(level.numel() * 2 for level in maps)
        halves = {str(index): level.half().cpu().contiguous() for index, level in enumerate(maps)}
        if self.bytes + size > self.limit or not all(bool(level.isfinite().all()) for level in halves.values()):
            return
        path = self._path(window)
        part = path.with_suffix(".part")
        try:
            save_file(halves, part)
            os.replace(part, path)
            self.bytes += size
        except (OSError, SafetensorError):
            self.limit = 0
            with contextlib.suppress(OSError):
                part.unlink()

    def _path(self, window: Tensor) -> Path:
        pixels = window.to(torch.uint8).cpu().contiguous().numpy()
        digest = hashlib.blake2b(pixels.tobytes(), digest_size=20, person=str(pixels.shape[-1]).encode())
        return self.folder / f"{digest.hexdigest()}.safetensors"
