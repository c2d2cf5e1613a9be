"""Pictures to judge a result by: the prompted frame large, frames through the object small, masks as thin outlines.

Slices are shown as a radiologist holds them (front up, the patient's right on the left; head up on coronal and
sagittal ones) and with square millimetres, whatever the file's own order and spacing; numbers are the file's own.
"""

from voxtrace.preview.frame import colour_of, overlay
from voxtrace.preview.scene import Scene
from voxtrace.preview.sheet import contact_sheet, gallery, save_picture, side_by_side
from voxtrace.preview.view import View, view_of

__all__ = [
    "Scene",
    "View",
    "colour_of",
    "contact_sheet",
    "gallery",
    "overlay",
    "save_picture",
    "side_by_side",
    "view_of",
]
