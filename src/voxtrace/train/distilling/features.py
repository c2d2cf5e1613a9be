"""Stage 1: the student's image encoder learns to make the teacher's maps."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from voxtrace.train.distilling.embeddings import Embeddings, Maps
from voxtrace.train.distilling.matching import Matching
from voxtrace.train.distilling.nets import Teacher
from voxtrace.train.distilling.seeing import maps
from voxtrace.train.distilling.stages import fast
from voxtrace.train.samples import Batch


class Lesson(nn.Module):
    """A student beside the projections that are used in training only."""

    def __init__(self, student: nn.Module, matching: Matching) -> None:
        super().__init__()
        self.student = student
        self.matching = matching


class FeatureLoss:
    """Loss of a batch of windows: the student's maps against the teacher's, kept ones where there are."""

    def __init__(self, lesson: Lesson, teacher: Teacher, kept: Embeddings | None = None) -> None:
        self.lesson, self.teacher, self.kept = lesson, teacher, kept

    def __call__(self, windows: Tensor, truth: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
        """Windows (B, 3, S, S) uint8; the truth is not looked at."""
        goal = self._taught(windows)
        with fast(windows.device):
            own = maps(self.lesson.student, windows)
        loss, missed = self.lesson.matching(own, goal)
        return loss, {"missed": float(missed)}

    def _taught(self, windows: Tensor) -> Maps:
        """The teacher's maps of each window; those that are not kept are made together."""
        if self.kept is None:
            return taught(self.teacher.net, windows)
        found: list[Maps | None] = [self.kept.get(window) for window in windows]
        new = [index for index, one in enumerate(found) if one is None]
        if new:
            made = taught(self.teacher.net, windows[new])
            for row, index in enumerate(new):
                one = tuple(level[row : row + 1] for level in made)
                self.kept.put(windows[index], one)
                found[index] = one
        levels = zip(*(one for one in found if one is not None), strict=True)
        return tuple(torch.cat([part.to(windows.device, torch.float32) for part in level]) for level in levels)


@torch.no_grad()
def taught(teacher: nn.Module, windows: Tensor) -> Maps:
    """The frozen teacher's maps."""
    with fast(windows.device):
        return tuple(level.float() for level in maps(teacher, windows))


@torch.no_grad()
def missed(loss: FeatureLoss, batches: Iterable[Batch], device: torch.device) -> float:
    """The mean share of the teacher's embedding that the student, in eval mode, misses on `batches`."""
    lesson = loss.lesson
    was = lesson.training
    lesson.eval()
    shares = [loss(batch.images[:, 0].to(device), batch.masks[:, 0], 0)[1]["missed"] for batch in batches]
    lesson.train(was)
    return sum(shares) / len(shares)


def channels(net: nn.Module, windows: Tensor) -> list[int]:
    """Channels of a net's maps, the embedding first."""
    was = net.training
    net.eval()
    with torch.no_grad():
        found = [level.shape[1] for level in maps(net, windows)]
    net.train(was)
    return found
