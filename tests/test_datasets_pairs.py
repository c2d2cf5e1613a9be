"""Images beside masks: folders, suffixes, films and frames, and what the values of a mask picture mean."""

import numpy as np
import pytest

from layouts_kit import SHAPE, names, opened, picture, save, write_pair, write_pictures
from phantoms import labels
from voxtrace.datasets import Asked, find_cases
from voxtrace.errors import InputError


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("imgs", "gts"), ("Image", "Ground_Truth")])
def test_two_folders_are_paired_by_stem(tmp_path, images, masks):
    found = find_cases(write_pictures(tmp_path / "eyes_fundus", ["p", "q"], images, masks))
    assert (found.kind, names(found)) == ("pairs", ["p", "q"])
    assert (found.cases[0].kind, found.cases[0].modality) == ("image", "fundus")
    assert np.array_equal(opened(found.cases[0]).array[0], picture()[1])


def test_masks_may_have_a_suffix_and_what_has_no_partner_is_named(tmp_path):
    folder = write_pictures(tmp_path / "d", ["p", "q"])
    (folder / "masks" / "p.png").rename(folder / "masks" / "p_segmentation.png")
    (folder / "masks" / "q.png").rename(folder / "masks" / "r.png")
    found = find_cases(folder)
    assert names(found) == ["p"]
    assert any("1 images" in note and "q.png" in note for note in found.notes)
    assert any("1 masks" in note and "r.png" in note for note in found.notes)


@pytest.mark.parametrize("order", ["{split}/{what}", "{what}/{split}"])
def test_folders_named_train_and_val_are_the_split(tmp_path, order):
    for split in ("train", "val"):
        write_pictures(
            tmp_path, ["p"], order.format(split=split, what="images"), order.format(split=split, what="masks")
        )
    found = find_cases(tmp_path)
    assert [(case.split, case.id.split("/", 1)[1]) for case in found.cases] == [("train", "train/p"), ("val", "val/p")]


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_volumes_side_by_side_are_paired_by_suffix(tmp_path, ending):
    import SimpleITK

    for name, array in (("liver", np.full(SHAPE, 7, np.int16)), ("liver_seg", labels(SHAPE))):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(tmp_path / f"{name}{ending}"))
    found = find_cases(tmp_path)
    assert (names(found), found.cases[0].kind) == (["liver"], "volume")
    assert np.array_equal(opened(found.cases[0]).array, labels(SHAPE))


def test_folders_of_frames_are_videos(tmp_path):
    for number in range(4):
        save(tmp_path / "images" / "film" / f"{number}.png", picture(number)[0])
    save(tmp_path / "masks" / "film" / "2.png", picture()[1])
    (case,) = find_cases(tmp_path).cases
    assert case.kind == "video"
    read = opened(case)
    assert read.known == (2,)
    assert np.array_equal(read.array[2], picture()[1])


def test_a_folder_of_frames_and_masks_for_each_film_is_a_video(tmp_path):
    for film in ("p1_slice1", "p1_slice2", "p2_slice1"):
        for number in range(3):
            save(tmp_path / film / "frames" / f"{number}.png", picture(number)[0])
        save(tmp_path / film / "masks" / "1.png", picture()[1])
    found = find_cases(tmp_path, Asked(val=0.5))
    assert [(case.kind, case.image) for case in found.cases[:1]] == [("video", "p1_slice1/frames")]
    assert [case.patient for case in found.cases] == ["p1", "p1", "p2"]
    assert opened(found.cases[0]).known == (1,)


def test_a_folder_of_images_and_masks_for_each_patient_keeps_patients_apart(tmp_path):
    for patient in ("x", "y"):
        write_pictures(tmp_path / patient, ["1", "2"])
    save(tmp_path / "extra" / "scan.png", picture()[0])
    found = find_cases(tmp_path, Asked(val=0.5))
    assert any("1 folders are left out" in note and "extra" in note for note in found.notes)
    assert names(found) == ["x/1", "x/2", "y/1", "y/2"]
    assert [case.patient for case in found.cases] == ["x", "x", "y", "y"]
    assert {len({c.split for c in found.cases if c.patient == patient}) for patient in "xy"} == {1}
    assert any("each folder is taken for one patient" in note for note in found.notes)


def test_a_folder_a_case_with_plainly_named_files(tmp_path):
    for case in ("anna", "bert"):
        write_pair(tmp_path / case / "ct.nii.gz", tmp_path / case / "label.nii.gz")
    found = find_cases(tmp_path)
    assert [(case.patient, case.image, case.modality) for case in found.cases] == [
        ("anna", "anna/ct.nii.gz", "ct"),
        ("bert", "bert/ct.nii.gz", "ct"),
    ]


@pytest.mark.parametrize("joint", ["_", "-"])
def test_several_images_beside_a_mask_are_channels_and_one_is_chosen(tmp_path, joint):
    for case in ("BraTS1", "BraTS2"):
        for number, channel in enumerate(("t1n", "t2f")):
            mask = tmp_path / case / f"{case}{joint}seg.nii.gz"
            write_pair(tmp_path / case / f"{case}{joint}{channel}.nii.gz", mask, seed=number)
    with pytest.raises(InputError, match=r"several images a case: t1n, t2f.*--channel t1n"):
        find_cases(tmp_path)
    found = find_cases(tmp_path, Asked(channel="t2f"))
    assert [(case.image, case.modality) for case in found.cases] == [
        (f"{case}/{case}{joint}t2f.nii.gz", "mri") for case in ("BraTS1", "BraTS2")
    ]


def test_video_files_are_matched_to_folders_of_masks(tmp_path):
    import av

    (tmp_path / "images").mkdir()
    with av.open(str(tmp_path / "images" / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        for number in range(3):
            grey = picture(number, (40, 48))[0]
            packets = stream.encode(av.VideoFrame.from_ndarray(np.repeat(grey[..., None], 3, 2), format="rgb24"))
            container.mux(packets)
        container.mux(stream.encode())
    save(tmp_path / "masks" / "film" / "00002.png", picture(0, (40, 48))[1])
    (case,) = find_cases(tmp_path).cases
    assert (case.kind, case.image, opened(case).known) == ("video", "images/film.mp4", (2,))


def test_modality_is_a_whole_word_and_a_patient_is_no_pet(tmp_path):
    found = find_cases(write_pictures(tmp_path / "sections", ["pt_01_t1", "oct-2"]))
    assert [case.modality for case in found.cases] == ["oct", "unknown"]
    assert any("--modality" in note for note in found.notes)


def test_black_and_white_masks_are_label_1(tmp_path):
    folder = write_pictures(tmp_path / "d", ["p", "q"])
    for name in ("p", "q"):
        save(folder / "masks" / f"{name}.png", (picture()[1] > 0).astype(np.uint8) * 255)
    found = find_cases(folder)
    assert any("255 is taken for label 1" in note for note in found.notes)
    assert np.array_equal(opened(found.cases[0]).array[0], picture()[1] > 0)


def test_jpeg_masks_are_cut_at_half_and_it_is_said(tmp_path):
    folder = write_pictures(tmp_path / "d", ["p"])
    (folder / "masks" / "p.png").unlink()
    save(folder / "masks" / "p.jpg", (picture()[1] > 0).astype(np.uint8) * 255)
    found = find_cases(folder)
    assert any("JPEG" in note for note in found.notes)
    assert np.array_equal(opened(found.cases[0]).array[0], picture()[1] > 0)


def test_colours_are_the_same_labels_in_every_mask(tmp_path):
    folder = write_pictures(tmp_path / "d", ["p", "q"])
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
    save(folder / "masks" / "p.png", colours[picture()[1]])
    save(folder / "masks" / "q.png", colours[np.where(picture()[1] == 1, 1, 0)])  # only the red one
    found = find_cases(folder)
    assert found.cases[0].coding == "#0000ff #ff0000"
    first, second = (opened(case).array[0] for case in found.cases)
    assert np.array_equal(first == 2, picture()[1] == 1)
    assert np.array_equal(second == 2, picture()[1] == 1)


def test_colours_that_cannot_be_classes_are_refused(tmp_path):
    save(tmp_path / "images" / "p.png", picture()[0])
    save(tmp_path / "masks" / "p.png", np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8))
    with pytest.raises(InputError, match="more than 64 colours"):
        find_cases(tmp_path)
