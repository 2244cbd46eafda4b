from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from medai.core.errors import Cancelled, InputError, OutputError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.io import read_labelmap, read_volume, write_labelmap, write_volume
from medai.core.io.writing import quaternion, write_image
from medai.core.labelmap import LabelMap, Segment
from medai.core.progress import CancelToken
from medai.core.sitk import geometry_of
from medai.core.volume import Volume

SUFFIXES = [".nii", ".nii.gz", ".nrrd", ".mha"]
TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
ALL_48 = [
    (axes, signs) for axes in itertools.permutations(range(3)) for signs in itertools.product((1.0, -1.0), repeat=3)
]


def oblique(shape: tuple[int, int, int] = (3, 4, 5)) -> Geometry:
    direction = np.linalg.qr(np.array([[0.3, -1.0, 0.2], [1.1, 0.3, -0.2], [0.1, 0.2, 2.0]]))[0]
    return Geometry.from_spacing(shape, (0.7, 0.8, 2.5), (-101.3, 22.7, 33.1), direction)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip_is_exact_in_all_48_orientations(tmp_path: Path, suffix: str, rng: np.random.Generator) -> None:
    array = rng.integers(-1000, 3000, (3, 4, 5)).astype(np.int16)
    for axes, signs in ALL_48:
        direction = np.eye(3)[:, axes] * signs
        geometry = Geometry.from_spacing((3, 4, 5), (0.5, 0.75, 2.25), (-12.5, 30.25, 7.0), direction)
        file = tmp_path / f"x{suffix}"
        write_volume(Volume(array, geometry), file)
        back = read_volume(file)
        assert back.digest() == Volume(array, geometry).digest()
        np.testing.assert_array_equal(back.geometry.ijk_to_ras, geometry.ijk_to_ras)
        assert back.geometry.orientation == geometry.orientation


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_simpleitk_and_nibabel_see_the_same_in_all_48_orientations(tmp_path: Path, suffix: str) -> None:
    import SimpleITK as sitk

    nib = pytest.importorskip("nibabel")
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    for axes, signs in ALL_48:
        geometry = Geometry.from_spacing((3, 4, 5), (0.5, 0.75, 2.25), (-12.5, 30.25, 7.0), np.eye(3)[:, axes] * signs)
        file = tmp_path / f"x{suffix}"
        write_volume(Volume(array, geometry), file)
        image = sitk.ReadImage(str(file))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), array)
        assert geometry_of(image).same_as(geometry, 1e-4)
        if suffix.startswith(".nii"):
            peer = nib.load(file)
            np.testing.assert_array_equal(np.asarray(peer.dataobj), array.T)
            np.testing.assert_array_equal(peer.get_sform(), geometry.ijk_to_ras)
            np.testing.assert_allclose(peer.get_qform(), geometry.ijk_to_ras, atol=1e-5)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_is_kept(tmp_path: Path, suffix: str, dtype: str) -> None:
    import SimpleITK as sitk

    limits = np.iinfo(dtype) if dtype[0] in "iu" else np.finfo(dtype)
    array = np.resize(np.array([limits.min, limits.max, 0, 1, 100], dtype=dtype), (3, 4, 5))
    for stored in (array, array.astype(array.dtype.newbyteorder(">")), array.transpose(2, 1, 0)):
        geometry = oblique(stored.shape)
        write_volume(Volume(stored, geometry), tmp_path / f"x{suffix}")
        back = read_volume(tmp_path / f"x{suffix}")
        assert back.array.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(back.array, stored)
        assert back.geometry.difference_mm(geometry) < (1e-4 if "nii" in suffix else 1e-9)
        assert back.flags == ()
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"x{suffix}"))), stored)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("dtype", "components"), [("u1", 3), ("u1", 4), ("f4", 3), ("i2", 2)])
def test_components(tmp_path: Path, suffix: str, dtype: str, components: int) -> None:
    import SimpleITK as sitk

    array = np.arange(60 * components).reshape(3, 4, 5, components).astype(dtype)
    write_volume(Volume(array, oblique()), tmp_path / f"x{suffix}")
    back = read_volume(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(back.array, array)
    image = sitk.ReadImage(str(tmp_path / f"x{suffix}"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), array)


def test_half_precision_and_booleans_are_widened(tmp_path: Path) -> None:
    for given, expected in ((np.float16, np.float32), (np.bool_, np.uint8)):
        write_volume(Volume(np.ones((3, 4, 5), given), oblique()), tmp_path / "x.nii.gz")
        assert read_volume(tmp_path / "x.nii.gz").array.dtype == expected


def test_shear_survives_where_the_format_can_hold_it(tmp_path: Path) -> None:
    matrix = np.diag([1.0, 1, 2, 1])
    matrix[0, 2] = 0.5
    volume = Volume(np.zeros((3, 4, 5), np.int16), Geometry((3, 4, 5), matrix))
    for suffix in (".nii", ".nii.gz", ".nrrd"):
        write_volume(volume, tmp_path / f"x{suffix}")
        back = read_volume(tmp_path / f"x{suffix}")
        np.testing.assert_array_equal(back.geometry.ijk_to_ras, matrix)
        assert [f.code for f in back.flags] == ["GEOM_SHEAR_TILT"]
    with pytest.raises(UnsupportedInput, match="sheared"):
        write_volume(volume, tmp_path / "x.mha")
    assert not (tmp_path / "x.mha").exists()


def test_nifti2_where_nifti1_cannot(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    long = Volume(np.zeros((1, 1, 40_000), np.uint8), Geometry.from_spacing((1, 1, 40_000)))
    far = Volume(
        np.zeros((2, 2, 2), np.uint8), Geometry.from_spacing((2, 2, 2), (0.001, 0.001, 0.001), (1234567.89, 0.1, 0.2))
    )
    for number, volume in enumerate((long, far)):
        file = tmp_path / f"{number}.nii.gz"
        write_volume(volume, file)
        assert read_volume(file).digest() == volume.digest()
        assert isinstance(nib.load(file), nib.Nifti2Image)
        np.testing.assert_allclose(nib.load(file).affine, volume.geometry.ijk_to_ras, rtol=1e-12)


def test_random_rotations_give_the_right_quaternion(rng: np.random.Generator) -> None:
    nib = pytest.importorskip("nibabel")
    for _ in range(200):
        direction = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        geometry = Geometry.from_spacing((2, 2, 2), (1, 2, 3), (0, 0, 0), direction)
        b, c, d, qfac = quaternion(geometry)
        rotation = nib.quaternions.quat2mat([np.sqrt(max(0.0, 1 - b * b - c * c - d * d)), b, c, d])
        np.testing.assert_allclose(rotation * [1, 1, qfac], direction, atol=1e-7)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_images_give_equal_files(tmp_path: Path, suffix: str) -> None:
    volume = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), oblique())
    write_volume(volume, tmp_path / f"a{suffix}")
    write_volume(volume, tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".seg.nrrd"])
def test_row_58_headers_hold_nothing_from_meta_or_name(tmp_path: Path, suffix: str) -> None:
    import gzip

    array = np.zeros((3, 4, 5), np.uint8)
    volume = Volume(array, oblique(), name="CANARY", meta={"descrip": "CANARY"})
    write_volume(volume, tmp_path / f"x{suffix}")
    data = (tmp_path / f"x{suffix}").read_bytes()
    assert b"CANARY" not in (gzip.decompress(data) if suffix == ".nii.gz" else data)


def test_writing_is_atomic_and_refuses_politely(tmp_path: Path) -> None:
    volume = Volume(np.zeros((3, 4, 5), np.int16), oblique())
    old = tmp_path / "x.nii.gz"
    old.write_bytes(b"old")
    for target, error in (
        (tmp_path / "none" / "x.nii", OutputError),
        (tmp_path / "x.png", InputError),
        (tmp_path, InputError),
        (tmp_path / "x", InputError),
    ):
        with pytest.raises(error):
            write_volume(volume, target)
    with pytest.raises(UnsupportedInput, match="cannot hold"):
        write_image(np.zeros((3, 4, 5), np.longdouble), volume.geometry, old)
    assert old.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.nii.gz"]


@pytest.mark.parametrize("name", ["with space.nii.gz", "-dash.nrrd", "日本語 ü.mha", "x" * 200 + ".nii"])
def test_row_35_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / ("-a b ü" * 20)
    folder.mkdir()
    volume = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), oblique())
    write_volume(volume, folder / name)
    np.testing.assert_array_equal(read_volume(folder / name).array, volume.array)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labelmaps(tmp_path: Path, suffix: str) -> None:
    array = np.zeros((3, 4, 5), np.uint16)
    array[1, 2, 3], array[0] = 300, 7
    labels = LabelMap(array, oblique(), (Segment(7, "seven"), Segment(300, "three hundred")))
    write_labelmap(labels, tmp_path / f"x{suffix}")
    back = read_labelmap(tmp_path / f"x{suffix}", segments=labels.segments)
    np.testing.assert_array_equal(back.array, array)
    assert back.segments == labels.segments
    assert [s.name for s in read_labelmap(tmp_path / f"x{suffix}").segments] == ["Label 7", "Label 300"]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_write_that_is_stopped_leaves_nothing_new(tmp_path: Path, suffix: str) -> None:
    class Later(CancelToken):
        """Stops at the second question: in the middle of the voxels."""

        asked = 0

        def check(self) -> None:
            self.asked += 1
            if self.asked == 2:
                self.cancel()
            super().check()

    path = tmp_path / f"old{suffix}"
    path.write_bytes(b"old")
    image = Volume(np.zeros((40, 512, 512), np.uint8), Geometry.from_spacing((40, 512, 512), (1.0, 1.0, 1.0)))
    with pytest.raises(Cancelled):
        write_volume(image, path, cancel=Later())
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
