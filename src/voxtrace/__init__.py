"""Promptable segmentation of medical images, volumes and video: one prompt, the whole scan.

    from voxtrace import Box, VolumeSession, open_engine, read, write

    scan = read("scan.nii.gz")
    session = VolumeSession(open_engine("voxtrace-small"), scan)
    session.add(Box.on_slice(40, 100, 120, 160, 200), object="lesion")
    result = session.run()
    write("lesion.nii.gz", result.labels, like=scan)

Names are brought in when first used: `import voxtrace` costs nothing, and only `open_engine` imports torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxtrace.engines import open_engine as open_engine
    from voxtrace.errors import VoxtraceError as VoxtraceError
    from voxtrace.feature_cache import FeatureStore as FeatureStore
    from voxtrace.frames import ImageSet as ImageSet
    from voxtrace.io import read as read, read_mask as read_mask, write as write
    from voxtrace.memory import Fifo as Fifo, SelfSorting as SelfSorting
    from voxtrace.prompts import (
        Box as Box,
        MaskPrompt as MaskPrompt,
        Point as Point,
        Recist as Recist,
        Scribble as Scribble,
    )
    from voxtrace.result import Result as Result
    from voxtrace.sessions import (
        ImageSession as ImageSession,
        SetSession as SetSession,
        VideoSession as VideoSession,
        VolumeSession as VolumeSession,
    )
    from voxtrace.tracking import EndOfObject as EndOfObject
    from voxtrace.volume import Picture as Picture, Video as Video, Volume as Volume

__version__ = "0.1.0"

_HOME = {
    "Box": "voxtrace.prompts",
    "EndOfObject": "voxtrace.tracking",
    "FeatureStore": "voxtrace.feature_cache",
    "Fifo": "voxtrace.memory",
    "ImageSession": "voxtrace.sessions",
    "ImageSet": "voxtrace.frames",
    "MaskPrompt": "voxtrace.prompts",
    "Picture": "voxtrace.volume",
    "Point": "voxtrace.prompts",
    "Recist": "voxtrace.prompts",
    "Result": "voxtrace.result",
    "Scribble": "voxtrace.prompts",
    "SelfSorting": "voxtrace.memory",
    "SetSession": "voxtrace.sessions",
    "Video": "voxtrace.volume",
    "VideoSession": "voxtrace.sessions",
    "Volume": "voxtrace.volume",
    "VolumeSession": "voxtrace.sessions",
    "VoxtraceError": "voxtrace.errors",
    "open_engine": "voxtrace.engines",
    "read": "voxtrace.io",
    "read_mask": "voxtrace.io",
    "write": "voxtrace.io",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'voxtrace' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    return getattr(import_module(_HOME[name]), name)
