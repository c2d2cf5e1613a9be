"""Distillation: a small net learns a large one's embedding, takes over its decoder, and both are tuned with masks.

    nets        teacher and student by name or file, what is noteworthy of the pair
    plan        a distillation as numbers (recipes/distil-*.toml)
    seeing      one window of a picture as either net wants it; the maps that it makes of it
    matching    the student's maps against the teacher's: projections and loss
    embeddings  the teacher's maps kept on disk
    inheriting  the teacher's decoder in the student
    stages      a stage's loop: resumable, told, averaged
    features, masks   what is lost in stage 1 and 2; stage 3, clips with memory, is train/loop.py
    whole       all stages, and the file that comes of them; described: its card

Sources: LiteMedSAM (distilled from MedSAM), the CVPR 2024 challenge's MedficientSAM, DAFT and Rep-MedSAM.
"""

from voxtrace.train.distilling.whole import Distilled, distil

__all__ = ["Distilled", "distil"]
