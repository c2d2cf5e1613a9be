"""How many objects of a kind were found: instance F1 and panoptic quality (Kirillov et al. 2019).

Each instance is a label above 0; which label means nothing. A mask's and a reference's instance may be matched if their
intersection over union is at least the threshold (Kirillov: above 0.5). Matches are one to one; where several are
possible (only at 0.5 and below) as many as can be, and of these the ones with the largest sum of IoU.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from voxtrace.errors import InputError
from voxtrace.eval.comparable import comparable


@dataclass(frozen=True, slots=True)
class Match:
    """A found object: its label in the mask, its label in the reference, their intersection over union."""

    label: int
    truth_label: int
    iou: float


@dataclass(frozen=True, slots=True)
class InstanceScores:
    """tp, fp, fn count objects. f1: 2 tp / (2 tp + fp + fn); sq: mean IoU of matches, 0 without; pq: f1 x sq.

    No objects in either is 1 throughout; objects in just one are 0.
    """

    tp: int
    fp: int
    fn: int
    f1: float
    sq: float
    pq: float


def score_instances(mask: np.ndarray, truth: np.ndarray, iou_threshold: float = 0.5) -> InstanceScores:
    """F1 and PQ of two maps of instances of equal shape, (z, y, x) or (y, x); iou_threshold in (0, 1]."""
    matches = match_instances(mask, truth, iou_threshold)
    tp = len(matches)
    fp, fn = (int(np.count_nonzero(np.unique(labels))) - tp for labels in (mask, truth))
    if tp + fp + fn == 0:
        return InstanceScores(0, 0, 0, 1.0, 1.0, 1.0)
    f1 = 2 * tp / (2 * tp + fp + fn)
    sq = sum(match.iou for match in matches) / tp if tp else 0.0
    return InstanceScores(tp, fp, fn, f1, sq, f1 * sq)


def match_instances(mask: np.ndarray, truth: np.ndarray, iou_threshold: float = 0.5) -> list[Match]:
    """The matched pairs, in order of the mask's labels."""
    mask, truth = comparable(mask, truth)
    if not 0 < iou_threshold <= 1:
        raise InputError(f"an IoU threshold of {iou_threshold} matches all or nothing; give one above 0 and up to 1")
    pairs = [match for match in _overlapping(mask, truth) if match.iou >= iou_threshold]
    ours, theirs = Counter(m.label for m in pairs), Counter(m.truth_label for m in pairs)
    rivals = [m for m in pairs if ours[m.label] > 1 or theirs[m.truth_label] > 1]
    settled = [m for m in pairs if ours[m.label] == theirs[m.truth_label] == 1]
    return sorted(settled + _best_assignment(rivals), key=lambda match: match.label)


def _overlapping(mask: np.ndarray, truth: np.ndarray) -> list[Match]:
    """Every pair of instances that share a voxel."""
    labels, sizes = np.unique(mask[mask > 0], return_counts=True)
    truth_labels, truth_sizes = np.unique(truth[truth > 0], return_counts=True)
    both = (mask > 0) & (truth > 0)
    row, column = np.searchsorted(labels, mask[both]), np.searchsorted(truth_labels, truth[both])
    pairs, shared = np.unique(row * len(truth_labels) + column, return_counts=True)
    rows, columns = np.divmod(pairs, max(1, len(truth_labels)))
    ious = shared / (sizes[rows] + truth_sizes[columns] - shared)
    return [
        Match(*row) for row in zip(labels[rows].tolist(), truth_labels[columns].tolist(), ious.tolist(), strict=True)
    ]


def _best_assignment(pairs: list[Match]) -> list[Match]:
    """As many as can be one to one; of the choices that are equal in number the one with the largest sum of IoU."""
    labels, row = np.unique([m.label for m in pairs], return_inverse=True)
    truth_labels, column = np.unique([m.truth_label for m in pairs], return_inverse=True)
    number = np.full((len(labels), len(truth_labels)), -1)
    number[row, column] = np.arange(len(pairs))
    # The IoUs of all matches together weigh less than one match more.
    share = np.array([m.iou for m in pairs]) / (len(pairs) + 1)
    weight = np.zeros(number.shape)
    weight[row, column] = 1 + share
    chosen = number[linear_sum_assignment(weight, maximize=True)]
    return [pairs[i] for i in chosen if i >= 0]
