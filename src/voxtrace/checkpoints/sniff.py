"""Which net a file's tensors belong to, told from names and shapes alone (official names). Needs no torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from voxtrace.errors import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]

# Hiera: (channels of the first stage, blocks) -> size
HIERA = {(96, 12): "tiny", (96, 16): "small", (112, 24): "base_plus", (144, 48): "large"}
EFFICIENTTAM = {384: "efficienttam_s", 192: "efficienttam_ti"}  # by the width of ViTDet's position table
SAM1_WIDTHS = {768: "medsam", 1024: "SAM ViT-L", 1280: "SAM ViT-H"}  # by the width of its position table
HIERA_BLOCK = r"image_encoder\.trunk\.blocks\.(\d+)\."
ONLY_2_1 = "obj_ptr_tpos_proj.weight"


def sniff(shapes: Shapes, file: str) -> str:
    """The name of the net's config. Raises CheckpointError, with what the file looks like, for any other net.

    MedSAM2 has SAM 2.1 tiny's names and shapes, fine-tuned nets those of their origin: what differs is the image size,
    which tensors do not tell (see voxtrace.checkpoints.locate).
    """
    for recognise in (_edgetam, _efficienttam, _hiera, _small, _litemedsam, _sam1):
        if found := recognise(shapes):
            return found
    raise CheckpointError(f"{file} holds no net that voxtrace knows: {_looks(shapes)}")


def _edgetam(shapes: Shapes) -> str | None:
    return "edgetam" if "spatial_perceiver.latents" in shapes else None


def _efficienttam(shapes: Shapes) -> str | None:
    table = shapes.get("image_encoder.trunk.pos_embed", ())
    return EFFICIENTTAM.get(table[2]) if len(table) == 3 else None


def _hiera(shapes: Shapes) -> str | None:
    if "image_encoder.trunk.pos_embed_window" not in shapes:
        return None
    channels = shapes["image_encoder.trunk.pos_embed_window"][1]
    size = HIERA.get((channels, _count(shapes, HIERA_BLOCK)))
    version = "sam2.1" if ONLY_2_1 in shapes else "sam2"
    return f"{version}_hiera_{size}" if size else None


def _small(shapes: Shapes) -> str | None:
    return "voxtrace-small" if "image_encoder.trunk.stages.0.0.conv1.weight" in shapes else None


def _litemedsam(shapes: Shapes) -> str | None:
    return "litemedsam" if "image_encoder.patch_embed.seq.0.c.weight" in shapes else None


def _sam1(shapes: Shapes) -> str | None:
    table = shapes.get("image_encoder.pos_embed", ())
    found = SAM1_WIDTHS.get(table[3]) if len(table) == 4 else None
    return found if found == "medsam" else None


def _count(shapes: Shapes, pattern: str) -> int:
    found = (re.match(pattern, name) for name in shapes)
    return len({match[1] for match in found if match})


def _looks(shapes: Shapes) -> str:
    """A word on what else it may be, else its most frequent first names."""
    table = shapes.get("image_encoder.pos_embed", ())
    if len(table) == 4 and table[3] in SAM1_WIDTHS:
        return f"it looks like {SAM1_WIDTHS[table[3]]}, of which only ViT-B (MedSAM) is supported"
    if "image_encoder.trunk.pos_embed_window" in shapes:
        return f"a Hiera of {_count(shapes, HIERA_BLOCK)} blocks, which no SAM 2 has"
    if not shapes:
        return "there is no tensor in it"
    heads = Counter(name.split(".")[0] for name in shapes).most_common(4)
    return f"{len(shapes)} tensors, " + ", ".join(f"{head} ({count})" for head, count in heads)
