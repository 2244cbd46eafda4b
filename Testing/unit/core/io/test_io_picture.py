from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.core.errors import AmbiguousInput, InputError, TruncatedFile, UnsupportedInput
from medai.core.io import read_labelmap, read_volume

Image = pytest.importorskip("PIL.Image")


def saved(path: Path, array: Any, **options: Any) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_is_exact(tmp_path: Path, suffix: str, dtype: Any, rng: np.random.Generator) -> None:
    array = rng.integers(0, np.iinfo(dtype).max, (7, 9)).astype(dtype)
    volume = read_volume(saved(tmp_path / f"x{suffix}", array))
    assert volume.array.dtype == dtype
    np.testing.assert_array_equal(volume.array, array[None])
    assert volume.is_2d
    assert [f.code for f in volume.flags] == ["ORIENT_UNKNOWN"]
    assert volume.geometry.spacing == (1, 1, 1)


def test_real_and_32_bit_tiff(tmp_path: Path, rng: np.random.Generator) -> None:
    for array in (rng.normal(size=(7, 9)).astype(np.float32), rng.integers(-(2**31), 2**31, (7, 9)).astype(np.int32)):
        volume = read_volume(saved(tmp_path / "x.tif", array))
        assert volume.array.dtype == array.dtype
        np.testing.assert_array_equal(volume.array[0], array)
    nan = np.full((3, 3), np.nan, np.float32)
    assert "INT_NAN" in [f.code for f in read_volume(saved(tmp_path / "n.tif", nan)).flags]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_colour(tmp_path: Path, suffix: str) -> None:
    options = {"quality": 95, "subsampling": 0} if suffix == ".jpg" else {}
    array = np.zeros((16, 24, 3), np.uint8)
    array[:8, :, 0], array[8:, :, 2] = 200, 100
    volume = read_volume(saved(tmp_path / f"x{suffix}", array, **options))
    assert volume.components == 3
    tolerance = 12 if suffix == ".jpg" else 0
    assert np.abs(volume.array[0].astype(int) - array).max() <= tolerance
    assert ("LOSSY_COMPRESSED" in [f.code for f in volume.flags]) == (suffix == ".jpg")


def test_transparency_is_dropped_only_if_it_says_nothing(tmp_path: Path) -> None:
    array = np.full((4, 5, 4), 255, np.uint8)
    assert read_volume(saved(tmp_path / "a.png", array)).components == 3
    array[0, 0, 3] = 7
    volume = read_volume(saved(tmp_path / "b.png", array))
    np.testing.assert_array_equal(volume.array[0], array)


def test_palette_gives_colours_as_image_and_indices_as_labels(tmp_path: Path) -> None:
    indices = np.array([[0, 1], [2, 2]], np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette([0, 0, 0, 10, 20, 30, 200, 0, 0] + [0] * 759)
    image.save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "x.png").array[0, 1, 1], [200, 0, 0])
    np.testing.assert_array_equal(read_labelmap(tmp_path / "x.png").array[0], indices)
    with pytest.raises(UnsupportedInput, match="3 components"):
        read_labelmap(saved(tmp_path / "rgb.png", np.zeros((3, 3, 3), np.uint8)))


def test_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(np.eye(4, dtype=bool)).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "x.png").array[0] > 0, np.eye(4, dtype=bool))


@pytest.mark.parametrize(
    ("dpi", "spacing"), [((254, 127), (0.1, 0.2)), ((72, 72), None), ((300, 300), None), ((1e-9, 1), None)]
)
def test_resolution_counts_only_if_it_is_no_default(tmp_path: Path, dpi: Any, spacing: Any) -> None:
    volume = read_volume(saved(tmp_path / "x.tif", np.zeros((3, 4), np.uint8), dpi=dpi))
    np.testing.assert_allclose(volume.geometry.spacing[:2], spacing or (1, 1), rtol=1e-6)
    assert ("1 mm is assumed" in volume.flags[0].message) == (spacing is None)
    if dpi[0] > 1:
        png = read_volume(saved(tmp_path / "x.png", np.zeros((3, 4), np.uint8), dpi=dpi))
        np.testing.assert_allclose(png.geometry.spacing[:2], spacing or (1, 1), rtol=1e-2)


def test_pages_need_a_choice(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((3, 4), n, np.uint8)) for n in range(3)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(AmbiguousInput, match="3 pages"):
        read_volume(tmp_path / "x.tif")
    assert read_volume(tmp_path / "x.tif", frame=2).array.max() == 2
    with pytest.raises(InputError, match="no page 3"):
        read_volume(tmp_path / "x.tif", frame=3)


def test_sixteen_bit_colour_would_lose_bits(tmp_path: Path) -> None:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.full((4, 5, 3), 4660, np.uint16), isVector=True)
    for suffix in (".png", ".tif"):
        sitk.WriteImage(image, str(tmp_path / f"x{suffix}"))
        with pytest.raises(InputError, match=r"16-bit|no readable|bits"):
            read_volume(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_cut_and_foreign_pictures(tmp_path: Path, suffix: str, rng: np.random.Generator) -> None:
    file = saved(tmp_path / f"x{suffix}", rng.integers(0, 255, (64, 64), dtype=np.uint8))
    whole = file.read_bytes()
    for share in (0.05, 0.3, 0.6, 0.9):
        file.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError):
            read_volume(file)
    file.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        read_volume(file)
    file.write_text("no picture")
    with pytest.raises(InputError, match="no readable"):
        read_volume(file)


def test_every_flipped_bit_of_a_png_is_seen(tmp_path: Path, rng: np.random.Generator) -> None:
    file = saved(tmp_path / "x.png", rng.integers(0, 255, (6, 6), dtype=np.uint8))
    whole = file.read_bytes()
    for position in range(8, len(whole)):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        with pytest.raises((TruncatedFile, InputError)):
            read_volume(file)


def test_a_png_that_claims_a_continent(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1_000_000, 1_000_000, 8, 0, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(InputError, match=r"far too many|GiB"):
        read_volume(tmp_path / "x.png")


def test_other_formats_are_not_opened(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "x.bmp")
    (tmp_path / "x.bmp").rename(tmp_path / "x.png")
    with pytest.raises(InputError, match="no readable"):
        read_volume(tmp_path / "x.png")
