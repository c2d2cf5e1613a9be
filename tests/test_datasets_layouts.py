"""Every layout is recognised by what lies in the folder, and its cases come out with split, patient and labels."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from layouts_kit import SHAPE, picture, save, write_bids, write_nnunet, write_npz, write_pair, write_pictures
from phantoms import labels, phantom
from voxtrace.datasets import Asked, find_cases
from voxtrace.datasets.indexing import index
from voxtrace.datasets.opening import open_labels, open_scan
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.manifest import read_manifest, validate, write_manifest

NAMES = ["a_01", "a_02", "a_03", "a_04", "a_05"]


def opened(case):
    return open_labels(case, open_scan(case))


def names(found, split=None):
    return [case.id.split("/", 1)[1] for case in found.cases if split in (None, case.split)]


def test_nnunet_raw_gives_names_of_labels_and_the_modality_of_the_channel(tmp_path):
    found = find_cases(write_nnunet(tmp_path / "Dataset001_Toy", NAMES))
    assert (found.kind, names(found)) == ("nnunet", NAMES)
    case = found.cases[0]
    assert (case.set, case.kind, case.modality) == ("Dataset001_Toy", "volume", "ct")
    assert case.labels == ((1, "lesion"), (2, "block"))
    assert np.array_equal(opened(case).array, labels(SHAPE))


def test_nnunet_channels_are_chosen_by_number_or_name_and_never_guessed(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES[:2], ("T1w", "FLAIR"))
    with pytest.raises(InputError, match=r"2 channels a case: 0 \(T1w\), 1 \(FLAIR\).*--channel"):
        find_cases(folder)
    for said in ("1", "flair"):
        found = find_cases(folder, Asked(channel=said))
        assert [case.image for case in found.cases] == [f"imagesTr/{name}_0001.nii.gz" for name in NAMES[:2]]
        assert found.cases[0].modality == "mri"
    with pytest.raises(InputError, match="--channel T2"):
        find_cases(folder, Asked(channel="T2"))


def test_nnunet_regions_are_refused(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES, labels={"background": 0, "whole": [1, 2], "core": 2})
    with pytest.raises(InputError, match="'whole' is a region"):
        find_cases(folder)


def test_nnunet_frames_with_the_ignore_label_are_not_known(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES[:1], labels={"background": 0, "lesion": 1, "ignore": 2})
    found = find_cases(folder)
    assert (found.cases[0].ignore, found.cases[0].labels) == (2, ((1, "lesion"),))
    read = opened(found.cases[0])
    assert read.known == tuple(range(6))  # the block, here the ignored, is on the last two slices
    assert set(np.unique(read.array)) == {0, 1}


def test_nnunet_splits_final_says_the_split_of_a_fold(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES)
    folds = [{"train": NAMES[:3], "val": NAMES[3:]}, {"train": NAMES[2:4], "val": NAMES[:2]}]
    (folder / "splits_final.json").write_text(json.dumps(folds))
    assert names(find_cases(folder), "val") == NAMES[3:]
    second = find_cases(folder, Asked(fold=1))
    assert (names(second, "train"), names(second, "val")) == (NAMES[2:4], NAMES[:2])
    assert any("1 cases are not in fold 1" in note for note in second.notes)
    with pytest.raises(InputError, match=r"folds 0\.\.1"):
        find_cases(folder, Asked(fold=2))


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("dataset.json", "[]", "not as nnU-Net has it"),
        ("dataset.json", '{"labels": [1, 2]}', "not as nnU-Net has it"),
        ("dataset.json", '{"labels": {"lesion": "x"}}', "'lesion': 'x'; a name and a whole number"),
        ("dataset.json", "{", "is not JSON"),
        ("splits_final.json", '[{"train": 1, "val": 2}]', "no list of folds"),
        ("splits_final.json", '[{"train": ["z"], "val": ["y"]}]', "names none of the cases"),
    ],
)
def test_nnunet_files_that_say_something_else_are_refused(tmp_path, file, text, told):
    folder = write_nnunet(tmp_path / "d", NAMES)
    (folder / file).write_text(text)
    with pytest.raises(InputError, match=told):
        find_cases(folder)


def test_links_to_what_was_never_fetched_are_found_as_missing(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES[:2])
    (folder / "labelsTr" / "a_01.nii.gz").unlink()
    (folder / "labelsTr" / "a_01.nii.gz").symlink_to("annex/never-fetched")
    (case, _) = find_cases(folder).cases
    with pytest.raises(CaseMissingError, match="link to nothing"):
        open_scan(case)


def test_nnunet_test_images_are_split_test_where_they_have_labels(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES)
    write_pair(folder / "imagesTs" / "t_0000.nii.gz", folder / "labelsTs" / "t.nii.gz")
    write_pair(folder / "imagesTs" / "u_0000.nii.gz", tmp_path / "elsewhere.nii.gz")
    found = find_cases(folder)
    assert names(found, "test") == ["t"]
    assert any("1 images of imagesTs are left out" in note for note in found.notes)


def test_decathlon_form_has_no_channel_number(tmp_path):
    folder = tmp_path / "Task04"
    write_pair(folder / "imagesTr" / "hippo_001.nii.gz", folder / "labelsTr" / "hippo_001.nii.gz")
    about = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "Anterior", "2": "Posterior"}}
    (folder / "dataset.json").write_text(json.dumps(about))
    case = find_cases(folder).cases[0]
    assert (case.image, case.modality) == ("imagesTr/hippo_001.nii.gz", "mri")
    assert case.labels == ((1, "Anterior"), (2, "Posterior"))


def test_decathlon_channels_are_volumes_of_one_file(tmp_path):
    folder = tmp_path / "Task01"
    write_pair(tmp_path / "x.nii.gz", folder / "labelsTr" / "brats_1.nii.gz")
    scans = [phantom(SHAPE, seed=seed).array.transpose(2, 1, 0) for seed in (0, 1)]
    affine = nibabel.load(folder / "labelsTr" / "brats_1.nii.gz").affine
    (folder / "imagesTr").mkdir()
    nibabel.save(nibabel.Nifti1Image(np.stack(scans, -1), affine), folder / "imagesTr" / "brats_1.nii.gz")
    (folder / "dataset.json").write_text(json.dumps({"modality": {"0": "FLAIR", "1": "T1w"}, "labels": {"1": "a"}}))
    with pytest.raises(InputError, match=r"2 channels a case: 0 \(FLAIR\), 1 \(T1w\)"):
        find_cases(folder)
    made = index(find_cases(folder, Asked(channel="T1w")).cases, tmp_path / "m.jsonl")
    (case,) = read_manifest(tmp_path / "m.jsonl")
    assert case.image == "Task01/imagesTr/brats_1.nii.gz#1"
    assert np.array_equal(open_scan(case).array, phantom(SHAPE, seed=1).array)
    assert validate([case], hashes=True) == []
    assert [fault.sort for fault in made.faults] == ["unexpected"]  # label 2 has no name


def test_nnunet_cases_without_image_or_channel_are_left_out_by_name(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES, ("T1w", "FLAIR"))
    for file in ("a_01_0000", "a_01_0001", "a_02_0001"):
        (folder / "imagesTr" / f"{file}.nii.gz").unlink()
    found = find_cases(folder, Asked(channel="FLAIR"))
    assert names(found) == NAMES[2:]
    assert any("1 labels" in note and "a_01" in note for note in found.notes)
    assert any("lack channel 1 (a_02)" in note for note in found.notes)


def test_bids_patients_are_subjects_and_stay_in_one_split(tmp_path):
    found = find_cases(write_bids(tmp_path / "b", ["01", "02", "03", "04"], ["a", "b"]), Asked(val=0.5))
    assert found.kind == "bids"
    assert len(found.cases) == 8
    splits = {case.patient: {c.split for c in found.cases if c.patient == case.patient} for case in found.cases}
    assert set(splits) == {"sub-01", "sub-02", "sub-03", "sub-04"}
    assert sorted(map(sorted, splits.values())) == [["train"], ["train"], ["val"], ["val"]]


def test_bids_sorts_of_labels_and_scans_are_chosen_and_never_guessed(tmp_path):
    folder = write_bids(tmp_path / "b", ["01", "02"])
    write_pair(folder / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz", tmp_path / "x.nii.gz", seed=7)
    with pytest.raises(InputError, match=r"fit several scans: FLAIR, T1w.*--channel T1w"):
        find_cases(folder)
    assert names(find_cases(folder, Asked(channel="T1w"))) == ["sub-01_T1w", "sub-02_T1w"]
    other = folder / "derivatives" / "auto" / "sub-01" / "anat" / "sub-01_label-lesion_mask.nii.gz"
    write_pair(tmp_path / "y.nii.gz", other)
    with pytest.raises(InputError, match=r"auto/label-lesion_mask \(1\), manual/desc-expert_dseg \(2\).*--mask"):
        find_cases(folder, Asked(channel="T1w"))
    chosen = find_cases(folder, Asked(channel="T1w", mask="lesion"))
    assert [case.mask for case in chosen.cases] == [other.relative_to(folder).as_posix()]


def test_bids_labels_in_another_space_are_left_out_by_name(tmp_path):
    folder = write_bids(tmp_path / "b", ["01", "02"])
    place = folder / "derivatives" / "manual" / "sub-02" / "anat"
    (place / "sub-02_desc-expert_dseg.nii.gz").rename(place / "sub-02_space-MNI152_desc-expert_dseg.nii.gz")
    found = find_cases(folder)
    assert names(found) == ["sub-01_T1w"]
    assert any("space-MNI152" in note for note in found.notes)


@pytest.mark.parametrize("table", ["participants.tsv", "derivatives/manual/dseg.tsv"])
def test_bids_tables_that_are_no_text_are_refused(tmp_path, table):
    folder = write_bids(tmp_path / "b", ["1"])
    (folder / table).write_bytes(b"\xff\xfe\x80")
    with pytest.raises(InputError, match="no table of UTF-8 text"):
        find_cases(folder)


def test_bids_labels_named_after_their_scan_belong_to_it(tmp_path):
    folder = tmp_path / "b"
    for seed, suffix in enumerate(("T1w", "T2w")):
        write_pair(folder / "sub-1" / "anat" / f"sub-1_{suffix}.nii.gz", tmp_path / "x.nii.gz", seed=seed)
    mask = folder / "derivatives" / "labels" / "sub-1" / "anat" / "sub-1_T2w_label-SC_seg.nii.gz"
    write_pair(tmp_path / "y.nii.gz", mask)
    (case,) = find_cases(folder).cases
    assert (case.image, case.mask) == ("sub-1/anat/sub-1_T2w.nii.gz", mask.relative_to(folder).as_posix())


def test_patient_expression_goes_before_what_the_layout_says(tmp_path):
    found = find_cases(write_bids(tmp_path / "b", ["A1", "A2", "B1"]), Asked(patient="sub-([AB])"))
    assert [case.patient for case in found.cases] == ["A", "A", "B"]


def test_bids_names_of_labels_and_people_come_from_tables(tmp_path):
    folder = write_bids(tmp_path / "b", ["01", "02"])
    (folder / "derivatives" / "manual" / "dseg.tsv").write_text("index\tname\n0\tbackground\n1\tlesion\n2\tblock\n")
    (folder / "participants.tsv").write_text("participant_id\tage\nsub-01\t30\nsub-09\t40\n")
    found = find_cases(folder)
    assert found.cases[0].labels == ((1, "lesion"), (2, "block"))
    assert any("1 of the 2 people" in note for note in found.notes)
    assert any("not in participants.tsv: sub-02" in note for note in found.notes)


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


def test_challenge_files_tell_kind_modality_and_set(tmp_path):
    pixels, truth = picture()
    write_npz(tmp_path / "Eye" / "2DBox_Fundus_1.npz", imgs=np.repeat(pixels[..., None], 3, 2), gts=truth)
    write_npz(tmp_path / "Cells" / "2DBox_Microscopy_1.npz", imgs=np.repeat(pixels[..., None], 3, 2), gts=truth)
    cube = np.where(labels(SHAPE), 200, 10).astype(np.uint8)
    write_npz(tmp_path / "CT_Abdomen_1.npz", imgs=cube, gts=labels(SHAPE), spacing=np.array([1.0, 2.0, 3.0]))
    write_npz(tmp_path / "CT_noreference.npz", imgs=cube)
    found = find_cases(tmp_path)
    told = {case.id.split("/")[1]: (case.set, case.kind, case.modality, case.label_type) for case in found.cases}
    assert told == {
        "CT_Abdomen_1": (tmp_path.name, "volume", "ct", "semantic"),
        "2DBox_Fundus_1": ("Eye", "image", "fundus", "semantic"),
        "2DBox_Microscopy_1": ("Cells", "image", "microscopy", "instance"),
    }
    assert any("1 files are left out" in note and "CT_noreference" in note for note in found.notes)
    assert all(opened(case).array.any() for case in found.cases)


def test_damaged_files_are_left_out_by_name_and_do_not_end_the_search(tmp_path):
    cube = np.where(labels(SHAPE), 200, 10).astype(np.uint8)
    write_npz(tmp_path / "n" / "CT_2.npz", imgs=cube, gts=labels(SHAPE))
    (tmp_path / "n" / "CT_1.npz").write_bytes(b"PK\x03\x04 cut off")
    found = find_cases(tmp_path / "n")
    assert names(found) == ["CT_2"]
    assert any("CT_1.npz" in note for note in found.notes)
    folder = write_pictures(tmp_path / "p", ["a", "b"])
    save(folder / "images" / "c.tif", picture()[0]).write_bytes(b"II*\0 cut off")
    save(folder / "masks" / "c.png", picture()[1])
    found = find_cases(folder)
    assert names(found) == ["a", "b"]
    assert any(note.startswith("c is left out") for note in found.notes)


def test_manifest_comes_before_what_lies_beside_it_unless_it_is_passed_over(tmp_path):
    folder = write_pictures(tmp_path / "d", ["p", "q"])
    write_manifest(folder / "manifest.jsonl", find_cases(folder).cases[:1])
    assert find_cases(folder).kind == "manifest"
    assert names(find_cases(folder / "manifest.jsonl")) == ["p"]
    assert find_cases(folder, past_manifest=True).kind == "pairs"


def test_unknown_folder_is_told_what_was_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(CaseMissingError) as told:
        find_cases(tmp_path)
    for words in (
        "imagesTr/ with labelsTr/",
        "derivatives/*/sub-*",
        "imgs and gts",
        "images|imgs",
        "It holds notes.txt",
    ):
        assert words in str(told.value)
    with pytest.raises(CaseMissingError, match="does not exist"):
        find_cases(tmp_path / "nowhere")


def test_folder_of_two_layouts_is_refused_until_one_is_named(tmp_path):
    write_pictures(write_nnunet(tmp_path, NAMES), ["p"])
    with pytest.raises(InputError, match=r"nnunet and pairs; say which: .*--layout nnunet"):
        find_cases(tmp_path)
    assert names(find_cases(tmp_path, Asked(layout="pairs"))) == ["p"]
    with pytest.raises(CaseMissingError, match="not laid out as bids"):
        find_cases(tmp_path, Asked(layout="bids"))


def test_folder_of_several_nnunet_sets_names_them(tmp_path):
    for name in ("Dataset001_A", "Dataset002_B"):
        write_nnunet(tmp_path / name, NAMES[:1])
    with pytest.raises(InputError, match="Dataset001_A, Dataset002_B"):
        find_cases(tmp_path)


def test_cases_of_one_patient_are_known_by_their_names(tmp_path):
    frames = [f"patient{p:03d}_frame{f:02d}" for p in (1, 2, 3) for f in (1, 9)]
    found = find_cases(write_pictures(tmp_path / "d", frames), Asked(val=0.34))
    held = {case.patient for case in found.cases if case.split == "val"}
    assert len(held) == 1
    assert [case.split for case in found.cases if case.patient in held] == ["val", "val"]


def test_patient_is_what_the_expression_says(tmp_path):
    folder = write_pictures(tmp_path / "d", ["x1-left", "x1-right", "x2-left"])
    found = find_cases(folder, Asked(patient="^(x[0-9])"))
    assert [case.patient for case in found.cases] == ["x1", "x1", "x2"]
    with pytest.raises(InputError, match="does not fit the case 'x1-left'"):
        find_cases(folder, Asked(patient="^(y)"))
    with pytest.raises(InputError, match="no regular expression"):
        find_cases(folder, Asked(patient="("))


def test_split_depends_on_names_and_seed_alone(tmp_path):
    stems = [f"n{i}" for i in range(10)]
    folder = write_pictures(tmp_path / "d", stems)
    first = find_cases(folder, Asked(val=0.3, seed=1))
    assert len(names(first, "val")) == 3
    assert names(first, "val") == names(find_cases(folder, Asked(val=0.3, seed=1)), "val")
    assert any(names(first, "val") != names(find_cases(folder, Asked(val=0.3, seed=s)), "val") for s in (2, 3))
    assert names(find_cases(folder, Asked(val=0)), "val") == []
    with pytest.raises(InputError, match="--val 1"):
        find_cases(folder, Asked(val=1))


@pytest.mark.parametrize("layout", ["nnunet", "bids", "npz", "pairs"])
def test_cases_go_through_a_manifest_unchanged(tmp_path, layout):
    folder = tmp_path / "d"
    if layout == "npz":
        write_npz(folder / "MR_1.npz", imgs=labels(SHAPE) * 100, gts=labels(SHAPE))
    else:
        {"nnunet": write_nnunet, "bids": write_bids, "pairs": write_pictures}[layout](folder, ["1", "2"])
    found = find_cases(folder)
    assert found.kind == layout
    write_manifest(folder / "m.jsonl", found.cases)
    assert read_manifest(folder / "m.jsonl") == [replace(case, root=folder) for case in found.cases]


def test_an_empty_manifest_is_named_as_one(tmp_path):
    (tmp_path / "mine.jsonl").write_text("\n")
    with pytest.raises(CaseMissingError, match=r"the manifest .*mine\.jsonl has no case in it; `voxtrace data index"):
        find_cases(tmp_path / "mine.jsonl")
