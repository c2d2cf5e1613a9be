"""A volume of two blocks of one grey each, and a session on it with the engine that follows grey values."""

import numpy as np

from fake_engine import FakeEngine
from voxtrace.prompts import Box
from voxtrace.sessions import VolumeSession
from voxtrace.volume import Volume

SHAPE = (9, 20, 24)
A, B = np.s_[1:8, 6:12, 3:8], np.s_[0:9, 8:14, 14:19]  # two blocks, of grey 100 and 180


def scan(axis=0):
    """Two blocks in a volume whose axis 0 was moved to `axis`; uint8, so that it is shown as it is."""
    array = np.zeros(SHAPE, np.uint8)
    array[A], array[B] = 100, 180
    return Volume(np.ascontiguousarray(np.moveaxis(array, 0, axis)), np.diag([2.0, 1.0, 3.0, 1.0]))


def block(where, axis=0):
    mask = np.zeros(SHAPE, bool)
    mask[where] = True
    return np.moveaxis(mask, 0, axis)


BOX_A, BOX_B = Box.on_slice(4, 6, 3, 12, 8), Box.on_slice(5, 8, 14, 14, 19)


def session(engine=None, volume=None, **options):
    return VolumeSession(engine or FakeEngine(), volume or scan(), **options)
