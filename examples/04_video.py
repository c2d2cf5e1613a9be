"""A video: marked on its first frame, followed to its end. Here a folder of frames; mp4 and avi are read as well."""

from pathlib import Path

import numpy as np
from PIL import Image

from voxtrace import Box, VideoSession, open_engine, read, write

frames = Path("out/frames")
frames.mkdir(parents=True, exist_ok=True)
y, x = np.mgrid[:120, :160]
for time in range(10):
    disc = (y - 60) ** 2 + (x - 40 - 6 * time) ** 2 < 18**2
    Image.fromarray(np.where(disc, 200, 60 + (x + y) % 40).astype(np.uint8)).save(frames / f"{time:03}.png")

video = read(frames)
session = VideoSession(open_engine("voxtrace-small"), video)
session.add(Box.on_slice(0, 42, 22, 78, 58), object="disc")
result = session.run()
write("out/disc", result.labels, like=video, overwrite=True)  # one label PNG a frame, same names

for time in (0, 4, 9):
    columns = np.nonzero(result.frame_mask("disc", time))[1]
    centre = columns.mean() if len(columns) else float("nan")
    print(f"frame {time}: {len(columns)} pixels, centre at x = {centre:.0f} (true: {40 + 6 * time})")
