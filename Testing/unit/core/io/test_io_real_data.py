"""Real files, with nibabel and SimpleITK as oracles."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medai.core.io import list_series, read_labelmap, read_volume, write_labelmap, write_volume
from medai.core.sitk import geometry_of

pytestmark = pytest.mark.data
NIFTI = [
    "brain_t1/example_brain_t1.nii.gz",
    "totalsegmentator/example_ct_sm.nii.gz",
    "totalsegmentator/example_mr_sm.nii.gz",
    "totalsegmentator/example_ct.nii.gz",
    "msd_hippocampus/images/hippocampus_001.nii.gz",
    "msd_hippocampus/labels/hippocampus_001.nii.gz",
    "prostate_nifti/img.nii.gz",
    "prostate_nifti/seg_two_labels.nii.gz",
    "ibsi_ct_phantom/nifti/image/phantom.nii.gz",
    "sts/STS_002/CT_image.nii.gz",
    "sts/STS_002/PET_image.nii.gz",
    "sts/STS_002/PET_mask.nii.gz",
]
NRRD = [
    "pyradiomics/brain1_image.nrrd",
    "pyradiomics/brain1_label.nrrd",
    "pyradiomics/prostate_phantom_subvolume.nrrd",
    "prostate_nifti/seg_multilabel.nrrd",
]
SERIES = [
    ("totalsegmentator/example_ct_dicom", (20, 512, 512), "CT"),
    ("ibsi_ct_phantom/dicom/image", (60, 201, 204), "CT"),
    ("qin_prostate_adc_seg/ADC", (20, 256, 256), "MR"),
    ("dcmqi_seg/24x38x3/image", (3, 38, 24), "CT"),
    ("rt_utils/oriented_data", (3, 50, 100), "CT"),
]


def existing(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path.name} is not among the test data")
    return path


@pytest.mark.parametrize("name", NIFTI)
def test_nifti_agrees_with_nibabel(data_dir: Path, name: str, tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    file = existing(data_dir / name)
    volume, peer = read_volume(file), nib.load(file)
    np.testing.assert_array_equal(volume.array, np.asarray(peer.dataobj).T)
    np.testing.assert_array_equal(volume.geometry.ijk_to_ras, peer.affine)
    for suffix in (".nii.gz", ".nrrd") if volume.array.size < 2_000_000 else (".nii",):
        write_volume(volume, tmp_path / f"x{suffix}")
        assert read_volume(tmp_path / f"x{suffix}").digest() == volume.digest()


@pytest.mark.parametrize("name", NRRD)
def test_nrrd_agrees_with_simpleitk(data_dir: Path, name: str) -> None:
    import SimpleITK as sitk

    file = existing(data_dir / name)
    volume, peer = read_volume(file), sitk.ReadImage(str(file))
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(peer))
    assert volume.geometry.same_as(geometry_of(peer), 1e-6)


@pytest.mark.parametrize(("name", "shape", "modality"), SERIES)
def test_dicom_agrees_with_simpleitk(data_dir: Path, name: str, shape: tuple[int, ...], modality: str) -> None:
    import SimpleITK as sitk

    pytest.importorskip("pydicom")
    folder = existing(data_dir / name)
    (info,) = list_series(folder)
    assert (info.shape, info.modality, info.count) == (shape, modality, shape[0])
    volume = read_volume(folder)
    peer = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    np.testing.assert_allclose(volume.array, sitk.GetArrayFromImage(peer), rtol=1e-6)
    assert volume.geometry.same_as(geometry_of(peer), 1e-3)
    assert volume.modality == modality
    assert volume.flags == ()


def test_jpeg_2000_ct_matches_its_nifti(data_dir: Path) -> None:
    pytest.importorskip("pydicom")
    volume = read_volume(existing(data_dir / "totalsegmentator/example_ct_dicom"))
    assert volume.unit == "[hnsf'U]"
    assert volume.array.min() == -1024
    assert volume.meta["ConvolutionKernel"].startswith("Br38")


def test_enhanced_multi_frame_equals_the_classic_series(data_dir: Path) -> None:
    pytest.importorskip("pydicom")
    classic = read_volume(existing(data_dir / "dcmqi_seg/24x38x3/image"))
    enhanced = read_volume(existing(data_dir / "dcmqi_seg/24x38x3/multiframe"))
    np.testing.assert_array_equal(classic.array, enhanced.array)
    assert classic.geometry.same_as(enhanced.geometry)


def test_a_folder_of_many_series_is_listed(data_dir: Path) -> None:
    pytest.importorskip("pydicom")
    found = list_series(existing(data_dir / "dcmqi_seg"))
    assert len(found) == 5
    chosen = max(found, key=lambda info: info.shape[1])
    assert read_volume(data_dir / "dcmqi_seg", series_uid=chosen.uid).array.shape == chosen.shape


CODECS = ["J2KI", "J2KR", "JLSL", "JLSN", "JPLL", "JPLY", "RLE"]
LOSSLESS = {"J2KR", "JLSL", "JPLL", "RLE"}


@pytest.fixture(scope="session")
def uncompressed(data_dir: Path, tmp_path_factory: Any) -> dict[str, Any]:
    """The uncompressed originals, by modality."""
    pytest.importorskip("pydicom")
    if not shutil.which("zstd"):
        pytest.skip("the originals are packed with zstd")
    folder = tmp_path_factory.mktemp("wg04")
    found = {}
    for name in ("CT2", "MR4"):
        target = folder / f"{name}.dcm"
        subprocess.run(["zstd", "-dq", str(existing(data_dir / "wg04" / f"{name}_UNC.zst")), "-o", target], check=True)
        found[name] = read_volume(target)
    return found


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", ["CT2", "MR4"])
def test_every_codec(data_dir: Path, uncompressed: dict[str, Any], codec: str, name: str) -> None:
    import SimpleITK as sitk

    file = existing(data_dir / "wg04" / f"{name}_{codec}")
    volume, original = read_volume(file), uncompressed[name]
    assert volume.geometry == original.geometry
    if codec in LOSSLESS:
        np.testing.assert_array_equal(volume.array, original.array)
        assert volume.flags == ()
    else:
        assert [f.code for f in volume.flags] == ["LOSSY_COMPRESSED"]
        assert np.corrcoef(volume.array.ravel(), original.array.ravel())[0, 1] > 0.99
    np.testing.assert_allclose(volume.array, sitk.GetArrayFromImage(sitk.ReadImage(str(file))), rtol=1e-6)


def test_label_maps_survive(data_dir: Path, tmp_path: Path) -> None:
    labels = read_labelmap(existing(data_dir / "totalsegmentator/example_seg.nii.gz"))
    assert len(labels.segments) > 5
    write_labelmap(labels, tmp_path / "x.seg.nrrd")
    assert read_labelmap(tmp_path / "x.seg.nrrd").digest() == labels.digest()


def test_segmentations_and_structures_are_no_images(data_dir: Path) -> None:
    pytest.importorskip("pydicom")
    from medai.core.errors import InputError

    for name in ("highdicom/seg_image_ct_binary.dcm", "rt_utils/invalid_reference_rt.dcm"):
        with pytest.raises(InputError, match=r"segmentation|no image"):
            read_volume(existing(data_dir / name))
