"""Files in, files out: one format a module. `reading` and `writing` choose among them; `masks` reads labels.

    scan = read("scan.nii.gz")                                  Volume, Picture or Video
    mask = read_mask("mask.seg.nrrd", like=scan)                labels on the scan's voxels
    write("out.seg.nrrd", mask, like=scan, labels={1: "Tumour"})

`path#select` takes one of several things in a file or folder: a volume of a 4D file (bold.nii.gz#3), a series of a
DICOM folder (study#1.2.840...), a segment of a .seg.nrrd (seg.seg.nrrd#Tumour).
"""

from voxtrace.io.masks import read_labels, read_mask
from voxtrace.io.reading import read, read_volume
from voxtrace.io.writing import check_output, write

__all__ = ["check_output", "read", "read_labels", "read_mask", "read_volume", "write"]
