"""A rough mask from colours, where they tell the object."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxtrace.model.looks import looks  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

RED, PINK, WHITE, YELLOW = (0.6, 0.0, 0.1), (0.9, 0.6, 0.7), (1.0, 1.0, 1.0), (1.0, 0.9, 0.1)


def disc(y: float, x: float, radius: float, size: int = 48) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def cell(y: float, x: float, kernel: float = 6, colour=RED) -> tuple[torch.Tensor, torch.Tensor]:
    """A kernel in a pink cell on white, with noise: picture (1, 3, 48, 48), kernel (1, 1, 48, 48)."""
    picture = np.broadcast_to(WHITE, (48, 48, 3)).copy()
    picture[disc(y, x, 12)], picture[disc(y, x, kernel)] = PINK, colour
    picture += np.random.default_rng(int(y)).normal(0, 0.03, picture.shape)
    mask = torch.from_numpy(disc(y, x, kernel))[None, None].float()
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float(), mask


def dice(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_the_kernel_is_found_elsewhere_and_under_another_lamp():
    (first, mask), (other, wanted) = cell(14, 16), cell(30, 28, kernel=8)
    for picture in (other, other * torch.tensor([1.4, 0.8, 0.9])[:, None, None] + 0.3):
        drawn, reliable = looks(picture, [(mask * 20 - 10, first)])
        assert reliable.tolist() == [True]
        assert dice(drawn > 0, wanted > 0) > 0.95
        assert float(drawn.abs().max()) <= 10


def test_what_colours_do_not_tell_is_not_relied_on():
    """One of two cells that look alike, and a mask on nothing but noise."""
    first, mask = cell(12, 12)
    twin, _ = cell(34, 34)
    both = torch.minimum(first, twin)
    picture, _ = cell(30, 28)
    assert looks(picture, [(mask * 20 - 10, both)])[1].tolist() == [False]
    noise = torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    assert looks(picture, [(mask * 20 - 10, noise)])[1].tolist() == [False]


def test_objects_are_judged_each_for_itself():
    (first, mask), (other, wanted) = cell(14, 16), cell(30, 28, kernel=8)
    masks = torch.cat([mask, torch.zeros_like(mask), torch.ones_like(mask)]) * 20 - 10
    drawn, reliable = looks(other, [(masks, first)])
    assert reliable.tolist() == [True, False, False]
    assert torch.equal(drawn[:1], looks(other, [(masks[:1], first)])[0])
    assert dice(drawn[:1] > 0, wanted > 0) > 0.95
    assert not drawn[1:].any()


def test_a_second_marked_picture_adds_its_colours():
    (first, mask), (second, known) = cell(14, 16), cell(20, 20, colour=YELLOW)
    other, wanted = cell(30, 28, kernel=8, colour=YELLOW)
    alone = looks(other, [(mask * 20 - 10, first)])[0] > 0
    together = looks(other, [(mask * 20 - 10, first), (known * 20 - 10, second)])[0] > 0
    assert dice(alone, wanted > 0) < 0.5
    assert dice(together, wanted > 0) > 0.9
