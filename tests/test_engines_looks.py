"""A rough mask from colours, where they tell the object."""

import numpy as np

from voxtrace.engines.looks import looks

RED, PINK, WHITE, YELLOW = (0.6, 0.0, 0.1), (0.9, 0.6, 0.7), (1.0, 1.0, 1.0), (1.0, 0.9, 0.1)


def disc(y: float, x: float, radius: float, size: int = 48) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def cell(y: float, x: float, kernel: float = 6, colour=RED) -> tuple[np.ndarray, np.ndarray]:
    """A kernel in a pink cell on white, with noise: picture (1, 3, 48, 48), kernel (1, 1, 48, 48)."""
    picture = np.broadcast_to(WHITE, (48, 48, 3)).copy()
    picture[disc(y, x, 12)], picture[disc(y, x, kernel)] = PINK, colour
    picture += np.random.default_rng(int(y)).normal(0, 0.03, picture.shape)
    mask = disc(y, x, kernel)[None, None].astype(np.float32)
    return picture.transpose(2, 0, 1)[None].astype(np.float32), mask


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_the_kernel_is_found_elsewhere_and_under_another_lamp():
    (first, mask), (other, wanted) = cell(14, 16), cell(30, 28, kernel=8)
    for picture in (other, other * np.array([1.4, 0.8, 0.9])[:, None, None] + 0.3):
        drawn, reliable = looks(picture, [(mask * 20 - 10, first)])
        assert reliable.tolist() == [True]
        assert dice(drawn > 0, wanted > 0) > 0.95
        assert float(np.abs(drawn).max()) <= 10


def test_what_colours_do_not_tell_is_not_relied_on():
    """One of two cells that look alike, and a mask on nothing but noise."""
    first, mask = cell(12, 12)
    twin, _ = cell(34, 34)
    both = np.minimum(first, twin)
    picture, _ = cell(30, 28)
    assert looks(picture, [(mask * 20 - 10, both)])[1].tolist() == [False]
    noise = np.random.default_rng(0).standard_normal((1, 3, 48, 48))
    assert looks(picture, [(mask * 20 - 10, noise)])[1].tolist() == [False]


def test_objects_are_judged_each_for_itself():
    (first, mask), (other, wanted) = cell(14, 16), cell(30, 28, kernel=8)
    masks = np.concatenate([mask, np.zeros_like(mask), np.ones_like(mask)]) * 20 - 10
    drawn, reliable = looks(other, [(masks, first)])
    assert reliable.tolist() == [True, False, False]
    assert np.array_equal(drawn[:1], looks(other, [(masks[:1], first)])[0])
    assert dice(drawn[:1] > 0, wanted > 0) > 0.95
    assert not drawn[1:].any()


def test_a_second_marked_picture_adds_its_colours():
    (first, mask), (second, known) = cell(14, 16), cell(20, 20, colour=YELLOW)
    other, wanted = cell(30, 28, kernel=8, colour=YELLOW)
    alone = looks(other, [(mask * 20 - 10, first)])[0] > 0
    together = looks(other, [(mask * 20 - 10, first), (known * 20 - 10, second)])[0] > 0
    assert dice(alone, wanted > 0) < 0.5
    assert dice(together, wanted > 0) > 0.9


def test_large_pictures_are_looked_at_small():
    """200 pixels a side: areas of two sizes share lines, and the mask comes back in the picture's own size."""
    (first, mask), (other, wanted) = cell(14, 16), cell(30, 28, kernel=8)
    rows = np.arange(200) * 48 // 200

    def large(x: np.ndarray) -> np.ndarray:
        return x[..., rows[:, None], rows]

    drawn, reliable = looks(large(other), [(large(mask) * 20 - 10, large(first))])
    assert drawn.shape == (1, 1, 200, 200)
    assert reliable.tolist() == [True]
    assert dice(drawn > 0, large(wanted) > 0) > 0.95
