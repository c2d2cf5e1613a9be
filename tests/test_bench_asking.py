"""What a model is told of an object: marks where they should be, of the stated amount, the same again."""

import numpy as np
import pytest

from voxtrace.bench.asking import ask, knowledge, parse_way
from voxtrace.bench.truths import Target
from voxtrace.errors import PromptError
from voxtrace.prompts import Box, MaskPrompt, Recist, on_frames

MARKED = np.zeros((40, 50), bool)
MARKED[8:21, 30:45] = True
SHAPE = (9, 40, 50)


def target(frame: int = 5, marked: np.ndarray = MARKED) -> Target:
    mask = np.zeros((9, *marked.shape), bool)
    mask[3:8] = marked
    return Target(2, 9, frame, marked, tuple(range(9)), mask, (3, 8))


def asked(text: str, case: str = "c", seed: int = 0, **more):
    return ask(parse_way(text), target(**more), case, seed)


def test_box_is_tight_and_half_open_on_the_marked_frame():
    assert asked("box").prompts == (Box(5, 8, 30, 6, 21, 45),)


def test_jittered_box_is_off_by_the_stated_share_at_most():
    boxes = [asked("box-jitter:0.2", case=str(n)).prompts[0] for n in range(200)]
    off = np.array([[b.y0 - 8, b.y1 - 21, b.x0 - 30, b.x1 - 45] for b in boxes])
    assert np.abs(off[:, :2]).max() == 3  # a fifth of 13, rounded
    assert np.abs(off[:, 2:]).max() == 3
    assert {b.z0 for b in boxes} == {5}


def test_clicks_are_on_the_object():
    (click,) = asked("click").prompts
    assert (click.z, click.y) == (5, 14)
    assert len(asked("clicks5").prompts) == 5
    assert all(MARKED[p.y, p.x] and p.positive for p in asked("clicks5").prompts)


def test_missed_clicks_lie_within_the_radius_and_fill_it():
    y, x = np.mgrid[:40, :50]
    disc = (y - 18) ** 2 + (x - 25) ** 2 <= 100
    points = [asked("click-jitter:6", case=str(n), marked=disc).prompts[0] for n in range(300)]
    far = np.array([np.hypot(p.y - 18, p.x - 25) for p in points])
    assert far.max() <= 6.8  # rounded to a pixel
    assert np.mean(far < 3) == pytest.approx(0.25, abs=0.08)  # evenly in the disc
    assert np.ptp([p.y for p in points]) > 9


def test_missed_click_stays_on_the_frame():
    corner = np.zeros((40, 50), bool)
    corner[0, 0] = True
    for n in range(50):
        (p,) = asked("click-jitter:30", case=str(n), marked=corner).prompts
        assert 0 <= p.y < 40
        assert 0 <= p.x < 50


def test_wrong_clicks_have_the_wrong_sign_at_the_rate_but_never_the_first():
    signs = np.array([[p.positive for p in asked("wrong-clicks:0.2", case=str(n)).prompts] for n in range(300)])
    assert signs[:, 0].all()
    assert np.mean(~signs[:, 1:]) == pytest.approx(0.2, abs=0.03)


def test_mask_prompt_is_the_object_on_the_marked_frame_alone():
    (prompt,) = asked("mask").prompts
    assert isinstance(prompt, MaskPrompt)
    assert np.array_equal(prompt.mask[5], MARKED)
    assert prompt.mask.sum() == MARKED.sum()


def test_recist_of_one_pixel_still_is_a_line():
    dot = np.zeros((40, 50), bool)
    dot[39, 49] = True
    question = asked("recist", marked=dot)
    assert isinstance(question.prompts[0], Recist)
    on_frames(question.prompts, SHAPE)


@pytest.mark.parametrize("way", ["box", "click", "clicks5", "scribble", "mask", "recist", "wrong-clicks:0.5"])
def test_marks_of_a_part_of_the_scan_lie_where_those_of_the_whole_do(way):
    whole = asked(way)
    part = whole.within(3, 8)
    marks, _ = on_frames(whole.prompts, SHAPE)
    moved, _ = on_frames(part.prompts, (5, 40, 50))
    assert (part.frame, part.z_range) == (2, (0, 5))
    assert list(marks) == [5]
    assert list(moved) == [2]
    assert np.array_equal(moved[2].points_xy, marks[5].points_xy)
    assert np.array_equal(moved[2].labels, marks[5].labels)


def test_marks_depend_on_seed_case_and_object_and_nothing_else():
    assert asked("box-jitter").prompts == asked("box-jitter").prompts
    assert asked("box-jitter").prompts != asked("box-jitter", seed=1).prompts
    assert asked("box-jitter").prompts != asked("box-jitter", case="d").prompts


def test_z_range_is_told_only_when_asked():
    assert ask(parse_way("box"), target(), "c", 0).z_range is None
    assert ask(parse_way("box"), target(), "c", 0, z_range=True).z_range == (3, 8)


def test_ways_are_read_and_written_alike():
    amounts, memories = ("box-jitter:0.05", "click-jitter:3", "wrong-clicks:0"), ("oneprompt:fifo", "oneprompt:none")
    for text in ("box", *amounts, "oneprompt", *memories):
        assert str(parse_way(text)) == text
    assert str(parse_way("box-jitter")) == "box-jitter:0.1"
    assert parse_way("oneprompt:self-sorting") == parse_way("oneprompt")


@pytest.mark.parametrize("text", ["lasso", "box:2", "box-jitter:-1", "box-jitter:a", "oneprompt:3", ""])
def test_unknown_ways_are_refused_by_name(text):
    with pytest.raises(PromptError, match=repr(text)):
        parse_way(text)


def test_knowledge_is_said_in_words():
    told = knowledge(parse_way("box-jitter:0.2"), "volume", z_range=True)
    assert told == "its box, each side off by up to 0.2 of the size, on the middle slice of its z range; its z range"
    assert knowledge(parse_way("click"), "image") == "its deepest pixel"
