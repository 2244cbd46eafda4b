"""Key images: right place, right side, small enough."""

from __future__ import annotations

import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest

from medai.core.errors import UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap, Segment
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume
from medai.report.boxes import find_boxes
from medai.report.figures import Illustrator
from medai.report.model import KeyImage


def _pixels(image: KeyImage) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(image.png_base64))) as picture:
        assert picture.size == (image.width_px, image.height_px)
        return np.asarray(picture.convert("RGB")).astype(int)


def _near(image: KeyImage, color: tuple[int, int, int]) -> np.ndarray:
    return np.abs(_pixels(image) - np.asarray(color)).max(axis=2) < 40


def _images(volume: Volume, labels: LabelMap, index: int = 0) -> tuple[KeyImage, ...]:
    segment = labels.segments[index]
    artist = Illustrator(volume, labels, 3)
    return artist.illustrate(segment, find_boxes(labels)[segment.label])


def test_three_planes_with_letters(kit: SimpleNamespace) -> None:
    images = _images(*kit.case())
    assert [i.plane for i in images] == ["axial", "coronal", "sagittal"]
    assert [(i.left, i.right, i.top, i.bottom) for i in images] == [
        ("R", "L", "A", "P"),
        ("R", "L", "S", "I"),
        ("A", "P", "S", "I"),
    ]
    for image in images:
        assert "Left organ front" in image.alt
        assert "a.u." in image.caption


def test_the_left_organ_is_on_the_right_of_the_picture(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    for index, side in ((0, "left"), (2, "right")):
        for image in _images(volume, labels, index)[:2]:
            color = tuple(round(255 * c) for c in labels.segments[index].color)
            columns = np.nonzero(_near(image, color))[1]
            assert columns.size > 30
            assert (columns.mean() > image.width_px / 2) == (side == "left")


def test_the_slice_is_where_the_segment_is_largest(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    array = np.zeros_like(labels.array)
    array[10:20, 20:22, 18:20] = 1
    array[14, 14:30, 10:30] = 1  # one thick slice
    axial = _images(volume, labels.replace(array=array))[0]
    assert axial.centre_ras_mm[2] == pytest.approx(volume.geometry.to_ras((0, 0, 14))[2])
    assert axial.title == "Axial"
    assert axial.caption.startswith("Axial S 4.0 mm")


def test_one_voxel_is_outlined_in_every_plane(kit: SimpleNamespace, shrink) -> None:
    volume, labels = kit.case()
    for image in _images(volume, shrink(labels, 1)):
        assert _near(image, (255, 204, 26)).sum() > 8


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.9, 5.0)])
def test_oblique_images_keep_their_sides(kit: SimpleNamespace, spacing: tuple[float, float, float]) -> None:
    volume, labels = kit.case()
    direction = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]) * [-1.0, 1.0, -1.0]
    grid = Geometry.from_spacing(volume.geometry.shape, spacing, (3.0, 5.0, 7.0), direction)
    volume, labels = volume.replace(geometry=grid), labels.replace(geometry=grid)
    left = grid.to_ras(np.argwhere(labels.array == 1)[:, ::-1].astype(float)).mean(axis=0)
    right = grid.to_ras(np.argwhere(labels.array == 3)[:, ::-1].astype(float)).mean(axis=0)
    assert left[0] > right[0], "flipped by the direction: what was left is now right"
    for index, wanted in ((0, "smaller"), (2, "larger")):
        axial = _images(volume, labels, index)[0]
        color = tuple(round(255 * c) for c in labels.segments[index].color)
        columns = np.nonzero(_near(axial, color))[1]
        other = tuple(round(255 * c) for c in labels.segments[2 - index].color)
        others = np.nonzero(_near(axial, other))[1]
        assert columns.size > 20
        if others.size > 20:
            assert (columns.mean() < others.mean()) == (wanted == "smaller")


def test_field_of_view_shows_the_surroundings_but_not_beyond_the_image(kit: SimpleNamespace) -> None:
    images = _images(*kit.case())
    assert {i.field_of_view_mm for i in images} == {48.0}
    volume, labels = kit.case()
    wide = Geometry.from_spacing((36, 48, 40), (6.0, 6.0, 6.0))
    far = _images(volume.replace(geometry=wide), labels.replace(geometry=wide))
    assert far[0].field_of_view_mm == pytest.approx(2.2 * 9 * 6)


def test_outside_of_the_image_is_black(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    for dtype in (np.uint8, np.int16, np.float32):
        coronal = _images(volume.replace(array=np.clip(volume.array, 1, 250).astype(dtype)), labels)[1]
        pixels = _pixels(coronal)
        assert pixels[60, 4:22].max() == 0
        assert pixels[coronal.height_px // 2, coronal.width_px // 2].min() > 0


def test_orientation_that_nobody_knows_gets_no_letters(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    lost = volume.with_flags(QCFlag("ORIENT_UNKNOWN", Severity.WARNING, "not in the file"))
    for image in _images(lost, labels):
        assert image.left == image.right == image.top == image.bottom == ""
        assert image.title == "Slice"
        assert "orientation not recorded" in image.caption


def test_colour_picture_of_one_slice(kit: SimpleNamespace) -> None:
    array = np.zeros((1, 60, 80, 3), np.uint8)
    array[..., 1] = 200
    labels = np.zeros((1, 60, 80), np.uint8)
    labels[0, 10:30, 5:30] = 1
    grid = Geometry.from_spacing((1, 60, 80), direction=np.diag([-1.0, -1.0, 1.0]))
    images = _images(Volume(array, grid, modality="XC"), LabelMap(labels, grid, (Segment(1, "spot", (1, 0.2, 0.2)),)))
    assert len(images) == 1
    rows, columns = np.nonzero(_near(images[0], (255, 51, 51)))
    assert rows.size > 30
    assert columns.mean() < images[0].width_px / 2


def test_two_components_are_refused(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    with pytest.raises(UnsupportedInput, match="scalar"):
        Illustrator(volume.replace(array=np.stack([volume.array] * 2, axis=-1)), labels, 3)


def test_nan_voxels_do_not_matter(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    array = volume.array.copy()
    array[0] = np.nan
    assert len(_images(volume.replace(array=array), labels)) == 3


def test_pictures_shrink_to_their_share(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    box = find_boxes(labels)[1]
    few = Illustrator(volume, labels, 3).illustrate(labels.segments[0], box)
    many = Illustrator(volume, labels, 400).illustrate(labels.segments[0], box)
    assert max(len(base64.b64decode(i.png_base64)) for i in many) <= 3_300_000 // 400
    assert many[0].width_px < few[0].width_px
    assert many[0].left == "R"


def test_the_same_image_gives_the_same_bytes(kit: SimpleNamespace) -> None:
    assert _images(*kit.case()) == _images(*kit.case())
