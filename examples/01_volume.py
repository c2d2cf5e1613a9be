"""A real scan and one box: from file to mask. The scan is the head MR that comes with nibabel."""

from pathlib import Path

from voxtrace import Box, VolumeSession, open_engine, read, write
from voxtrace.demo import example_scan

scan = read(example_scan(Path("out")))
session = VolumeSession(open_engine("voxtrace-small"), scan)
session.add(Box.on_slice(12, 2, 31, 91, 97), object="brain")  # slice 12; rows 2..90, columns 31..96
result = session.run()
write("out/brain.nii.gz", result.labels, like=scan, labels={1: "brain"}, overwrite=True)

voxels = int(result.mask("brain").sum())
z_mm, y_mm, x_mm = scan.spacing_mm
print(f"brain: {voxels} voxels, {voxels * z_mm * y_mm * x_mm / 1000:.0f} ml")
for stop in result.stops["brain"]:
    print(stop)
