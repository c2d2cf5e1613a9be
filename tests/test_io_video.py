"""Video: frame i is frame i, from the front, from behind and after a jump."""

import av
import numpy as np
import pytest
from PIL import Image

from voxtrace.errors import GeometryError, InputError, OutputError
from voxtrace.io import read, read_mask, write
from voxtrace.volume import Video

COUNT = 40


def film(path, codec="libx264", count=COUNT, gop=12):
    """48 x 64, frame i shows i as eight bars, black or white: no codec is bad enough to blur that."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = (
            {"threads": "1"} if codec == "mjpeg" else {"threads": "1", "bf": "2", "g": str(gop), "sc_threshold": "0"}
        )
        for index in range(count):
            bars = np.repeat(np.unpackbits(np.uint8([index])) * 255, 8)
            picture = np.ascontiguousarray(np.broadcast_to(bars[None, :, None], (48, 64, 3)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return path


def number(frame):
    return int(np.packbits(frame[24, 4::8, 0] > 127)[0])


KINDS = [("v.mp4", "libx264"), ("v.avi", "mpeg4"), ("v.avi", "mjpeg"), ("v.mkv", "libx264"), ("v.mov", "mpeg4")]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A film of each of KINDS."""
    return {(name, codec): film(tmp_path_factory.mktemp(codec) / name, codec) for name, codec in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
@pytest.mark.parametrize("order", [range(COUNT), range(COUNT - 1, -1, -1), [39, 0, 20, 19, 21, 3, 38, 0]], ids=str)
def test_every_frame_is_the_one_asked_for(films, kind, order):
    video = read(films[kind])
    assert [number(video.frames[index]) for index in order] == list(order)


def test_a_video_knows_its_shape_and_rate(tmp_path):
    video = read(film(tmp_path / "v.mp4"))
    assert isinstance(video, Video)
    assert video.shape == (COUNT, 48, 64)
    assert video.fps == 25
    assert video.frames[3].dtype == np.uint8


def test_a_transport_stream_without_seeking_starts_anew(tmp_path):
    video = read(film(tmp_path / "v.mpg", "mpeg2video"))
    assert [number(video.frames[index]) for index in (30, 2, 39)] == [30, 2, 39]


@pytest.mark.parametrize("index", [-1, COUNT])
def test_a_frame_that_is_not_there_is_an_index_error(tmp_path, index):
    with pytest.raises(IndexError, match=r"frames are 0..39"):
        read(film(tmp_path / "v.mp4")).frames[index]


@pytest.mark.parametrize("name", ["v.mp4", "v.avi"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_video_is_refused(tmp_path, name, kept):
    path = film(tmp_path / name, "mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match="cut off"):
        read(path)


def test_a_frame_that_is_damaged_is_told_and_those_behind_the_next_key_frame_are_whole(tmp_path):
    with av.open(str(film(tmp_path / "v.mp4", gop=10))) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        start, size = next((p.pos, p.size) for p in packets if p.pts == sorted(q.pts for q in packets)[13])
    with (tmp_path / "v.mp4").open("rb+") as file:
        file.seek(start)
        file.write(b"\xff" * size)
    video = read(tmp_path / "v.mp4")
    with pytest.raises(InputError, match=r"v.mp4: frame 1\d of 40 cannot be decoded"):
        [video.frames[index] for index in range(20)]
    assert [number(video.frames[index]) for index in (20, 35, 3)] == [20, 35, 3]


def test_a_video_that_is_gone_when_it_must_be_opened_again_is_told(tmp_path, monkeypatch):
    video = read(film(tmp_path / "v.mpg", "mpeg2video"))
    monkeypatch.setattr(video.frames, "_seekable", False)
    assert number(video.frames[30]) == 30
    (tmp_path / "v.mpg").unlink()
    with pytest.raises(InputError, match=r"frame 2 of 40 cannot be decoded; the file is damaged or gone"):
        video.frames[2]


@pytest.mark.parametrize("harm", [lambda file: file.unlink(), lambda file: file.write_bytes(b"")])
def test_a_picture_of_a_folder_that_is_gone_or_damaged_is_told(folder, harm):
    video = read(folder)
    harm(video.frames.paths[2])
    with pytest.raises(InputError, match=r"the frame .*frame10.* is gone or damaged"):
        video.frames[2]


def test_a_file_with_sound_only_is_refused(tmp_path):
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="no picture track"):
        read(tmp_path / "v.mp4")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "frames").mkdir()
    for index in (1, 2, 10):
        Image.fromarray(np.full((6, 7), index, np.uint8)).save(tmp_path / "frames" / f"frame{index}.png")
    return tmp_path / "frames"


def test_a_folder_of_pictures_is_a_video_in_natural_order(folder):
    video = read(folder)
    assert video.shape == (3, 6, 7)
    assert [int(frame[0, 0, 0]) for frame in video.frames] == [1, 2, 10]


def test_pictures_of_different_size_are_no_video_and_the_way_out_is_said(folder):
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(folder / "frame3.png")
    with pytest.raises(InputError, match=r"frame1\.png is 6x7, frame3\.png is 6x8 .*oneprompt"):
        read(folder)


def test_sixteen_bit_frames_share_one_window(tmp_path):
    for index, low in enumerate((0, 1000, 2000)):
        pixels = np.linspace(low + 1, low + 2000, 42).astype(np.uint16).reshape(6, 7)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    means = [frame.mean() for frame in read(tmp_path).frames]
    assert means[0] < means[1] < means[2]


def test_masks_of_a_folder_have_the_frames_names(folder, tmp_path):
    mask = np.arange(3 * 6 * 7).reshape(3, 6, 7) % 5
    video = read(folder)
    write(tmp_path / "out", mask, like=video)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["frame1.png", "frame10.png", "frame2.png"]
    assert (read_mask(tmp_path / "out", like=video) == mask).all()


def test_masks_of_a_file_are_numbered(tmp_path):
    video = read(film(tmp_path / "v.mp4", count=3))
    write(tmp_path / "out", np.ones((3, 48, 64), np.uint8), like=video)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["00000.png", "00001.png", "00002.png"]


def test_frames_without_a_mask_are_empty(folder, tmp_path):
    video = read(folder)
    write(tmp_path / "out", np.ones((3, 6, 7), np.uint8), like=video)
    (tmp_path / "out" / "frame2.png").unlink()
    assert read_mask(tmp_path / "out", like=video).any(axis=(1, 2)).tolist() == [True, False, True]


def test_a_folder_without_any_frames_mask_is_refused(folder, tmp_path):
    video = read(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no mask named like a frame, as frame1\.png"):
        read_mask(tmp_path / "empty", like=video)


def test_a_mask_of_another_size_names_its_file(folder, tmp_path):
    video = read(folder)
    (tmp_path / "m").mkdir()
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / "m" / "frame2.png")
    with pytest.raises(GeometryError, match=r"frame2\.png has shape \(5, 7\)"):
        read_mask(tmp_path / "m", like=video)


def test_masks_are_not_written_over_the_frames(folder):
    with pytest.raises(OutputError, match="is the scan itself"):
        write(folder, np.ones((3, 6, 7), np.uint8), like=read(folder), overwrite=True)


def test_masks_that_exist_are_not_replaced_unasked(folder, tmp_path):
    video, mask = read(folder), np.ones((3, 6, 7), np.uint8)
    write(tmp_path / "out", mask, like=video)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="already holds 3 of the masks"):
        write(tmp_path / "out", mask, like=video)
    write(tmp_path / "out", mask * 2, like=video, overwrite=True)
    assert read_mask(tmp_path / "out", like=video).max() == 2
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.data
def test_a_real_video_and_its_masks_have_the_same_frames(data_root):
    case = next((data_root / "video__cine_mri_sunnybrook").glob("*/frames")).parent
    video = read(case / "frames")
    assert read_mask(case / "masks", like=video).shape == video.shape


@pytest.mark.parametrize(("room", "seeks"), [(200, 1), (50, 4)])
def test_a_walk_back_through_frames_without_a_key_frame_seeks_once_a_roomful(tmp_path, monkeypatch, room, seeks):
    monkeypatch.setattr("voxtrace.io.video.KEPT_BYTES", room * 48 * 64 * 3)
    frames = read(film(tmp_path / "v.mp4", count=200, gop=1000)).frames
    assert number(frames[199]) == 199
    sought, seek = [], frames._seek
    monkeypatch.setattr(frames, "_seek", lambda index: (sought.append(index), seek(index)))
    order = range(182, -1, -1)  # those before 183 are not kept any more
    assert [number(frames[index]) for index in order] == list(order)
    assert len(sought) == seeks
    assert len(frames._kept) <= room
