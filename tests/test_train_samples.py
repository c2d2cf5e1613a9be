"""Training clips show the object through the right window, keep image and mask together, and repeat by number."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from voxtrace.errors import InputError  # noqa: E402
from voxtrace.manifest import read_manifest, shipped_training_cases  # noqa: E402
from voxtrace.train import augment  # noqa: E402
from voxtrace.train.augment import Strength  # noqa: E402
from voxtrace.train.cases import LoadedCase, find_objects, load_case, load_cases  # noqa: E402
from voxtrace.train.framing import choose_frames, choose_window  # noqa: E402
from voxtrace.train.samples import Options, Sampler, cut_clip  # noqa: E402
from voxtrace.train.synth import SynthPool  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

PLAIN = Options(strength=Strength.none(), whole_frame=0.0, box_jitter=0.0)


def ball_case(name: str = "balls") -> LoadedCase:
    """A volume of 24 x 70 x 90 with a bright ball of radius 6 voxels on black: the image is its own mask."""
    z, y, x = np.ogrid[:24, :70, :90]
    labels = ((z - 10) ** 2 + (y - 30) ** 2 + (x - 50) ** 2 <= 36).astype(np.int32)
    frames = (labels * 255).astype(np.uint8)
    return LoadedCase(f"{name}/1", name, "volume", "mr", frames, find_objects(labels), tuple(range(24)))


def picture_case(name: str = "pictures", colour: bool = False) -> LoadedCase:
    y, x = np.ogrid[:120, :200]
    labels = (((y - 50) / 12) ** 2 + ((x - 120) / 25) ** 2 <= 1).astype(np.int32)[None]
    frames = (labels * 255).astype(np.uint8)
    frames = np.repeat(frames[..., None], 3, -1) if colour else frames
    return LoadedCase(f"{name}/1", name, "image", "photo", frames, find_objects(labels), (0,))


def same_place(images: np.ndarray, masks: np.ndarray) -> float:
    """Dice of the bright pixels and the mask, over all frames."""
    bright = images[:, 0] > 127
    return 2 * (bright & (masks > 0)).sum() / (bright.sum() + masks.sum())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("make", [ball_case, picture_case])
def test_image_and_mask_stay_together_through_every_movement(make, length, seed):
    strength = replace(Strength.none(), flip=0.5, turn=1.0, turn_degrees=25.0, scale=0.1, shear=0.1, bend=1.0)
    clip = cut_clip(make(), np.random.default_rng(seed), length, Options(strength=strength, still=1.0))
    assert clip is not None
    assert same_place(clip.images, clip.masks) > 0.98


def test_clip_has_the_promised_shapes_and_types():
    clip = cut_clip(picture_case(colour=True), np.random.default_rng(0), 3, Options())
    assert clip is not None
    assert clip.images.shape == (3, 3, 256, 256)
    assert clip.masks.shape == (3, 256, 256)
    assert clip.images.dtype == clip.masks.dtype == np.uint8
    assert set(np.unique(clip.masks)) <= {0, 1}
    assert clip.images.flags["C_CONTIGUOUS"]


def test_object_fills_the_share_of_the_window_that_the_zoom_says():
    options = Options(strength=Strength.none(), whole_frame=0.0, box_jitter=0.0, zoom=(2.0, 2.0))
    clip = cut_clip(picture_case(), np.random.default_rng(0), 1, options)
    assert clip is not None
    columns = np.flatnonzero(clip.masks[0].any(0))
    assert columns[-1] - columns[0] + 1 == pytest.approx(128, abs=4)


def test_window_is_square_at_least_16_pixels_and_inside_the_frame():
    rng = np.random.default_rng(1)
    for _ in range(50):
        y0, x0, y1, x1 = choose_window((2.0, 180.0, 5.0, 186.0), (120, 200), rng, Options(whole_frame=0.0))
        assert y1 - y0 == pytest.approx(x1 - x0)
        assert y1 - y0 >= 16
        assert min(y0, x0) >= 0
        assert y1 <= 120
        assert x1 <= 200


def test_whole_frame_is_squashed_to_a_square():
    window = choose_window((2.0, 180.0, 8.0, 190.0), (120, 200), np.random.default_rng(1), Options(whole_frame=1.0))
    assert window == (0.0, 0.0, 120.0, 200.0)


def test_volume_clips_often_run_past_the_end_of_the_object():
    case, rng = ball_case(), np.random.default_rng(2)
    clips = [cut_clip(case, rng, 4, PLAIN) for _ in range(60)]
    assert np.mean([not c.masks.any(axis=(1, 2)).all() for c in clips if c]) >= 0.4


def test_made_up_movements_of_pictures_sometimes_lose_the_object():
    case, rng = picture_case(), np.random.default_rng(2)
    clips = [cut_clip(case, rng, 4, PLAIN) for _ in range(60)]
    assert 0.25 < np.mean([not c.masks.any(axis=(1, 2)).all() for c in clips if c]) < 0.6


def test_faded_object_is_gone_from_the_image_too():
    case, rng = picture_case(), np.random.default_rng(3)
    for _ in range(60):
        clip = cut_clip(case, rng, 3, PLAIN)
        if clip is not None and not clip.masks[-1].any():
            assert (clip.images[-1] > 127).mean() < 0.01


def test_volume_clips_start_anywhere_in_the_object_and_go_both_ways():
    case, rng = ball_case(), np.random.default_rng(4)
    walks = [choose_frames(case, case.objects["whole"][0], 0, rng, 3, PLAIN) for _ in range(200)]
    assert {w[0] for w in walks if w} >= set(range(6, 15))
    assert {np.sign(w[1] - w[0]) for w in walks if w} == {-1, 1}


def test_other_axes_are_used_but_not_where_slices_are_thick():
    case, rng = ball_case(), np.random.default_rng(4)
    assert {c.meta["axis"] for c in (cut_clip(case, rng, 1, PLAIN) for _ in range(60)) if c} == {0, 1, 2}
    thick = LoadedCase(case.id, case.set, "volume", "mr", case.frames, case.objects, case.labelled, (5.0, 1.0, 1.0))
    assert {c.meta["axis"] for c in (cut_clip(thick, rng, 1, PLAIN) for _ in range(60)) if c} == {0}


def test_frames_of_a_video_without_a_label_are_not_taken_for_the_objects_absence():
    frames = np.zeros((9, 40, 50), np.uint8)
    labels = np.zeros((9, 40, 50), np.int32)
    labels[2, 10:20, 10:30] = labels[7, 12:22, 10:30] = 1
    case = LoadedCase("v/1", "v", "video", "mr", frames, find_objects(labels, parts=False), (2, 5, 7))
    rng = np.random.default_rng(0)
    walks = [choose_frames(case, case.objects["whole"][0], 0, rng, 4, PLAIN) for _ in range(20)]
    assert {f for w in walks if w for f in w} == {2, 7}


def test_components_of_a_class_are_objects_of_their_own():
    labels = np.zeros((1, 60, 80), np.int32)
    labels[0, 5:20, 5:20] = labels[0, 30:50, 40:60] = 1
    labels[0, 55, 75] = 1
    objects = find_objects(labels)
    assert [one.crop.sum() for one in objects["part"]] == [400, 225]
    assert objects["whole"][0].crop.sum() == 626


def test_instances_are_not_cut_into_pieces():
    labels = np.zeros((1, 60, 80), np.int32)
    labels[0, 5:20, 5:20] = labels[0, 30:50, 40:60] = 3
    assert list(find_objects(labels, parts=False)) == ["whole"]


def test_batch_is_the_same_by_number_whatever_was_drawn_before():
    cases = [ball_case(), picture_case()]
    one = Sampler(cases, SynthPool(1, size=4), seed=3, clip_length=(1, 3))
    other = Sampler(cases, SynthPool(1, size=4), seed=3, clip_length=(1, 3))
    other.draw()
    other.batch(0, 2)
    assert torch.equal(one.batch(5, 3).images, other.batch(5, 3).images)


def test_worker_processes_give_the_same_batches_in_order():
    sampler = Sampler([ball_case(), picture_case()], seed=3, clip_length=(1, 2))
    alone = list(sampler.batches(2, workers=0, start=4, stop=8))
    helped = list(sampler.batches(2, workers=2, start=4, stop=8))
    assert all(
        torch.equal(a.images, b.images) and torch.equal(a.masks, b.masks) for a, b in zip(alone, helped, strict=True)
    )


def test_clips_of_a_batch_share_their_length_and_its_frames_are_as_many_as_asked_for():
    sampler = Sampler([ball_case(), picture_case()], seed=3, clip_length=(1, 2, 3))
    shapes = {tuple(b.masks.shape[:2]) for b in sampler.batches(6, workers=0, stop=12)}
    assert shapes == {(6, 1), (3, 2), (2, 3)}


def test_loose_window_is_many_times_the_object_and_off_its_middle():
    options = replace(PLAIN, loose=1.0, loose_zoom=(3.0, 3.0))
    clip = cut_clip(picture_case(), np.random.default_rng(1), 1, options, loose=True)
    assert clip is not None
    columns = np.flatnonzero(clip.masks[0].any(0))
    width = columns[-1] - columns[0] + 1
    assert 256 / 3 / 1.7 < width < 256 / 3 * 1.7
    assert abs(columns.mean() - 128) > 4


def test_set_shows_one_class_on_other_pictures_and_elsewhere_on_each():
    here, there = picture_case("set"), picture_case("set", colour=True)
    sampler = Sampler([here, there, ball_case()], seed=0, clip_length=4, options=replace(PLAIN, sets=1.0))
    batch = sampler.batch(0, 8)
    assert batch.way == "set"
    assert {meta["set"] for meta in batch.metas} == {"set"}
    for images, masks in zip(batch.images.numpy(), batch.masks.numpy(), strict=True):
        assert same_place(images, masks) > 0.95
        middles = [np.argwhere(mask).mean(0) for mask in masks if mask.any()]
        assert np.ptp(middles, axis=0).max() > 10


def test_sets_are_drawn_by_the_square_root_of_their_size():
    many = [picture_case("many") for _ in range(16)]
    sampler = Sampler([*many, picture_case("one")], seed=0)
    rng = np.random.default_rng(0)
    share = np.mean([sampler._case(rng, 1, 0).set == "many" for _ in range(600)])
    assert share == pytest.approx(4 / 5, abs=0.06)


def test_balanced_modalities_are_drawn_alike_and_their_sets_by_the_square_root_of_their_size():
    many = [replace(ball_case("many"), modality="ct") for _ in range(16)]
    few = [replace(ball_case(name), modality="mr") for name in ("a", "a", "a", "a", "b")]
    shares = {}
    for balance in ("set", "modality"):
        sampler = Sampler([*many, *few], seed=0, options=replace(PLAIN, balance=balance, volumes=1.0))
        rng = np.random.default_rng(0)
        sets = np.array([sampler._case(rng, 1, 0).set for _ in range(900)])
        shares[balance] = [np.mean(sets == name) for name in ("many", "a", "b")]
    assert shares["set"] == pytest.approx([4 / 7, 2 / 7, 1 / 7], abs=0.05)
    assert shares["modality"] == pytest.approx([1 / 2, 1 / 3, 1 / 6], abs=0.05)


def test_a_set_of_several_modalities_counts_in_each():
    mixed = [replace(ball_case("mixed"), modality=modality) for modality in ("ct", "ct", "ct", "mr")]
    sampler = Sampler(mixed, seed=0, options=replace(PLAIN, balance="modality", volumes=1.0))
    rng = np.random.default_rng(0)
    share = np.mean([sampler._case(rng, 1, 0).modality == "mr" for _ in range(600)])
    assert share == pytest.approx(1 / 2, abs=0.06)


def test_an_unknown_balance_and_no_object_are_refused():
    with pytest.raises(InputError, match=r"balance 'patient' is unknown; one of set, modality"):
        Options(balance="patient")
    with pytest.raises(InputError, match="objects is 0; a clip follows at least 1"):
        Options(objects=0)


@pytest.mark.parametrize("other", [{"volumes": 0.0}, {"set_weights": {"balls": 0.0}}])
def test_cases_of_which_none_may_be_drawn_are_refused_before_the_first_step(other):
    with pytest.raises(InputError, match="clips of 2 frames: there are 0 pictures and 1 volumes and videos; give"):
        Sampler([ball_case()], clip_length=2, options=replace(PLAIN, **other))


def test_shares_of_pictures_volumes_and_synthetic_cases_are_kept():
    sampler = Sampler([ball_case("v"), picture_case("p")], SynthPool(0, size=2), seed=0)
    rng = np.random.default_rng(0)
    sets = [sampler._case(rng, 1, 0).set for _ in range(600)]
    assert [np.mean(np.array(sets) == name) for name in ("p", "v", "synthetic")] == pytest.approx(
        [0.55, 0.3, 0.15], abs=0.06
    )


def test_clips_of_several_frames_have_a_share_of_pictures_of_their_own():
    options = Options(images=0.6, images_moved=0.1, volumes=0.4, synthetic=0.0)
    sampler = Sampler([ball_case("v"), picture_case("p")], seed=0, options=options)
    rng = np.random.default_rng(0)
    shares = [np.mean([sampler._case(rng, length, 0).set == "p" for _ in range(600)]) for length in (1, 2)]
    assert shares == pytest.approx([0.6, 0.1 / 0.5], abs=0.06)


def test_sampler_without_cases_is_refused():
    with pytest.raises(InputError, match="at least one"):
        Sampler([])


def test_pooling_averages_and_repeats_the_last_pixels_of_an_odd_size():
    picture = torch.arange(15.0).view(1, 1, 3, 5)
    pooled = augment.pooled(picture, 2)
    assert pooled.shape == (1, 1, 2, 3)
    assert pooled[0, 0, 0].tolist() == [3.0, 5.0, 6.5]


def test_removed_object_leaves_its_surroundings():
    picture, mask = torch.full((1, 1, 60, 70), 0.3), torch.zeros(1, 1, 60, 70)
    picture[..., 20:40, 30:50], mask[..., 20:40, 30:50] = 0.9, 1.0
    bare = augment.without_object(picture, mask, np.random.default_rng(0))
    assert float((bare - 0.3).abs().max()) < 0.02


def test_unreadable_case_is_left_out_and_named(tmp_path, caplog):
    y, x = np.ogrid[:40, :60]
    mask = ((y - 20) ** 2 + (x - 30) ** 2 < 100).astype(np.uint8)
    Image.fromarray(mask * 200).save(tmp_path / "a.png")
    Image.fromarray(mask).save(tmp_path / "a_mask.png")
    (tmp_path / "b.png").write_bytes(b"not a picture")
    row = {
        "set": "s",
        "kind": "image",
        "modality": "x",
        "label_type": "semantic",
        "split": "train",
        "mask": "a_mask.png",
    }
    rows = [{**row, "id": f"s/{n}", "image": f"{n}.png"} for n in ("a", "b")]
    (tmp_path / "m.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    loaded = load_cases(read_manifest(tmp_path / "m.jsonl"))
    assert [case.id for case in loaded] == ["s/a"]
    assert "s/b" in caplog.text


@pytest.mark.data
def test_real_volume_keeps_the_files_order_and_spacing(data_root):
    cases = {case.id: case for case in read_manifest(data_root / "manifest.jsonl")}
    case = load_case(cases["mr__sunnybrook_cine/SC-HF-I-2_ED"])
    assert case.frames.shape == (9, 144, 144)
    assert case.spacing == pytest.approx((10.0, 1.37, 1.37), abs=0.01)


@pytest.mark.data
def test_every_shipped_set_gives_clips_with_the_object_visible(data_root):
    one_each = {case.set: case for case in shipped_training_cases(read_manifest(data_root / "manifest.jsonl"))}
    for case in load_cases(one_each.values()):
        rng = np.random.default_rng(0)
        clips = [clip for clip in (cut_clip(case, rng, 2, Options()) for _ in range(3)) if clip]
        assert clips, case.set
        assert all(clip.masks[0].sum() >= 20 for clip in clips)
