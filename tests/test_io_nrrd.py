"""3D Slicer's segmentations in NRRD, and NRRD in its less common forms."""

import nrrd
import numpy as np
import pytest

from phantoms import labels, phantom
from voxtrace.errors import InputError
from voxtrace.io import read_labels, read_mask, read_volume, write


def slicer_file(path, layers_xyz, segments, **header):
    """A .seg.nrrd as 3D Slicer writes it: (layers, x, y, z), segments as (name, layer, value)."""
    fields = {
        "space": "left-posterior-superior",
        "space origin": [0, 0, 0],
        "kinds": ["list", "domain", "domain", "domain"],
        "space directions": [[np.nan] * 3, [2, 0, 0], [0, 1, 0], [0, 0, 3]],
    }
    for index, (name, layer, value) in enumerate(segments):
        fields |= {f"Segment{index}_Name": name, f"Segment{index}_Layer": str(layer)}
        fields |= {f"Segment{index}_LabelValue": str(value), f"Segment{index}_ID": f"Segment_{index + 1}"}
    nrrd.write(str(path), layers_xyz, fields | header)
    return path


def test_a_segmentation_names_its_segments_as_slicer_reads_them(tmp_path):
    write(tmp_path / "m.seg.nrrd", labels(), like=phantom(), labels={1: "Tumour", 2: "Clip"})
    header = nrrd.read_header(str(tmp_path / "m.seg.nrrd"))
    assert [header[f"Segment{i}_Name"] for i in (0, 1)] == ["Tumour", "Clip"]
    assert [header[f"Segment{i}_LabelValue"] for i in (0, 1)] == ["1", "2"]
    assert header["Segment1_Extent"] == "6 6 4 5 3 4"
    assert header["Segmentation_MasterRepresentation"] == "Binary labelmap"


def test_names_come_back_in_the_numbers_of_the_mask(tmp_path):
    write(tmp_path / "m.seg.nrrd", labels(), like=phantom(), labels={1: "Tumour", 2: "Clip"})
    assert read_labels(tmp_path / "m.seg.nrrd") == {1: "Tumour", 2: "Clip"}


def test_an_unnamed_label_is_called_by_its_number(tmp_path):
    write(tmp_path / "m.seg.nrrd", labels() * 3, like=phantom(), labels={3: "Tumour"})
    assert read_labels(tmp_path / "m.seg.nrrd") == {3: "Tumour", 6: "object_6"}


def test_a_named_object_that_is_nowhere_is_kept_as_an_empty_segment(tmp_path):
    write(tmp_path / "m.seg.nrrd", labels() * 0, like=phantom(), labels={1: "Tumour"})
    assert read_labels(tmp_path / "m.seg.nrrd") == {1: "Tumour"}


@pytest.fixture
def layered(tmp_path):
    """Two layers, both with value 1, that overlap in one voxel unless the caller clears it."""
    layers = np.zeros((2, 7, 6, 5), np.uint8)
    layers[0, 1:3, 2, 2] = 1
    layers[1, 2:5, 2, 2] = 1
    return layers, [("A", 0, 1), ("B", 1, 1)], tmp_path / "s.seg.nrrd"


def test_segments_of_two_layers_are_numbered_in_their_order(layered):
    layers, segments, path = layered
    layers[1, 2, 2, 2] = 0
    mask = read_mask(slicer_file(path, layers, segments))
    assert mask[2, 2].tolist() == [0, 1, 1, 2, 2, 0, 0]
    assert read_labels(path) == {1: "A", 2: "B"}


def test_overlapping_segments_are_refused_with_the_way_to_take_one(layered):
    layers, segments, path = layered
    with pytest.raises(InputError, match=r"'B' shares 1 voxels with others.*s\.seg\.nrrd#B"):
        read_mask(slicer_file(path, layers, segments))


def test_one_segment_is_taken_by_its_name(layered):
    layers, segments, path = layered
    slicer_file(path, layers, segments)
    assert read_mask(f"{path}#B")[2, 2].tolist() == [0, 0, 2, 2, 2, 0, 0]


def test_an_unknown_segment_names_those_there_are(layered):
    layers, segments, path = layered
    slicer_file(path, layers, segments)
    with pytest.raises(InputError, match="no segment 'C'; its segments are A, B"):
        read_mask(f"{path}#C")


@pytest.mark.parametrize(
    ("space", "signs"),
    [("right-anterior-superior", (-1, -1, 1)), ("left-anterior-superior", (1, -1, 1)), ("LPS", (1, 1, 1))],
)
def test_every_anatomical_space_becomes_lps(tmp_path, space, signs):
    directions, origin = np.diag([2.0, 1.0, 3.0]), np.array([5.0, -7.0, 11.0])
    header = {"space": space, "space directions": directions, "space origin": origin}
    nrrd.write(str(tmp_path / "s.nrrd"), np.zeros((7, 6, 5), np.int16), header)
    affine = read_volume(tmp_path / "s.nrrd").affine_lps
    assert np.allclose(affine[:3, :3], np.diag(signs) @ directions)
    assert np.allclose(affine[:3, 3], signs * origin)


def test_an_nrrd_with_spacings_only_has_them_as_spacing(tmp_path):
    nrrd.write(str(tmp_path / "s.nrrd"), np.zeros((7, 6, 5), np.int16), {"spacings": [2.0, 1.0, 3.0]})
    assert read_volume(tmp_path / "s.nrrd").spacing_mm == (3.0, 1.0, 2.0)


def test_a_space_of_four_dimensions_is_refused(tmp_path):
    header = {"space": "scanner-xyz-time", "space directions": np.eye(4), "space origin": np.zeros(4)}
    nrrd.write(str(tmp_path / "s.nrrd"), np.zeros((7, 6, 5, 2), np.int16), header)
    with pytest.raises(InputError, match="4 axes in space; a scan has 3"):
        read_volume(tmp_path / "s.nrrd")


def test_a_fourth_axis_asks_which_volume(tmp_path):
    path = slicer_file(tmp_path / "s.nrrd", np.arange(2 * 7 * 6 * 5, dtype=np.int16).reshape(2, 7, 6, 5), [])
    with pytest.raises(InputError, match=r"holds 2 volumes, 0..1. Take one: s\.nrrd#0"):
        read_volume(path)
    assert read_volume(f"{path}#1").array[0, 0, 0] == 7 * 6 * 5
