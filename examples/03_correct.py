"""Look, correct, run again: a corrected slice changes its neighbours, a locked object never changes."""

from pathlib import Path

from voxtrace import Box, Point, VolumeSession, open_engine, read
from voxtrace.demo import example_scan

session = VolumeSession(open_engine("voxtrace-small"), read(example_scan(Path("out"))))
session.add(Box.on_slice(12, 2, 31, 91, 97), object="brain")
first = session.run().mask("brain")

session.correct(Point(18, 40, 64), object="brain")  # a click on slice 18, on the mask found there
second = session.run().mask("brain")
print("slices that the correction changed:", sorted({int(z) for z in (first != second).any((1, 2)).nonzero()[0]}))

session.undo()
print("undone:", bool((session.run().mask("brain") == first).all()))

session.lock("brain")
session.add(Box.on_slice(12, 30, 50, 60, 80), object="ventricles")
result = session.run()
print("the locked brain kept every voxel:", bool((result.mask("brain") == first).all()))
