"""A correcting click changes what it touches, and nothing else."""

import numpy as np

from voxtrace.engines.correcting import clicks, near_clicks


def pieces(*columns: tuple[int, int], value: float = 5.0) -> np.ndarray:
    """Logits (1, 1, 8, 40): `value` on rows 2 to 5 of each range of columns, else -5."""
    logits = np.full((1, 1, 8, 40), -5.0, np.float32)
    for first, stop in columns:
        logits[..., 2:6, first:stop] = value
    return logits


def click(column: int, sign: int) -> np.ndarray:
    """One pixel, clicked."""
    clicked = np.zeros((1, 1, 8, 40), np.float32)
    clicked[..., 3, column] = sign
    return clicked


def same(corrected: np.ndarray, wanted: np.ndarray) -> bool:
    return np.array_equal(corrected > 0, wanted > 0)


def test_a_click_adds_the_piece_that_it_touches_and_no_other() -> None:
    corrected = near_clicks(pieces((2, 8), (12, 18), (30, 36)), pieces((2, 8)), click(14, 1))
    assert same(corrected, pieces((2, 8), (12, 18)))


def test_a_negative_click_removes_the_piece_that_it_touches_and_no_other() -> None:
    corrected = near_clicks(pieces((2, 8)), pieces((2, 8), (12, 18), (30, 36)), click(14, -1))
    assert same(corrected, pieces((2, 8), (30, 36)))


def test_a_click_of_one_kind_does_not_do_the_work_of_the_other() -> None:
    corrected = near_clicks(pieces((12, 18)), pieces((2, 8)), click(14, 1))
    assert same(corrected, pieces((2, 8), (12, 18)))


def test_pieces_that_touch_at_a_corner_hang_together() -> None:
    drawn = np.where(np.eye(8, 40) > 0, 5.0, -5.0)[None, None].astype(np.float32)
    assert same(near_clicks(drawn, pieces(), click(3, 1)), drawn)


def test_what_was_clicked_is_as_it_was_clicked_even_if_the_net_does_not_see_it() -> None:
    corrected = near_clicks(pieces(), pieces(), click(14, 1)) > 0
    assert corrected.sum() == 1
    assert corrected[0, 0, 3, 14]


def test_a_pixel_taken_back_keeps_its_certainty() -> None:
    corrected = near_clicks(pieces((2, 8), (30, 36), value=0.5), pieces((2, 8)), click(4, 1))
    assert corrected[0, 0, 3, 32] == -0.5
    zero = near_clicks(np.zeros((1, 1, 8, 40), np.float32), pieces((2, 8)), click(20, 1))
    assert (zero > 0)[0, 0, 3, 4], "also where it had none"


def test_objects_are_corrected_each_by_its_own_clicks() -> None:
    drawn = np.concatenate([pieces((2, 8), (12, 18))] * 2)
    corrected = near_clicks(drawn, np.concatenate([pieces()] * 2), np.concatenate([click(3, 1), click(14, 1)]))
    assert same(corrected, np.concatenate([pieces((2, 8)), pieces((12, 18))]))


def test_clicks_are_discs_of_their_sign() -> None:
    points = np.array([[[10.0, 10.0], [40.0, 50.0], [20.0, 20.0]]])
    drawn = clicks(points, np.array([[1, 0, 2]]), image_size=64, size=64)[0, 0]
    assert drawn[10, 10] == 1
    assert drawn[50, 40] == -1
    assert drawn[20, 20] == 0, "a box's corner is no click"
    assert drawn[10, 11] == 1
    assert drawn[10, 13] == 0, "a radius of 0.03 of 64 pixels"
