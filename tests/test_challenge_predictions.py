"""What submissions write is read without trust, and scored as the challenge scored it."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy_format

from challenge_kit import SHAPE, block
from voxtrace.bench.challenge.predictions import UnfitError, read_prediction
from voxtrace.bench.challenge.scoring import score_case
from voxtrace.eval.metrics import score


def npy_bytes(array: np.ndarray, **more: object) -> bytes:
    file = io.BytesIO()
    npy_format.write_array(file, array, **more)
    return file.getvalue()


def npz(path, content: bytes, name: str = "segs.npy", method: int = zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    return path


def status_of(path) -> str:
    with pytest.raises(UnfitError) as caught:
        read_prediction(path, SHAPE)
    return caught.value.status


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int16, np.int64, ">i4"])
def test_whole_numbers_of_any_size_are_labels(tmp_path, dtype):
    labels = block().astype(dtype)
    for order in "CF":
        np.savez_compressed(tmp_path / "a.npz", segs=np.asarray(labels, order=order))
        assert np.array_equal(read_prediction(tmp_path / "a.npz", SHAPE), labels)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_any_packing_is_read(tmp_path, method):
    path = npz(tmp_path / "a.npz", npy_bytes(block()), method=method)
    assert np.array_equal(read_prediction(path, SHAPE), block())


@pytest.mark.parametrize("dtype", [np.float32, complex, "U3", "datetime64[s]", [("label", "u1")]])
def test_what_is_no_whole_number_is_refused(tmp_path, dtype):
    np.savez(tmp_path / "a.npz", segs=np.zeros(SHAPE, dtype))
    assert status_of(tmp_path / "a.npz") == "wrong-dtype"


def test_another_shape_is_refused_before_it_is_unpacked(tmp_path):
    """A header that promises 8 TB, and a transposed mask."""
    header = io.BytesIO()
    npy_format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**43,)})
    assert status_of(npz(tmp_path / "a.npz", header.getvalue())) == "wrong-shape"
    np.savez(tmp_path / "b.npz", segs=block().T)
    assert status_of(tmp_path / "b.npz") == "wrong-shape"


def test_a_bomb_behind_a_small_header_is_not_unpacked(tmp_path):
    """The member unpacks to 40 MB; only what the header says is read."""
    path = npz(tmp_path / "a.npz", npy_bytes(block()) + bytes(40 << 20))
    assert path.stat().st_size < 1 << 16
    tracemalloc.start()
    try:
        assert status_of(path) == "unreadable"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_files_that_are_damaged_anywhere_are_unreadable_and_never_an_error(tmp_path):
    """Each byte of a good file is changed, and each beginning of it tried: it is refused, or its labels are right."""
    good = npz(tmp_path / "good.npz", npy_bytes(block())).read_bytes()
    path = tmp_path / "bad.npz"
    refused = 0
    for place in range(len(good)):
        for content in (good[:place], good[:place] + bytes([good[place] ^ 0x5A]) + good[place + 1 :]):
            path.write_bytes(content)
            try:
                assert np.array_equal(read_prediction(path, SHAPE), block())
            except UnfitError:
                refused += 1
    assert refused > 1.5 * len(good)


def test_nonsense_is_unreadable(tmp_path):
    assert status_of(npz(tmp_path / "a.npz", b"\x93NUMPY\x09\x00junk")) == "unreadable"
    assert status_of(npz(tmp_path / "b.npz", b"")) == "unreadable"
    assert status_of(npz(tmp_path / "c.npz", npy_bytes(block()), "other.npy")) == "unreadable"
    assert status_of(npz(tmp_path / "d.npz", npy_bytes(block())[:-5])) == "unreadable"
    (tmp_path / "e.npz").write_bytes(b"")
    assert status_of(tmp_path / "e.npz") == "unreadable"


def test_a_case_scores_the_mean_of_its_objects():
    truth = block()
    labels = truth.copy()
    labels[labels == 2] = 0
    labels[1] = np.roll(labels[1], 1, 1)
    spacing = (3.0, 1.0, 2.0)
    found = score_case(labels, truth, spacing)
    first = score(labels == 1, truth == 1, spacing, 2.0)
    assert found.dsc == pytest.approx(first.dsc / 2)
    assert found.nsd == pytest.approx(first.nsd / 2)


def test_spacing_counts_along_its_own_axis():
    """Shifted by one voxel along x: within 2 mm at 1 mm, beyond at 5 mm."""
    truth = np.zeros((6, 8, 10), np.uint8)
    truth[2:4, 2:6, 2:7] = 1
    shifted = np.roll(truth, 1, 2)
    assert score_case(shifted, truth, (5.0, 5.0, 1.0)).nsd == 1
    assert score_case(shifted, truth, (1.0, 1.0, 5.0)).nsd < 1


def test_nsd_is_0_where_dsc_is_not_above_a_fifth():
    truth, labels = np.zeros((1, 1, 20), np.uint8), np.zeros((1, 1, 20), np.uint8)
    truth[..., :10] = 1
    labels[..., 9:19] = 1
    assert score_case(labels, truth).dsc == pytest.approx(0.1)
    assert score_case(labels, truth).nsd == 0
    labels[..., 5:10] = 1
    assert score_case(labels, truth).nsd > 0


def test_labels_that_the_reference_skips_do_not_count_and_255_does():
    truth = np.zeros(SHAPE, np.uint8)
    truth[1:3, 1:3, 1:3], truth[2:4, 4:6, 4:8] = 3, 255
    labels = truth.copy()
    labels[0, 0, 0] = 7
    assert score_case(labels, truth) == score_case(truth, truth)
    assert score_case(truth, truth).dsc == 1


def test_an_empty_reference_asks_for_an_empty_mask():
    nothing = np.zeros(SHAPE, np.uint8)
    assert score_case(nothing, nothing).dsc == 1
    assert score_case(block(), nothing).nsd == 0
