"""Endless labelled pictures, volumes and films of no organ at all: "segment what is prompted", whatever it looks like.

A case is drawn from its number alone, so a training that resumes sees what it would have seen.

    pool       cases by number; case: one picture, volume or film
    canvas     labels as they are drawn, one object over another
    solids     blobs, nested shells, crowds of alike things that touch, pieces of thresholded noise
    vessels    trees whose calibres follow Murray's law
    ribbons    rings, walls, folded bands, layers
    fields     smooth noise
    painting   tones and textures of labels and of the tissues around them
    blemishes  what scanners add: bias, speckle, Rician noise, streaks, vignettes
    films      things that move, bend, leave, return and pass before each other
    visibility which objects can be told from what is around them
"""

from voxtrace.train.cases import LabelledObject
from voxtrace.train.synth.case import synthetic_case, synthetic_film
from voxtrace.train.synth.fields import smooth_noise
from voxtrace.train.synth.pool import SynthPool

__all__ = ["LabelledObject", "SynthPool", "smooth_noise", "synthetic_case", "synthetic_film"]
