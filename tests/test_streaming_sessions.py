"""Sessions that keep nothing in memory: the same results, corrections, undo and locks, and nothing left behind."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from blocks import BOX_A, BOX_B, A, block, scan, session
from fake_engine import FakeEngine
from voxtrace import scratch
from voxtrace.errors import OutputError
from voxtrace.frames import ImageSet
from voxtrace.io import read, read_mask, write
from voxtrace.mapped import is_mapped
from voxtrace.prompts import Box, MaskPrompt, Point, Scribble, on_frames
from voxtrace.scratch import Spill, zeros
from voxtrace.sessions import SetSession, VideoSession, VolumeSession
from voxtrace.volume import Video

FILES = Path("/proc/self/fd")
BUDGETS = {"IN_MEMORY": 16, "FEW": 64}  # bytes


@pytest.fixture
def nothing_in_memory(monkeypatch):
    for name, nbytes in BUDGETS.items():
        monkeypatch.setattr(scratch, name, nbytes)
    monkeypatch.setattr("voxtrace.mapped.SLAB", 1000)


def told(result):
    """All that a result says, as values that can be compared."""
    tracks = {
        label: {
            "patches": {f: (p.shape, p.y, p.x, p.logits.tolist()) for f, p in track.patches.items()},
            "confidence": dict(track.confidence),
            "views": dict(track.views),
            "stops": track.stops,
            "prompted": track.prompted,
        }
        for label, track in result.tracks.items()
    }
    masks = {label: [result.frame_mask(label, f).tolist() for f in range(len(result.frames))] for label in result.names}
    return {
        "frames": [frame.tolist() for frame in result.frames],
        "dtype": result.frames[0].dtype,
        "names": dict(result.names),
        "tracks": tracks,
        "masks": masks,
        "confidence": {name: values.tobytes() for name, values in result.confidence.items()},
    }


def edited(work):
    """A long sitting: what every run said."""
    work.add(BOX_A, "a").add(BOX_B, "b")
    results = [work.run()]
    work.correct(Point(5, 9, 4, positive=False), "a")
    results.append(work.run())
    work.lock("a").add(Box.on_slice(4, 5, 2, 13, 9), "over a")
    results.append(work.run())
    work.undo()
    results.append(work.run())
    work.undo()
    work.undo()
    results.append(work.run())
    work.redo()
    results.append(work.run())
    return [told(result) for result in results]


def opened(kind, volume, **options):
    if kind == "video":
        frames = np.repeat(volume.array[..., None], 3, 3)
        return VideoSession(FakeEngine(), Video(frames, volume.shape), **options)
    return VolumeSession(FakeEngine(), volume, **options)


@pytest.mark.parametrize("zoom", [None, 2.0])
@pytest.mark.parametrize("overlap", ["settle", "keep"])
@pytest.mark.parametrize("kind", ["volume", "video"])
def test_a_sitting_on_disk_says_what_a_sitting_in_memory_says(kind, overlap, zoom, request):
    expected = edited(opened(kind, scan(), overlap=overlap, zoom=zoom))
    request.getfixturevalue("nothing_in_memory")
    assert edited(opened(kind, scan(), overlap=overlap, zoom=zoom)) == expected
    assert expected[0] != expected[1] != expected[2]
    assert expected[4] == expected[0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_scan_walked_from_file_to_file_gives_the_same_mask_along_every_axis(axis, tmp_path, request):
    volume = scan(axis)
    path = write(tmp_path / "scan.nii", volume.array.astype(np.uint16), like=volume)
    start, stop = (np.insert(np.delete(c, 0), axis, c[0]) for c in np.array([[4, 6, 3], [5, 12, 8]]))

    def mask(name):
        source = read(path)
        result = session(volume=source, axis=axis).add(Box(*start, *stop)).run()
        write(tmp_path / name, result.labels, like=source)
        return source, result, read_mask(tmp_path / name, like=source)

    _, before, expected = mask("small.nii.gz")
    request.getfixturevalue("nothing_in_memory")
    source, after, found = mask("large.nii.gz")
    assert is_mapped(source.array)
    assert is_mapped(after.labels)
    assert is_mapped(after.mask(1))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found, block(A, axis))
    np.testing.assert_array_equal(after.as_volume().array, before.as_volume().array)
    np.testing.assert_array_equal(after.mask(1), before.mask(1))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_masks_and_scribbles_are_found_part_by_part_where_they_are(axis, request):
    mask = block(A) * np.uint8(3)
    expected, _ = on_frames([MaskPrompt(mask)], mask.shape, axis)
    request.getfixturevalue("nothing_in_memory")
    found, _ = on_frames([MaskPrompt(mask)], mask.shape, axis)
    assert list(found) == list(expected) == list(range(A[axis].start, A[axis].stop))
    for frame, prompt in found.items():
        np.testing.assert_array_equal(prompt.mask, np.take(mask, frame, axis) > 0)
        assert prompt.mask.dtype == bool
    np.testing.assert_array_equal(Scribble.from_mask(mask).voxels_zyx, np.argwhere(mask))


def test_a_set_of_pictures_of_many_sizes_lies_in_one_file(tmp_path, request):
    from PIL import Image

    for number, size in enumerate([(30, 20), (25, 40), (33, 33)]):
        picture = np.zeros(size, np.uint8)
        picture[5:15, 4 : 10 + number] = 100
        Image.fromarray(picture).save(tmp_path / f"{number}.png")

    def run():
        work = SetSession(FakeEngine(), ImageSet.of_folder(tmp_path))
        return work.add(Box.on_slice(0, 4, 3, 16, 11)).run()

    expected = told(run())
    request.getfixturevalue("nothing_in_memory")
    before = _open_files()
    result = run()
    assert _open_files() - before <= 2  # label maps, patches
    assert told(result) == expected


@pytest.mark.usefixtures("nothing_in_memory")
def test_the_label_map_of_a_result_may_be_written_to():
    result = session().add(BOX_A).run()
    result.labels[0] = 7
    assert (result.mask(1) == block(A)).all()
    assert (result.frames[0] == 7).all()


@pytest.mark.usefixtures("nothing_in_memory")
def test_what_is_forgotten_gives_its_files_back():
    before = _open_files()
    work = session().add(BOX_A)
    work.run()
    for _ in range(5):
        work.correct(Point(5, 9, 4, positive=False))
        work.run()
    assert _open_files() > before
    del work
    assert _open_files() == before


@pytest.mark.usefixtures("nothing_in_memory")
def test_an_earlier_result_stays_when_the_session_goes_on():
    work = session().add(BOX_A)
    first = work.run()
    expected = told(first)
    work.correct(Point(5, 9, 4, positive=False)).run()
    del work
    assert told(first) == expected


def test_a_track_can_be_sent_to_another_process():
    import pickle

    track = session().add(BOX_A).run().tracks[1]
    confidence, patches, views = pickle.loads(pickle.dumps((track.confidence, track.patches, track.views)))
    assert confidence == track.confidence
    assert views == track.views
    np.testing.assert_array_equal(patches[4].logits, track.patches[4].logits)


def test_a_spill_gives_back_what_was_put_down_before_and_after_it_took_a_file(monkeypatch):
    monkeypatch.setattr(scratch, "FEW", 200)
    arrays = [np.full((n, 3), n, np.float32) for n in range(12)]
    spill = Spill()
    places = [spill.put(array) for array in arrays]
    for place, array in zip(reversed(places), reversed(arrays), strict=True):
        np.testing.assert_array_equal(spill.get(place, array.shape, np.float32), array)


# Where it goes, and what may go wrong there


@pytest.mark.usefixtures("nothing_in_memory")
def test_a_scratch_folder_that_is_not_there_is_told_and_no_mark_is_lost(monkeypatch, tmp_path):
    work = session().add(BOX_A)
    monkeypatch.setenv(scratch.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(OutputError, match=r"scratch folder .*none cannot be used: No such file.*Set VOXTRACE_SCRATCH"):
        work.run()
    monkeypatch.setenv(scratch.VARIABLE, str(tmp_path))
    assert (work.run().mask(1) == block(A)).all()


@pytest.mark.usefixtures("nothing_in_memory")
def test_scratch_files_go_to_the_folder_that_was_chosen_and_have_no_name(monkeypatch, tmp_path):
    monkeypatch.setenv(scratch.VARIABLE, str(tmp_path))
    array = zeros((100, 100), np.uint8)
    assert is_mapped(array)
    assert not list(tmp_path.iterdir())
    if FILES.is_dir():
        targets = [os.readlink(file) for file in FILES.iterdir() if file.is_symlink()]
        assert any(target.startswith(str(tmp_path)) for target in targets)


def test_without_any_folder_results_stay_in_memory_and_it_is_said(monkeypatch, request):
    expected = told(session().add(BOX_A).run())
    request.getfixturevalue("nothing_in_memory")

    def none():
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.delenv(scratch.VARIABLE, raising=False)
    monkeypatch.setattr("tempfile.gettempdir", none)
    with pytest.warns(UserWarning, match="no folder for temporary files may be written; set VOXTRACE_SCRATCH to one"):
        assert told(session().add(BOX_A).run()) == expected


@pytest.mark.parametrize("spare", [True, False])
def test_a_temporary_folder_that_is_memory_itself_is_not_used(spare, monkeypatch, tmp_path):
    memory, disk, mounts = tmp_path / "memory", tmp_path / "disk", tmp_path / "mounts"
    memory.mkdir()
    disk.mkdir()
    mounts.write_text(f"root / ext4 rw 0 0\nmemory {memory} tmpfs rw 0 0\n")
    monkeypatch.delenv(scratch.VARIABLE, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(memory))
    monkeypatch.setattr(scratch, "MOUNTS", mounts)
    monkeypatch.setattr(scratch, "ON_DISK", disk if spare else memory)
    if spare:
        assert scratch.folder() == disk
        return
    with pytest.warns(UserWarning, match="/memory, lies in memory itself; set VOXTRACE_SCRATCH to another; more"):
        assert not is_mapped(zeros((5000, 5000), np.uint8))


@pytest.fixture
def small_files():
    """Call it, and the system refuses files of more bytes, as a full disk does."""
    resource = pytest.importorskip("resource", reason="limits of file size are a POSIX matter")
    old_action, old_limit = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda nbytes: resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, old_limit[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
    signal.signal(signal.SIGXFSZ, old_action)


@pytest.mark.usefixtures("nothing_in_memory")
def test_no_room_for_an_array_is_told_with_the_folder_the_room_and_the_way_out(small_files, monkeypatch, tmp_path):
    monkeypatch.setenv(scratch.VARIABLE, str(tmp_path))
    small_files(20_000)
    with pytest.raises(OutputError) as told_:
        zeros((3, 2**20), np.uint8)
    text = str(told_.value)
    assert text.startswith(f"the scratch folder {tmp_path} is full: 3.0 MiB more are needed, ")
    assert " MiB are free. Set VOXTRACE_SCRATCH to a folder with room" in text


@pytest.mark.usefixtures("nothing_in_memory")
def test_a_spill_on_a_full_disk_keeps_what_it_has(small_files):
    spill, kept = Spill(), np.arange(4000, dtype=np.float32)
    place = spill.put(kept)
    small_files(20_000)
    with pytest.raises(OutputError, match=r"is full: 0\.0 MiB more are needed"):
        spill.put(kept)
    np.testing.assert_array_equal(spill.get(place, kept.shape, np.float32), kept)


@pytest.mark.usefixtures("nothing_in_memory")
def test_a_run_on_a_full_disk_loses_neither_the_last_result_nor_the_marks(small_files):
    work = session().add(BOX_A)
    result = work.run()
    expected = told(result)
    work.add(BOX_B, "b")
    small_files(1000)
    followed = []
    with pytest.raises(OutputError, match="is full"):
        work.run(lambda done, total: followed.append(done))
    assert not followed  # it is told before the work
    assert work.result is result
    assert told(result) == expected
    assert [o.name for o in work.objects] == ["object 1", "b"]


KILLED = """
import os, signal, sys
import numpy as np
from voxtrace import scratch
scratch.IN_MEMORY = scratch.FEW = 16
array, spill = scratch.zeros((1000, 1000), np.uint8), scratch.Spill()
spill.put(np.ones(1000))
array[:] = 1
print(sum(os.readlink(f"/proc/self/fd/{fd}").startswith(sys.argv[1]) for fd in os.listdir("/proc/self/fd")
          if os.path.islink(f"/proc/self/fd/{fd}")), flush=True)
signal.pause()
"""


@pytest.mark.real
@pytest.mark.skipif(not FILES.is_dir(), reason="needs Linux to see open files")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_behind_however_a_process_ends(how, tmp_path):
    environment = {**os.environ, scratch.VARIABLE: str(tmp_path)}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as child:
        assert child.stdout.readline() == b"2\n"  # both files are open, without a name
        assert not list(tmp_path.iterdir())
        child.send_signal(how)
        assert child.wait() != 0
    assert not list(tmp_path.iterdir())


def _open_files():
    gc.collect()
    return len(list(FILES.iterdir())) if FILES.is_dir() else 0
