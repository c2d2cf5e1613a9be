"""What is kept of the frames already seen, and what of it is recalled on the next: two policies under one protocol.

`Fifo` is SAM 2's own rule: all prompted frames, then the newest. `SelfSorting` is Medical SAM 2's: confident memories
that differ from each other are kept, those like the current frame are recalled, and time plays no part.
A policy holds settings only; what is remembered is in the Bank, a value that is passed along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from voxtrace.engine import Entry, Features, Recalled
from voxtrace.errors import InputError

MOST_MEMORIES = 6  # followed frames with a time of their own: SAM 2's nets learned so many, and one for prompted frames


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """The memories of one object on one walk.

    prompted: frames that a person marked. followed: frames that the policy kept, in the order they were admitted.
    recent: the newest followed frames, where a policy wants them besides those it keeps.
    num_frames: how many frames the whole scan, video or set has; None when it has no end.
    """

    prompted: tuple[Entry, ...] = ()
    followed: tuple[Entry, ...] = ()
    recent: tuple[Entry, ...] = ()
    num_frames: int | None = None

    def with_other_view(self, entry: Entry) -> Bank:
        """The same memories, but the one of `entry`'s frame as it is seen through another window."""
        prompted, followed, recent = (
            tuple(entry if e.frame == entry.frame else e for e in held)
            for held in (self.prompted, self.followed, self.recent)
        )
        return replace(self, prompted=prompted, followed=followed, recent=recent)


class MemoryPolicy(Protocol):
    """Decides what a bank keeps and what an object is followed with."""

    def admit(self, bank: Bank, entry: Entry) -> Bank:
        """The bank after `entry`, a followed frame, was offered to it."""
        ...

    def recall(self, bank: Bank, frame: int, step: int, features: Features) -> Recalled:
        """What to follow the object with on `frame`. step: +1 or -1, the walk's direction; 0 in a set without order."""
        ...


@dataclass(frozen=True, slots=True)
class Fifo:
    """SAM 2's own rule, as it is at inference.

    memories: the last so many followed frames, 0..6; InputError for any other number. pointers: object pointers look
    back so many frames, this one included.
    conditioning: at most so many prompted frames, the nearest; None for all (SAM 2's own setting; transformers has 4).
    """

    memories: int = MOST_MEMORIES
    pointers: int = 16
    conditioning: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.memories <= MOST_MEMORIES:
            raise InputError(
                f"a memory of the last {self.memories} frames cannot be recalled: SAM 2's nets know 0 to "
                f"{MOST_MEMORIES} steps back; use Fifo(memories={MOST_MEMORIES}) or less"
            )

    def admit(self, bank: Bank, entry: Entry) -> Bank:
        """Keep as many as pointers or memories can look back to."""
        reach = max(self.pointers - 1, self.memories, 1)
        return replace(bank, followed=(*bank.followed, entry)[-reach:])

    def recall(self, bank: Bank, frame: int, step: int, features: Features) -> Recalled:
        """Prompted frames at time 0, then whatever lies 6, 5, ... 1 steps behind."""
        step = step or 1  # a set followed by this rule has the order in which its images were given
        chosen = nearest_prompted(bank.prompted, frame, self.conditioning)
        followed = {entry.frame: entry for entry in bank.followed}
        # SAM 2 lets a prompted frame that was not chosen stand in as a followed one.
        behind = {entry.frame: entry for entry in bank.prompted if entry not in chosen} | followed
        memories = [(entry, 0) for entry in chosen] + _behind(behind, frame, step, self.memories)[::-1]
        pointers = past(chosen, frame, step) + _behind(behind, frame, step, self.pointers - 1)
        return Recalled(tuple(memories), tuple(pointers), span(bank, self.pointers))


@dataclass(frozen=True, slots=True)
class SelfSorting:
    """Medical SAM 2's self-sorting bank: for sets of images, where time means nothing, and for volumes and video.

    rule: "paper" admits a memory whose expected IoU is above `threshold` and keeps the `size` memories with the largest
    total dissimilarity to the others. "released" does what the published code does: fill up to `size`, then swap one
    pair, if the newcomer is expected to be at most `margin` worse than the one it replaces.
    recall_count: memories read on a frame, drawn with softmax(cosine to the frame / temperature): "paper" draws
    distinct ones, "released" draws with replacement. seed: of the draw, which depends on nothing else but the frame
    and the bank; never on what else is in the batch.
    keep_prompted: prompted frames stay outside the sorting and are always recalled, at time 0. The published code
    treats them as any other.
    pointers: how far back object pointers look in a volume or video. A set recalls those of the prompted frames only.
    """

    rule: Literal["paper", "released"] = "paper"
    size: int = 16
    recall_count: int = 6
    threshold: float = 0.7
    margin: float = 0.1
    temperature: float = 1.0
    seed: int = 0
    keep_prompted: bool = True
    pointers: int = 16

    def __post_init__(self) -> None:
        if self.rule not in ("paper", "released"):
            raise ValueError(f"unknown rule {self.rule!r} of a self-sorting memory; use 'paper' or 'released'")

    def admit(self, bank: Bank, entry: Entry) -> Bank:
        """Offer `entry` to the sorted pool; its pointer is kept for a while either way."""
        sort = self._by_dissimilarity if self.rule == "paper" else self._by_pair_swap
        pool = sort(self._pool(bank), entry)
        recent = (*bank.recent, entry)[-max(self.pointers - 1, 1) :]
        if self.keep_prompted:
            return replace(bank, followed=pool, recent=recent)
        prompted = tuple(e for e in pool if e.prompted)
        return replace(bank, prompted=prompted, followed=tuple(e for e in pool if not e.prompted), recent=recent)

    def recall(self, bank: Bank, frame: int, step: int, features: Features) -> Recalled:
        """Prompted frames at time 0, then memories of frames like this one, without a place in time."""
        drawn = self._draw(self._pool(bank), frame, features)
        certain = bank.prompted if self.keep_prompted else ()
        memories = [*((entry, 0) for entry in certain), *((entry, None) for entry in drawn)]
        if step == 0:
            pointers = [(entry, 0) for entry in bank.prompted]
        else:
            recent = {entry.frame: entry for entry in bank.recent}
            pointers = past(bank.prompted, frame, step) + _behind(recent, frame, step, self.pointers - 1)
        return Recalled(tuple(memories), tuple(pointers), span(bank, self.pointers))

    def _pool(self, bank: Bank) -> tuple[Entry, ...]:
        return bank.followed if self.keep_prompted else bank.prompted + bank.followed

    def _by_dissimilarity(self, pool: tuple[Entry, ...], entry: Entry) -> tuple[Entry, ...]:
        """Top `size` of pool + entry by D_i, the sum over j != i of 1 - cos(key_i, key_j); the older wins a tie."""
        if not entry.iou > self.threshold:
            return pool
        candidates = (*pool, entry)
        if len(candidates) <= self.size:
            return candidates
        dissimilarity = (1 - cosines([c.key for c in candidates])).sum(1)
        kept = np.argsort(-dissimilarity, kind="stable")[: self.size]
        return tuple(candidates[i] for i in sorted(kept))

    def _by_pair_swap(self, pool: tuple[Entry, ...], entry: Entry) -> tuple[Entry, ...]:
        """Drop the nearest neighbour of the memory least like the newcomer, if the newcomer is farther from it."""
        if len(pool) < self.size:
            return (*pool, entry)
        similarity = cosines([e.key for e in (*pool, entry)])
        among, to_entry = similarity[:-1, :-1], similarity[-1, :-1]
        np.fill_diagonal(among, -np.inf)
        least_alike = int(to_entry.argmin())
        neighbour = int(among[least_alike].argmax())
        farther = to_entry[least_alike] < among[least_alike, neighbour]
        if not (farther and entry.iou > pool[neighbour].iou - self.margin):
            return pool
        return (*pool[:neighbour], *pool[neighbour + 1 :], entry)

    def _draw(self, pool: tuple[Entry, ...], frame: int, features: Features) -> list[Entry]:
        if not pool:
            return []
        if self.rule == "paper" and len(pool) <= self.recall_count:
            return list(pool)
        similarity = cosines([features.key, *(entry.image_key for entry in pool)])[0, 1:]
        weight = np.exp((similarity - similarity.max()) / self.temperature)
        probability = weight / weight.sum()
        random = np.random.default_rng([self.seed, frame, *(entry.frame for entry in pool)])
        if self.rule == "paper":
            # Gumbel's trick: the largest of log p + noise are a draw without replacement.
            noisy = np.log(np.maximum(probability, 1e-300)) + random.gumbel(size=len(pool))
            drawn = np.sort(np.argsort(-noisy)[: self.recall_count])
        else:
            drawn = np.searchsorted(probability.cumsum(), random.random(self.recall_count)).clip(max=len(pool) - 1)
        return [pool[i] for i in drawn]


# Which pictures of a set are recalled: those that the bank chooses, the last ones, or none but the marked ones.
OF_SETS: dict[str, MemoryPolicy] = {"self-sorting": SelfSorting(), "fifo": Fifo(), "none": SelfSorting(size=0)}


def nearest_prompted(prompted: tuple[Entry, ...], frame: int, count: int | None) -> tuple[Entry, ...]:
    """At most `count` entries: the nearest before `frame`, the nearest at or after it, then the nearest others."""
    if count is None or len(prompted) <= count:
        return prompted
    distance = sorted(prompted, key=lambda entry: abs(entry.frame - frame))
    before = [entry for entry in distance if entry.frame < frame][:1]
    after = [entry for entry in distance if entry.frame >= frame][:1]
    others = [entry for entry in distance if entry not in before + after]
    return tuple((before + after + others)[:count])


def past(prompted: Sequence[Entry], frame: int, step: int) -> list[tuple[Entry, int]]:
    """(entry, distance) of those at or behind `frame` on the walk: at inference SAM 2 takes no pointer from ahead."""
    distances = [(entry, (frame - entry.frame) * step) for entry in prompted]
    return [(entry, distance) for entry, distance in distances if distance >= 0]


def _behind(by_frame: dict[int, Entry], frame: int, step: int, reach: int) -> list[tuple[Entry, int]]:
    """(entry, distance) of those 1..reach steps behind `frame`, the nearest first."""
    distances = range(1, reach + 1)
    return [(by_frame[frame - step * d], d) for d in distances if frame - step * d in by_frame]


def span(bank: Bank, pointers: int) -> int:
    """The longest look back that is possible: SAM 2 measures a pointer's time in it."""
    return (pointers if bank.num_frames is None else min(bank.num_frames, pointers)) - 1


def cosines(keys: Sequence[np.ndarray]) -> np.ndarray:
    """(N, N) float64 cosine of every pair of N keys; a zero key is like nothing (0)."""
    stacked = np.stack([np.asarray(key, np.float64).ravel() for key in keys])
    lengths = np.linalg.norm(stacked, axis=1, keepdims=True)
    unit = stacked / np.where(lengths > 0, lengths, 1)
    return unit @ unit.T
