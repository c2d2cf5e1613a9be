"""One picture, two objects, marked in different ways. Pixels are (y, x); a picture's slice is 0."""

from pathlib import Path

from voxtrace import Box, ImageSession, Picture, Point, open_engine, read, write
from voxtrace.demo import example_scan

scan = read(example_scan(Path("out")))
picture = Picture(scan.array[12], spacing_mm=scan.spacing_mm[1:], modality="MR")

session = ImageSession(open_engine("voxtrace-small"), picture)
session.add(Box.on_slice(0, 2, 31, 91, 97), object="brain")
session.add([Point(0, 45, 64), Point(0, 20, 64, positive=False)], object="middle")
result = session.run()

write("out/picture.png", result.labels[0], like=picture, overwrite=True)
for name, values in result.confidence.items():
    print(f"{name}: {int(result.mask(name).sum())} pixels, confidence {values[0]:.2f}")
