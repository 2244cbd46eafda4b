"""Single slices: X-ray pictures, mammograms and photographs through the readers, the filters and a pipeline."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from medai.core.errors import MedAIError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.io import read_labelmap, read_volume, write_labelmap
from medai.core.labelmap import LabelMap, Segment
from medai.core.volume import Volume
from medai.segment.pipeline import run, run_pipeline
from medai.segment.preprocess import PREPROCESS

EXAMPLES = Path(__file__).parents[2] / "contracts" / "step_examples"
SIZE = (48, 60)
SAME_GRID = sorted(cls.name for cls in PREPROCESS.classes() if not cls.changes_grid)
CHANGING = sorted(cls.name for cls in PREPROCESS.classes() if cls.changes_grid)


def picture(rng, channels=0):
    """A bright ellipse in noise, 8 bits."""
    y, x = np.mgrid[-1 : 1 : SIZE[0] * 1j, -1 : 1 : SIZE[1] * 1j]
    grey = np.where((x / 0.6) ** 2 + (y / 0.7) ** 2 < 1, 160.0, 40.0) + rng.normal(0, 6, SIZE)
    if channels:
        grey = np.stack([grey * (1 - 0.2 * n) for n in range(channels)], axis=-1)
    return np.clip(grey, 0, 255).astype(np.uint8)


def flat(rng, channels=0, thickness=1.0):
    array = picture(rng, channels)[None]
    return Volume(array, Geometry.from_spacing((1, *SIZE), (0.4, 0.5, thickness), (3.0, 4.0, 5.0)), modality="DX")


def run_filter(name, image):
    step = PREPROCESS.create(name)
    example = EXAMPLES / f"{name}.json"
    settings = json.loads(example.read_text("utf-8"))["settings"] if example.is_file() else {}
    more = {}
    if step.uses_labels == "required":
        array = np.zeros(image.geometry.shape, np.uint8)
        array[:, 16:32, 20:40] = 1
        more["labels"] = LabelMap(array, image.geometry, (Segment(1, "Body"),))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return step.run(image, settings, **more)


@pytest.fixture(params=SAME_GRID)
def name(request):
    if reason := next(c for c in PREPROCESS.classes() if c.name == request.param).unavailable_reason():
        pytest.skip(reason)
    return request.param


def test_the_filters_are_there():
    assert {"gaussian", "median", "suv"} <= set(SAME_GRID)
    assert {"resample", "resample_to", "reorient", "crop", "crop_foreground", "pad"} <= set(CHANGING)


def test_every_filter_works_on_a_single_slice_in_its_plane(name, rng):
    """Or refuses in a sentence; the slice's thickness means nothing to what happens in its plane."""
    results = []
    for thickness in (0.01, 1.0, 40.0):
        image = flat(np.random.default_rng(5), thickness=thickness)
        try:
            result = run_filter(name, image)
        except MedAIError as refusal:
            assert refusal.message.endswith(".")  # noqa: PT017 - either outcome is right
            results.append(refusal.message)
            continue
        assert result.geometry == image.geometry
        assert result.array.shape == image.array.shape
        assert np.isfinite(result.array).all()
        results.append(result.array)
    assert len({type(r) for r in results}) == 1
    if isinstance(results[0], np.ndarray):
        for other in results[1:]:
            np.testing.assert_allclose(other.astype(float), results[0].astype(float), rtol=1e-4, atol=1e-3)


def test_every_filter_works_on_a_photograph_or_refuses(name, rng):
    image = flat(rng, 3)
    try:
        result = run_filter(name, image)
    except UnsupportedInput as refusal:
        assert re.search(r"scalar.*\.$", refusal.message)  # noqa: PT017 - either outcome is right
        return
    assert result.geometry == image.geometry
    assert np.isfinite(result.array).all()
    if name == "grey":  # one value of several is what it is for
        assert result.array.shape == image.array.shape[:3]
        return
    assert result.array.shape == image.array.shape
    for n in range(3):
        alone = run_filter(name, image.replace(array=image.array[..., n]))
        np.testing.assert_allclose(result.array[..., n].astype(float), alone.array.astype(float), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("changing", CHANGING)
def test_filters_that_change_the_grid_take_pictures(changing, channels, rng):
    image = flat(rng, channels)
    result = run_filter(changing, image)
    assert result.array.shape[3:] == image.array.shape[3:]
    if changing not in ("resample_to", "reorient"):
        assert result.geometry.shape[0] == 1
        assert result.geometry.spacing[2] == image.geometry.spacing[2]


def test_a_photograph_in_luminance_keeps_its_hue(rng):
    image = flat(rng, 3)
    result = PREPROCESS.create("contrast").run(image, {"colour": "luminance"}) if "contrast" in SAME_GRID else None
    if result is None or result.array.shape != image.array.shape:
        pytest.skip("no contrast filter")
    grown = result.array.astype(float) - image.array
    unclipped = ((result.array > 0) & (result.array < 255)).all(axis=3)
    assert np.ptp(grown[unclipped], axis=-1).max() <= 1.0


PIPELINE = [
    {"step": "median", "settings": {"radius": 1}},
    {"step": "crop", "settings": {"box": "voxels", "first_ijk": [2, 2, 0], "size_ijk": [54, 44, 0]}},
    {"step": "threshold", "settings": {"method": "otsu", "name": "Body"}},
]


def body(image):
    return np.asarray(image)[None] > 100


def check_labels(volume, expected):
    labels = run(volume, PIPELINE)
    assert labels.geometry == volume.geometry
    found = labels.array > 0
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.98
    return labels


def test_a_png_x_ray_to_labels(rng, tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    array = picture(rng)
    image_module.fromarray(array).save(tmp_path / "x.png", dpi=(254, 127))
    volume = read_volume(tmp_path / "x.png")
    assert volume.is_2d
    assert volume.array.shape == (1, *SIZE)
    labels = check_labels(volume, body(array))
    write_labelmap(labels, tmp_path / "seg.nii.gz")
    back = read_labelmap(tmp_path / "seg.nii.gz")
    np.testing.assert_array_equal(back.array, labels.array)
    assert back.geometry.same_as(volume.geometry)


def test_a_colour_photograph_is_filtered_and_its_green_segmented(rng, tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    array = picture(rng, 3)
    image_module.fromarray(array).save(tmp_path / "skin.png")
    volume = read_volume(tmp_path / "skin.png")
    assert volume.array.shape == (1, *SIZE, 3)
    filtered = run_pipeline(volume, PIPELINE[:2]).image
    assert filtered.array.shape == (1, 44, 54, 3)
    with pytest.raises(UnsupportedInput, match="scalar"):
        run(volume, PIPELINE)
    green = volume.replace(array=volume.array[..., 1])
    check_labels(green, body(array[..., 0]))


def mammogram(path, pixels, **attributes):
    pydicom = pytest.importorskip("pydicom")
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "2.25.4711"
    data.Modality, data.SeriesInstanceUID = "MG", "2.25.815"
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.ImagerPixelSpacing = [0.07, 0.05]
    data.PixelData = pixels.astype("<u2").tobytes()
    data["PixelData"].VR = "OW"
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("kind", ["MONOCHROME2", "MONOCHROME1"])
def test_a_dicom_mammogram_to_labels(rng, tmp_path, kind):
    """Without a position; the negative gives the same labels, because it is read as a positive."""
    array = picture(rng)
    stored = array.astype(np.uint16) * 16
    if kind == "MONOCHROME1":
        stored = 4095 - stored
    volume = read_volume(mammogram(tmp_path / "m.dcm", stored, PhotometricInterpretation=kind))
    assert volume.modality == "MG"
    assert volume.geometry.spacing[:2] == pytest.approx((0.05, 0.07))
    np.testing.assert_array_equal(volume.array[0], array.astype(np.uint16) * 16)
    labels = check_labels(volume, body(array))
    assert "ORIENT_UNKNOWN" in {f.code for f in volume.flags}
    assert labels.volumes_ml()["Body"] > 0


def test_a_mammogram_is_resampled_in_its_plane(rng, tmp_path):
    volume = read_volume(mammogram(tmp_path / "m.dcm", picture(rng).astype(np.uint16)))
    result = PREPROCESS.create("resample").run(volume, {"isotropic_mm": 0.1})
    assert result.geometry.shape == (1, 34, 30)  # ceil(48 x 0.07 / 0.1), ceil(60 x 0.05 / 0.1)
    assert result.geometry.spacing[2] == volume.geometry.spacing[2]
