"""The U-Net segmenter: sides, regions, flags, cancelling; with a tiny network of random weights."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")

from medai.core.errors import Cancelled, DeviceError, InputError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.resample import reorient_array
from medai.core.volume import Volume
from medai.segment.segmenters.unet import UNet


@pytest.fixture
def image(rng):
    from scipy.ndimage import gaussian_filter

    array = gaussian_filter(rng.normal(size=(32, 36, 61)), 1.5).astype(np.float32)
    return Volume(array, Geometry.from_spacing(array.shape, (1, 1, 1), (-30, -20, -15)), modality="MR")


def box(side, r):
    return {"side": side, "centre_ras": [r, 0, 0], "size_mm": [15, 15, 15]}


def run(image, model, regions, **more):
    settings = {"model": str(model), "regions": regions, "device": "cpu", "largest_component": False, **more}
    return UNet().run(image, settings)


def mirrored(image):
    """The same grid with the content mirrored about R = 0."""
    assert image.geometry.to_ras((30, 0, 0))[0] == 0
    return image.replace(array=np.ascontiguousarray(image.array[:, :, ::-1]))


def test_the_right_side_is_the_mirrored_left(image, tiny_model):
    left = run(image, tiny_model, [box("left", -12)])
    right = run(mirrored(image), tiny_model, [box("right", 12)])
    assert left.counts()[1] > 20
    assert left.counts()[2] > 20
    assert [s.name for s in left.segments] == ["Left front", "Left back"]
    assert [s.name for s in right.segments] == ["Right front", "Right back"]
    assert [s.modifier.meaning for s in right.segments] == ["Right", "Right"]
    np.testing.assert_array_equal(left.array, np.where(right.array, right.array - 2, 0)[:, :, ::-1])


def test_a_mirrored_region_is_not_the_plain_one(image, tiny_model):
    plain = run(image, tiny_model, [box("left", 12)])
    turned = run(image, tiny_model, [box("right", 12)])
    assert (plain.array != np.where(turned.array, turned.array - 2, 0)).any()


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SAR", "PIR", "ASL", "IPL", "LAS"])
def test_the_result_does_not_depend_on_how_the_image_is_stored(image, tiny_model, orientation):
    expected = run(image, tiny_model, [box("left", -12), box("right", 12)])
    array, grid = reorient_array(image.array, image.geometry, orientation)
    stored = run(image.replace(array=array, geometry=grid), tiny_model, [box("left", -12), box("right", 12)])
    back, back_grid = reorient_array(stored.array, stored.geometry, "RAS")
    assert back_grid.same_as(expected.geometry)
    np.testing.assert_array_equal(back, expected.array)


def test_the_whole_image_has_segments_without_a_side(image, tiny_model):
    labels = run(image, tiny_model, "image")
    assert [s.name for s in labels.segments] == ["Front", "Back"]
    assert labels.meta["model"]["id"] == "tiny"
    assert labels.meta["device"] == "cpu"
    assert len(labels.meta["regions"]) == 1


def test_only_the_region_is_labelled(image, tiny_model):
    labels = run(image, tiny_model, [box("left", -12)])
    found = labels.geometry.to_ras(np.argwhere(labels.array)[:, ::-1])
    assert np.abs(found - [-12, 0, 0]).max() <= 8.5


def test_the_largest_component_is_kept(image, tiny_model):
    from scipy.ndimage import label

    everything = run(image, tiny_model, "image")
    kept = run(image, tiny_model, "image", largest_component=True)
    full = np.ones((3, 3, 3))
    parts, count = label(everything.array > 0, full)
    assert count > 1
    sizes = np.bincount(parts.ravel())[1:]
    np.testing.assert_array_equal(kept.array, np.where(parts == 1 + sizes.argmax(), everything.array, 0))


def test_flags_say_what_is_outside_the_models_domain(image, tiny_model):
    wide = image.replace(
        geometry=Geometry.from_spacing(image.geometry.shape, (2, 2, 2), (-60, -40, -30)), modality="CT"
    )
    codes = {f.code for f in run(wide, tiny_model, [box("left", -12)]).flags}
    assert {"MODALITY_MISMATCH", "GEOM_SPACING_OUT_OF_MODEL_RANGE"} <= codes


def test_an_implausible_volume_is_flagged_with_both_numbers(image, tiny_model):
    labels = run(image, tiny_model, [box("left", -12)])
    (flag,) = [f for f in labels.flags if f.code == "VOL_IMPLAUSIBLE"]
    assert flag.affects == "Left front"
    assert flag.measured == pytest.approx(labels.volumes_ml()["Left front"])
    assert flag.limit == 0.002


def test_a_region_at_the_border_is_flagged(image, tiny_model):
    labels = run(image, tiny_model, [box("left", -29)])
    assert "FOV_CLIPPED" in {f.code for f in labels.flags}


@pytest.mark.parametrize("shape", [(1, 40, 40), (5, 6, 7)])
def test_an_image_smaller_than_the_window_is_padded(rng, tiny_model, shape):
    small = Volume(rng.normal(size=shape).astype(np.float32), Geometry.from_spacing(shape))
    labels = run(small, tiny_model, "image")
    assert labels.array.shape == shape


def test_what_cannot_be_segmented_is_refused(image, tiny_model):
    with pytest.raises(InputError, match="outside the image"):
        run(image, tiny_model, [box("left", 400)])
    with pytest.raises(InputError, match="same value"):
        run(image.replace(array=np.zeros_like(image.array)), tiny_model, "image")
    with pytest.raises(InputError, match="NaN"):
        run(image.replace(array=np.full_like(image.array, np.nan)), tiny_model, "image")
    with pytest.raises(InputError, match="empty"):
        run(image, tiny_model, [])
    with pytest.raises(InputError, match="mixed"):
        run(image, tiny_model, [box("left", -12), box("", 12)])
    colour = Volume(np.zeros((1, 9, 9, 3)), Geometry.from_spacing((1, 9, 9)))
    with pytest.raises(UnsupportedInput):
        run(colour, tiny_model, "image")


def test_a_device_that_is_not_here_is_refused(image, tiny_model):
    import torch

    if torch.cuda.is_available():
        pytest.skip("CUDA is here")
    with pytest.raises(DeviceError, match="cuda"):
        run(image, tiny_model, "image", device="cuda")


def test_cancel_stops_between_windows(image, tiny_model):
    token = CancelToken()
    seen = []

    def progress(fraction, message=""):
        seen.append(message)
        if message.startswith("window"):
            token.cancel()

    with pytest.raises(Cancelled):
        UNet().run(
            image, {"model": str(tiny_model), "regions": "image", "device": "cpu"}, progress=progress, cancel=token
        )
    assert sum(m.startswith("window") for m in seen) == 1


def test_maps_of_uncertainty_cover_the_regions(image, tiny_model):
    from medai.core.progress import no_progress
    from medai.segment.segmenters.unet import UNetSettings, predict

    regions = [box("left", -12), box("right", 12)]
    plain = {"model": str(tiny_model), "regions": regions, "device": "cpu", "uncertainty": "entropy"}
    found = predict(image, UNetSettings.parse(plain), progress=no_progress, cancel=CancelToken())
    (entropy,) = found.maps.values()
    assert entropy.geometry.same_as(image.geometry)
    inside = np.argwhere(entropy.array > 0)
    where = image.geometry.to_ras(inside[:, ::-1])
    assert np.abs(np.abs(where[:, 0]) - 12).max() <= 8.5
    assert 0 < entropy.array.max() <= 1
    assert found.labels.meta["trust"]["Left front"]["value"] == pytest.approx(
        found.labels.meta["regions"][0]["labels"]["Left front"]["mean_probability"]
    )
    mirror = predict(mirrored(image), UNetSettings.parse(plain), progress=no_progress, cancel=CancelToken())
    np.testing.assert_allclose(mirror.maps["entropy"].array, entropy.array[:, :, ::-1], atol=1e-5)
