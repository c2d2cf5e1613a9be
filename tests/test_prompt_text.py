"""Prompts as flags and as JSON files."""

import json
import math

import numpy as np
import pytest

from voxtrace.errors import PromptError
from voxtrace.prompt_text import (
    ObjectPrompts,
    parse_box,
    parse_box3d,
    parse_point,
    parse_recist,
    prompts_from_json,
    prompts_to_json,
    read_prompts,
)
from voxtrace.prompts import Box, MaskPrompt, Point, Recist, Scribble
from voxtrace.volume import Volume


def test_box_flag_is_one_slice_thick():
    assert parse_box("12:40,52,80,97") == Box(12, 40, 52, 13, 80, 97)


@pytest.mark.parametrize(("axis", "expected"), [(1, Box(40, 12, 52, 80, 13, 97)), (2, Box(40, 52, 12, 80, 97, 13))])
def test_box_flag_on_another_axis_names_that_axis_first(axis, expected):
    assert parse_box("12:40,52,80,97", axis=axis) == expected


def test_flat_forms_leave_the_slice_out():
    assert parse_box("1,2,3,4.5", flat=True) == Box(0, 1, 2, 1, 3, 4.5)
    assert parse_point("1,2:-", flat=True) == Point(0, 1, 2, positive=False)
    assert parse_recist("1,2,3,4", flat=True) == Recist(0, 1, 2, 3, 4)


def test_points_are_positive_unless_marked():
    assert parse_point("3, 4, 5") == Point(3, 4, 5, positive=True)
    assert parse_point("3,4,5:+") == Point(3, 4, 5, positive=True)
    assert parse_point("3,4,5:-") == Point(3, 4, 5, positive=False)


def test_box3d_and_recist_flags():
    assert parse_box3d("1,2,3,4,5,6") == Box(1, 2, 3, 4, 5, 6)
    assert parse_recist("7:1,2,3,4") == Recist(7, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (parse_box, "40,52,80,97", "slice is missing; write Z:Y0,X0,Y1,X1"),
        (parse_box, "12:40,52,80", "expected 4 numbers, got 3"),
        (parse_box, "12:40,52,80,x", "'x' is not a number"),
        (parse_box, "12:40,52,nan,97", "nan is not a finite number"),
        (parse_box, "1.5:40,52,80,97", "not a whole number"),
        (parse_box, "12:80,52,40,97", "inverted in its y axis (80 to 40)"),
        (parse_box, "12:40,52,80,52", "zero size in its x axis"),
        (parse_box3d, "1,2,3,1,5,6", "zero size in its z axis"),
        (parse_box3d, "1:2,3,4,5,6", "expected 6 numbers"),
        (parse_point, "1,2", "expected 3 numbers, got 2"),
        (parse_point, "1,2,3:n", "after the colon comes - (not the object) or +"),
        (parse_recist, "", "the slice is missing"),
    ],
)
def test_malformed_flags_name_the_text_and_the_form(parse, text, said):
    with pytest.raises(PromptError) as error:
        parse(text)
    assert said in str(error.value)
    assert text in str(error.value)


def test_a_slice_given_for_a_picture_is_explained():
    with pytest.raises(PromptError, match="leave '3:' out"):
        parse_box("3:1,2,3,4", flat=True)
    with pytest.raises(PromptError, match="picture has no z"):
        parse_box3d("1,2,3,4,5,6", flat=True)


ALL_KINDS = {
    "objects": [
        {
            "name": "liver",
            "prompts": [
                {"kind": "box", "z": 2, "y0": 1, "x0": 2, "y1": 4, "x1": 6.5},
                {"kind": "box3d", "z0": 0, "y0": 1, "x0": 2, "z1": 4, "y1": 5, "x1": 6},
                {"kind": "point", "z": 3, "y": 2, "x": 1, "positive": False},
            ],
        },
        {
            "prompts": [
                {"kind": "scribble", "voxels": [[1, 2, 3], [1, 2, 4]], "positive": True},
                {"kind": "mask", "shape": [2, 3, 4], "runs": [[3, 2], [23, 1]]},
                {"kind": "recist", "z": 1, "y0": 2, "x0": 3, "y1": 4, "x1": 5},
            ]
        },
    ]
}


def test_json_of_every_kind_comes_back_as_it_was():
    assert prompts_to_json(prompts_from_json(ALL_KINDS)) == ALL_KINDS
    assert json.loads(json.dumps(prompts_to_json(prompts_from_json(ALL_KINDS)))) == ALL_KINDS


def test_objects_keep_their_order_names_and_marks():
    first, second = prompts_from_json(ALL_KINDS)
    assert (first.name, second.name) == ("liver", None)
    assert first.prompts == (Box(2, 1, 2, 3, 4, 6.5), Box(0, 1, 2, 4, 5, 6), Point(3, 2, 1, False))
    mask = second.prompts[1].mask
    assert mask.shape == (2, 3, 4)
    assert np.flatnonzero(mask).tolist() == [3, 4, 23]


def test_mask_round_trips_from_an_array():
    mask = np.random.default_rng(0).random((5, 6, 7)) > 0.6
    (back,) = prompts_from_json(prompts_to_json([ObjectPrompts((MaskPrompt(mask),))]))
    assert np.array_equal(back.prompts[0].mask, mask)


def one(prompt: dict) -> dict:
    return {"objects": [{"prompts": [prompt]}]}


def scan() -> Volume:
    """Spacing (z, y, x) = (3, 1, 2) mm, origin (10, 20, 30), x to the patient's right."""
    affine = np.diag([-2.0, 1.0, 3.0, 1.0])
    affine[:3, 3] = 10, 20, 30
    return Volume(np.zeros((5, 6, 7)), affine)


def test_millimetres_become_voxels():
    volume = scan()
    x, y, z = volume.to_mm(np.array([3, 4, 5])).tolist()
    (found,) = prompts_from_json(one({"kind": "point", "point_mm": [x, y, z]}), to_voxel=volume.to_voxel)
    assert found.prompts == (Point(3, 4, 5),)


def test_a_box_in_millimetres_spans_both_corner_voxels_whatever_their_order():
    volume = scan()
    corners = [volume.to_mm(np.array(corner)).tolist() for corner in ([3, 1, 5], [1, 4, 2])]
    (found,) = prompts_from_json(one({"kind": "box3d", "box_mm": corners}), to_voxel=volume.to_voxel)
    assert found.prompts == (Box(1, 1, 2, 4, 5, 6),)


def test_a_recist_line_in_millimetres_must_lie_on_one_slice():
    volume = scan()
    same = [volume.to_mm(np.array(end)).tolist() for end in ([3, 1, 5], [3, 4, 2])]
    (found,) = prompts_from_json(one({"kind": "recist", "line_mm": same}), to_voxel=volume.to_voxel)
    assert found.prompts == (Recist(3, 1, 5, 4, 2),)
    slanted = [same[0], volume.to_mm(np.array([1, 4, 2])).tolist()]
    with pytest.raises(PromptError, match="lies on one slice"):
        prompts_from_json(one({"kind": "recist", "line_mm": slanted}), to_voxel=volume.to_voxel)


def test_files_are_read_beside_the_prompts_file(tmp_path):
    (tmp_path / "m.nii").write_text("x")
    asked = []

    def read_mask(path):
        asked.append(path)
        return np.ones((1, 2, 3))

    (tmp_path / "p.json").write_text(json.dumps(one({"kind": "scribble", "file": "m.nii"})))
    (found,) = read_prompts(tmp_path / "p.json", read_mask)
    assert asked == [tmp_path / "m.nii"]
    assert isinstance(found.prompts[0], Scribble)
    assert len(found.prompts[0].voxels_zyx) == 6


def test_flat_prompts_may_leave_z_out():
    data = {
        "objects": [{"prompts": [{"kind": "point", "y": 2, "x": 1}, {"kind": "scribble", "voxels": [[5, 6], [7, 8]]}]}]
    }
    (found,) = prompts_from_json(data, flat=True)
    assert found.prompts[0] == Point(0, 2, 1)
    assert found.prompts[1].voxels_zyx.tolist() == [[0, 5, 6], [0, 7, 8]]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "the file needs a list 'objects'"),
        ({"objects": []}, "objects is empty"),
        ({"objects": [{"prompts": []}]}, "objects[0].prompts is empty"),
        ({"objects": [{"name": "a"}]}, "objects[0] needs a list 'prompts'"),
        ({"objects": [{"name": 3, "prompts": [{}]}]}, "objects[0].name is 3"),
        ({"objects": [{"nmae": "a", "prompts": [{}]}]}, "objects[0] has the unknown key 'nmae'"),
        (one({"kind": "circle"}), "objects[0].prompts[0].kind is 'circle'; one of box, box3d"),
        (one({"kind": "point", "z": 1, "y": 2}), "objects[0].prompts[0] needs 'x'"),
        (one({"kind": "point", "z": 1, "y": "2", "x": 3}), "objects[0].prompts[0].y is '2'; write a number"),
        (one({"kind": "point", "z": 1, "y": math.inf, "x": 3}), "prompts[0].y is inf"),
        (one({"kind": "point", "z": 1, "y": 2, "x": 3, "positive": 1}), "positive is 1; write true or false"),
        (one({"kind": "point", "z": 1, "y": 2, "x": 3, "label": 1}), "unknown key 'label'"),
        (one({"kind": "box", "z": 1, "y0": 5, "x0": 1, "y1": 5, "x1": 3}), "zero size in its y axis"),
        (one({"kind": "box", "z": 1.5, "y0": 5, "x0": 1, "y1": 6, "x1": 3}), "a slice is a whole number"),
        (one({"kind": "point", "point_mm": [1, 2]}), "write [x, y, z] in LPS mm"),
        (one({"kind": "point", "point_mm": [1, 2, 3]}), "no millimetre geometry"),
        (one({"kind": "scribble", "voxels": []}), "voxels is []"),
        (one({"kind": "scribble"}), "needs 'voxels'"),
        (one({"kind": "mask", "file": "no.nii"}), "files cannot be read here"),
        (one({"kind": "mask", "shape": [1, 2, 2], "runs": [[3, 2]]}), "leave the mask"),
    ],
)
def test_json_errors_name_the_place_and_the_way_out(data, said):
    with pytest.raises(PromptError) as error:
        prompts_from_json(data)
    assert said in str(error.value)


def test_two_objects_of_one_name_are_refused():
    twice = {"objects": [{"name": "a", "prompts": [{"kind": "point", "z": 1, "y": 1, "x": 1}]}] * 2}
    with pytest.raises(PromptError, match="two objects are named 'a'"):
        prompts_from_json(twice)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"{", "not valid JSON"), (b"\xff\xfe\x00", "not UTF-8"), (b"{}", "needs a list 'objects'")],
)
def test_broken_prompts_files_name_the_file(tmp_path, content, said):
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(PromptError) as error:
        read_prompts(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_a_missing_prompts_file_or_mask_is_named(tmp_path):
    with pytest.raises(PromptError, match=r"p\.json does not exist"):
        read_prompts(tmp_path / "p.json")
    with pytest.raises(PromptError, match=r"prompts\[0\]\.file: .*gone\.nii does not exist"):
        prompts_from_json(one({"kind": "mask", "file": "gone.nii"}), tmp_path, lambda path: np.ones(1))
