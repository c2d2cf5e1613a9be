"""The derived areas: equal to surface-distance's for every neighbourhood, and to geometry for a box."""

import numpy as np
import pytest

from voxtrace.eval.surface import surface
from voxtrace.eval.surface_area import surface_areas

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 2.0), (0.7, 5.3, 1.1), (0.05, 20.0, 3.0)]


def corners(code: int, dimensions: int) -> np.ndarray:
    """(4, 4, 4) or (4, 4) bool: the neighbourhood in the middle of an empty array."""
    bits = [bool(code >> bit & 1) for bit in range(2**dimensions)]
    return np.pad(np.array(bits).reshape((2,) * dimensions), 1)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_neighbourhood_has_the_area_that_surface_distance_gives_it(spacing, dimensions):
    tables = pytest.importorskip("surface_distance.lookup_tables", reason="pip install 'voxtrace[test]'")
    spacing = spacing[:dimensions]
    if dimensions == 2:
        theirs = tables.create_table_neighbour_code_to_contour_length(spacing)
        kernel = tables.ENCODE_NEIGHBOURHOOD_2D_KERNEL
    else:
        theirs = tables.create_table_neighbour_code_to_surface_area(spacing)
        kernel = tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL
    middle = (slice(1, 3),) * dimensions
    codes = [(kernel * corners(code, dimensions)[middle]).sum() for code in range(len(theirs))]
    np.testing.assert_allclose(surface_areas(spacing), theirs[codes], rtol=1e-14)


def test_a_box_has_flat_faces_bevelled_edges_and_cut_corners():
    """A bevel is the hypotenuse of two half voxels; a cut corner is a triangle through three of their ends."""
    sizes, (z, y, x) = (4, 3, 6), (3.0, 1.0, 2.0)
    a, b, c = ((n - 1) * s for n, s in zip(sizes, (z, y, x), strict=True))
    faces = 2 * (a * b + b * c + c * a)
    bevels = 4 * (a * np.hypot(y / 2, x / 2) + b * np.hypot(z / 2, x / 2) + c * np.hypot(z / 2, y / 2))
    cuts = 8 * np.linalg.norm([z * y, y * x, x * z]) / 8
    box = np.pad(np.ones(sizes, bool), ((2, 1), (0, 3), (1, 1)))
    assert surface(box, (z, y, x)).areas.sum() == pytest.approx(faces + bevels + cuts, rel=1e-14)


def test_a_rectangle_has_straight_sides_and_cut_corners():
    rectangle = np.pad(np.ones((4, 6), bool), ((2, 0), (1, 3)))
    expected = 2 * (3 * 0.5 + 5 * 2.0) + 4 * np.hypot(0.5 / 2, 2.0 / 2)
    assert surface(rectangle, (0.5, 2.0)).areas.sum() == pytest.approx(expected, rel=1e-14)


def test_elements_lie_at_the_corners_of_a_voxel():
    single = np.zeros((5, 6, 7), bool)
    single[2, 0, 6] = True
    assert surface(single, (3.0, 1.0, 2.0)).corners.T.tolist() == [
        [z, y, x] for z in (2, 3) for y in (0, 1) for x in (6, 7)
    ]
