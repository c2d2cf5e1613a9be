"""Pictures as they are stored: no turn, no alpha, no lost bits."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from voxtrace.errors import InputError, OutputError
from voxtrace.io import read, read_mask, write
from voxtrace.volume import Picture, Volume

GREY = np.arange(6 * 7, dtype=np.uint8).reshape(6, 7) * 5
RGB = np.stack([GREY, GREY[::-1], 255 - GREY], -1)


@pytest.mark.parametrize("name", ["p.png", "p.bmp", "p.tif", "p.tiff"])
@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "colour"])
def test_pixels_are_those_that_were_stored(tmp_path, name, pixels):
    Image.fromarray(pixels).save(tmp_path / name)
    picture = read(tmp_path / name)
    assert isinstance(picture, Picture)
    assert (picture.pixels == pixels).all()


def test_a_jpeg_is_about_what_was_stored(tmp_path):
    Image.fromarray(np.full((6, 7), 100, np.uint8)).save(tmp_path / "p.jpg", quality=95)
    assert np.abs(read(tmp_path / "p.jpg").pixels.astype(int) - 100).max() <= 2


def test_alpha_is_dropped(tmp_path):
    Image.fromarray(np.dstack([RGB, GREY])).save(tmp_path / "p.png")
    assert (read(tmp_path / "p.png").pixels == RGB).all()


def test_sixteen_bit_png_keeps_its_bits(tmp_path):
    pixels = np.array([[0, 300], [40000, 65535]], np.uint16)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    assert (read(tmp_path / "p.png").pixels == pixels).all()


def test_a_palette_picture_has_its_colours(tmp_path):
    image = Image.fromarray(GREY % 3)
    image = image.convert("P")
    image.putdata((GREY % 3).ravel().tolist())
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "p.png")
    assert read(tmp_path / "p.png").pixels[0, 1].tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]][GREY[0, 1] % 3]


def test_a_palette_mask_has_its_indices(tmp_path):
    image = Image.new("P", (7, 6))
    image.putdata((GREY % 3).ravel().tolist())
    image.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
    image.save(tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png") == GREY % 3).all()


def test_a_black_and_white_picture_is_0_and_255(tmp_path):
    Image.fromarray(GREY > 100).save(tmp_path / "p.png")
    assert np.unique(read(tmp_path / "p.png").pixels).tolist() == [0, 255]


def test_a_camera_turn_is_not_followed_and_said(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "p.jpg", exif=exif)
    with pytest.warns(UserWarning, match=r"p\.jpg asks to be shown rotated.*orientation 6"):
        assert read(tmp_path / "p.jpg").shape == (6, 7)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_of_every_depth_and_packing(tmp_path, compression, dtype):
    tifffile.imwrite(tmp_path / "p.tif", GREY.astype(dtype) * 7, compression=compression)
    assert (read(tmp_path / "p.tif").pixels == GREY.astype(dtype) * 7).all()


def test_a_tiff_with_separate_colour_planes_is_a_colour_picture(tmp_path):
    tifffile.imwrite(tmp_path / "p.tif", np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate")
    assert (read(tmp_path / "p.tif").pixels == RGB).all()


def test_a_tiff_with_alpha_loses_it(tmp_path):
    tifffile.imwrite(tmp_path / "p.tif", np.dstack([RGB, GREY]), photometric="rgb", extrasamples=["unassalpha"])
    assert (read(tmp_path / "p.tif").pixels == RGB).all()


def test_white_is_zero_is_turned_round(tmp_path):
    tifffile.imwrite(tmp_path / "p.tif", GREY, photometric="miniswhite")
    assert (read(tmp_path / "p.tif").pixels == 255 - GREY).all()


def test_a_tiff_of_many_grey_pages_is_a_volume(tmp_path):
    stack = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack")
    volume = read(tmp_path / "s.tif")
    assert isinstance(volume, Volume)
    assert (volume.array == stack).all()
    assert volume.spacing_mm == (1, 1, 1)


def test_a_stack_of_three_small_pages_is_no_colour(tmp_path):
    stack = np.arange(3 * 6 * 7, dtype=np.uint16).reshape(3, 6, 7)
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack")
    assert read(tmp_path / "s.tif").shape == (3, 6, 7)


def test_a_stack_of_colour_pages_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", np.stack([RGB, RGB]), photometric="rgb")
    with pytest.raises(InputError, match=r"shape \(2, 6, 7, 3\)"):
        read(tmp_path / "s.tif")


def test_tiff_pages_of_different_size_ask_which(tmp_path):
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        file.write(GREY, photometric="minisblack")
        file.write(GREY[:3], photometric="minisblack")
    with pytest.raises(InputError, match=r"holds 2 images, 0..1. Take one: s\.tif#0"):
        read(tmp_path / "s.tif")
    assert read(f"{tmp_path / 's.tif'}#1").shape == (3, 7)


@pytest.mark.parametrize("name", ["m.png", "m.bmp", "m.tif", "m.npz", "m.nii.gz", "m.seg.nrrd"])
def test_a_mask_of_a_picture_comes_back(tmp_path, name):
    picture = Picture(RGB)
    write(tmp_path / name, GREY % 4, like=picture)
    assert (read_mask(tmp_path / name, like=picture) == GREY % 4).all()


def test_many_objects_make_a_sixteen_bit_png(tmp_path):
    mask = GREY.astype(np.uint16) * 100
    write(tmp_path / "m.png", mask, like=Picture(RGB))
    assert (read_mask(tmp_path / "m.png") == mask).all()


def test_labels_are_not_written_as_jpeg(tmp_path):
    with pytest.raises(OutputError, match="JPEG blurs labels"):
        write(tmp_path / "m.jpg", GREY, like=Picture(RGB))


def test_a_jpeg_is_no_mask(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "m.jpg")
    with pytest.raises(InputError, match="blurs labels"):
        read_mask(tmp_path / "m.jpg")


def test_a_coloured_mask_is_refused(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "m.png")
    with pytest.raises(InputError, match="is coloured"):
        read_mask(tmp_path / "m.png")


def test_a_grey_mask_saved_as_colour_is_read(tmp_path):
    Image.fromarray(np.dstack([GREY] * 3)).save(tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png") == GREY).all()
