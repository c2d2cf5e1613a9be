"""Frames as a net encoded them, kept so that nothing is encoded twice.

encoded    FeatureCache: in memory, for all objects, directions and corrections of a session
ahead      the next frame, encoded in another thread while this one is followed
store      FeatureStore: on disk, for later sessions and other processes
entry      one frame's arrays as bytes, checked       room    how much is held, and what is removed first
"""

from voxtrace.feature_cache.encoded import FeatureCache
from voxtrace.feature_cache.store import FeatureStore

__all__ = ["FeatureCache", "FeatureStore"]
