"""Memory does not grow with the number of frames."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from voxtrace.io import nifti
from voxtrace.scratch import VARIABLE

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux to see a process's memory"),
]
MOST = 1.15  # times the memory of the fewer frames
SIDE, RADIUS = 256, 40


def disc(side=SIDE):
    """(H, W) int16: -60 around a disc of 100."""
    rows, columns = np.ogrid[:side, :side]
    inside = np.hypot(rows - side / 2, columns - side / 2) < RADIUS
    return np.where(inside, 100, -60).astype(np.int16)


def volume(path, frames, side=SIDE):
    header = nifti.nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((side, side, frames))
    header.set_sform(np.eye(4), 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    picture = disc(side)
    with path.open("wb") as file:
        file.write(header.binaryblock + bytes(4))
        for _ in range(frames):
            file.write(picture.data)
    return path


def packed_volume(path, frames):
    import gzip

    plain = volume(path.with_name("plain.nii"), frames)
    with plain.open("rb") as source, gzip.open(path, "wb", 1) as target:
        shutil.copyfileobj(source, target)
    plain.unlink()
    return path


def video(path, frames):
    import av

    pixels = np.repeat(np.where(disc() > 0, 220, 30).astype(np.uint8)[..., None], 3, 2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def measured(scan, out, folder, limit=None):
    """What a process of its own told of it. limit: bytes of memory of its own that the system grants it at most."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent / "src")])
    environment = {**os.environ, VARIABLE: str(scratch), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(here / "streaming_run.py"), str(scan), str(out)]

    def confine():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, preexec_fn=confine)
    assert not done.returncode, done.stderr
    assert not list(scratch.iterdir())
    return json.loads(done.stdout)


def compared(make, name, mask_name, few, many, folder):
    """(peak of few, peak of many), in MB; all frames were segmented."""
    peaks = []
    for frames in (few, many):
        scan = make(folder / f"{frames}{name}", frames)
        told = measured(scan, folder / f"mask{frames}{mask_name}", folder)
        assert told["frames"] == frames
        assert told["voxels"] == pytest.approx(np.pi * RADIUS**2 * frames, rel=0.03)
        peaks.append(told["peak_mb"])
        scan.unlink()
    return peaks


CASES = {
    "volume": (volume, ".nii", ".seg.nrrd"),
    "packed": (packed_volume, ".nii.gz", ".nii.gz"),
    "video": (video, ".mp4", ""),
}


@pytest.mark.parametrize("kind", CASES)
def test_four_times_the_frames_take_no_more_memory(kind, tmp_path):
    few, many = compared(*CASES[kind], 200, 800, tmp_path)
    assert many <= MOST * few, f"200 frames: {few:.0f} MB, 800 frames: {many:.0f} MB"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["volume", "video"])
def test_ten_thousand_frames_take_no_more_memory_than_five_hundred(kind, tmp_path):
    few, many = compared(*CASES[kind], 500, 10_000, tmp_path)
    print(f"{kind}: 500 frames {few:.0f} MB, 10,000 frames {many:.0f} MB, ratio {many / few:.3f}")
    assert many <= MOST * few, f"500 frames: {few:.0f} MB, 10,000 frames: {many:.0f} MB"


@pytest.mark.slow
def test_a_volume_of_five_gigabytes_is_segmented_within_one(tmp_path):
    if (free := shutil.disk_usage(tmp_path).free) < 12e9:
        pytest.skip(f"needs 12 GB of disk for the scan and its label map; {free / 1e9:.0f} GB are free")
    scan = volume(tmp_path / "large.nii", 1200, side=1448)
    assert scan.stat().st_size > 5e9
    told = measured(scan, tmp_path / "mask.nii.gz", tmp_path, limit=2**30)
    scan.unlink()
    print(f"a volume of 5 GB: {told['peak_mb']:.0f} MB")
    assert told["frames"] == 1200
    assert told["voxels"] == pytest.approx(np.pi * RADIUS**2 * 1200, rel=0.03)
    assert told["peak_mb"] < 1024, f"{told['peak_mb']:.0f} MB, files in use included"
