"""Windows: which value becomes which grey, how they are named, and what is chosen without a word."""

import warnings

import numpy as np
import pytest

from phantoms import phantom
from voxtrace.errors import InputError
from voxtrace.volume import Picture, Volume
from voxtrace.windowing import NAMED, AsIs, FullRange, Level, Percentile, automatic, parse_window


def test_level_maps_its_ends_to_black_and_white_and_its_centre_to_middle_grey():
    hu = np.array([[-1000, -160, 40, 240, 3000]], np.int16)
    assert Level(40, 400).apply(hu).tolist() == [[0, 0, 127, 255, 255]]


def test_percentile_leaves_zeros_out():
    array = np.concatenate([np.zeros(10_000), np.arange(1, 1001)]).astype(np.float32)
    limits = Percentile(0.5, 99.5).limits(array)
    assert limits.low == pytest.approx(np.percentile(np.arange(1, 1001), 0.5))
    assert limits.high == pytest.approx(np.percentile(np.arange(1, 1001), 99.5))


def test_percentile_of_two_values_that_coincide_falls_back_to_the_range():
    array = np.array([0.0] * 5 + [7.0] * 1000)
    assert Percentile().apply(array).max() == 255


def test_full_range_reaches_black_and_white():
    assert FullRange().apply(np.array([5, 10, 15], np.uint16)).tolist() == [0, 127, 255]


def test_as_is_does_not_touch_uint8():
    array = np.array([3, 200], np.uint8)
    assert AsIs().apply(array) is array


@pytest.mark.parametrize("window", [Level(40, 400), Percentile(), FullRange(), AsIs()], ids=str)
@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64, np.uint8, bool])
def test_every_window_gives_uint8_of_the_same_shape(window, dtype):
    array = np.random.default_rng(1).integers(0, 2, (3, 4, 5)).astype(dtype)
    grey = window.apply(array)
    assert grey.dtype == np.uint8
    assert grey.shape == (3, 4, 5)


@pytest.mark.parametrize("window", [Percentile(), FullRange()], ids=str)
@pytest.mark.parametrize("value", [0, -7, 1000.5])
def test_a_constant_image_is_black_without_a_division_by_zero(window, value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (window.apply(np.full((2, 3), value)) == 0).all()


def test_not_a_number_and_infinity_are_shown_as_the_smallest_value_and_said():
    array = np.array([np.nan, np.inf, -np.inf, 10.0, 20.0])
    with pytest.warns(UserWarning, match="3 of 5 values are NaN or infinite; they are shown as 10"):
        grey = FullRange().apply(array)
    assert grey.tolist() == [0, 0, 0, 0, 255]


@pytest.mark.parametrize("window", [Level(0, 1), Percentile(), FullRange()], ids=str)
def test_an_image_of_nothing_but_nan_is_refused(window):
    with pytest.raises(InputError, match="all 4 values are NaN"):
        window.apply(np.full(4, np.nan))


def test_complex_values_are_refused():
    with pytest.raises(InputError, match="complex64"):
        FullRange().apply(np.zeros(3, np.complex64))


@pytest.mark.parametrize(
    ("name", "level", "width"), [("lung", -600, 1500), ("Soft tissue", 40, 400), ("bone", 400, 1800)]
)
def test_named_windows(name, level, width):
    assert parse_window(name) == Level(level, width)


@pytest.mark.parametrize("text", ["40/400", "-600/1500", "p0.5-99.5", "p2-98", "full", "as-is", "30.5/7.25"])
def test_a_window_is_printed_as_it_is_typed(text):
    assert str(parse_window(text)) == text


@pytest.mark.parametrize("name", NAMED)
def test_a_named_window_survives_being_printed_and_parsed(name):
    assert parse_window(str(NAMED[name])) == NAMED[name]


def test_an_unknown_window_names_the_near_one():
    with pytest.raises(InputError, match="'lungs': did you mean lung"):
        parse_window("lungs")


@pytest.mark.parametrize("text", ["40/0", "40/-400", "p50-10", "p0-101"])
def test_a_window_of_no_width_is_refused(text):
    with pytest.raises(InputError, match=text):
        parse_window(text)


def test_a_ct_is_shown_in_the_soft_tissue_window():
    assert automatic(phantom(modality="CT")) == Level(40, 400)


def test_values_alone_tell_a_ct():
    assert automatic(phantom(modality=None)) == Level(40, 400)


def test_a_ct_without_negative_values_does_not_hold_hounsfield_units():
    scan = phantom(modality="CT")
    assert automatic(scan.like(scan.array + 2000)) == Percentile()


@pytest.mark.parametrize("modality", ["MR", "PT", None])
def test_other_scans_are_shown_between_percentiles(modality):
    array = np.random.default_rng(0).normal(300, 50, (4, 5, 6)).astype(np.float32)
    assert automatic(Volume(array, modality=modality)) == Percentile(0.5, 99.5)


def test_whole_numbers_below_minus_500_without_air_and_tissue_are_no_ct():
    array = np.full((4, 5, 6), -700, np.int16)
    array[0] = 20_000
    assert automatic(Volume(array)) == Percentile()


def test_eight_bit_pictures_stay_as_they_are():
    assert automatic(Picture(np.zeros((4, 5, 3), np.uint8))) == AsIs()


def test_a_sixteen_bit_grey_picture_is_shown_between_percentiles():
    assert automatic(Picture(np.arange(20, dtype=np.uint16).reshape(4, 5))) == Percentile()


def test_a_scan_of_nothing_but_nan_has_no_automatic_window():
    with pytest.raises(InputError, match="nothing to segment"):
        automatic(Volume(np.full((2, 3, 4), np.nan)))


def test_a_ct_cut_to_the_body_is_told_by_little_air():
    array = np.random.default_rng(0).normal(40, 30, (10, 20, 20)).round()
    array[0, 0, :10] = -1000
    assert automatic(Volume(array)) == Level(40, 400)
