"""Flags of an image that a model was not made for: modality, raw values instead of HU, a single slice."""

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.inference.prepare import ChannelEntry, Normalise, PrepareSettings
from medai.segment.inference.quality import image_flags

HU_STEPS = (Normalise(method="clip", low=-900.0, high=1300.0), Normalise(method="shift_scale", mean=50.0, sd=100.0))
OWN_STEPS = (Normalise(method="zscore"),)


def image(low=-1000, high=2000, modality="CT", shape=(4, 5, 6)):
    array = np.linspace(low, high, int(np.prod(shape))).astype(np.int16).reshape(shape)
    return Volume(array, Geometry.from_spacing(shape), modality=modality)


@pytest.fixture
def model(engine_manifest):
    def make(*channels, modality="", **inference):
        manifest = engine_manifest(**inference)
        description = manifest.description.model_copy(update={"modality": modality})
        return manifest.model_copy(update={"prepare": PrepareSettings(channels=channels), "description": description})

    return make


def codes(volume, manifest):
    return [flag.code for flag in image_flags(volume, manifest)]


CT = ChannelEntry(name="CT", modality="CT", normalise=HU_STEPS)
PET = ChannelEntry(name="PET", modality="PT", normalise=OWN_STEPS)


def test_a_ct_in_hu_is_not_flagged(model):
    assert codes(image(), model(CT, modality="CT")) == []
    assert codes(image(modality=""), model(CT)) == []


@pytest.mark.parametrize("modality", ["CT", ""])
def test_raw_values_for_a_model_of_hu(model, modality):
    (flag,) = image_flags(image(0, 4095, modality), model(CT))
    assert flag.code == "INT_RANGE_NOT_HU"
    assert flag.measured == 0


def test_values_that_the_model_measures_itself_need_no_hu(model):
    assert codes(image(0, 4095), model(ChannelEntry(modality="CT", normalise=OWN_STEPS))) == []
    assert codes(image(0, 4095), model(ChannelEntry(modality="CT", normalise=(Normalise(method="range"),)))) == []
    assert codes(image(0, 4095, "MR"), model(ChannelEntry(modality="MR", normalise=HU_STEPS))) == []


def test_a_fixed_range_is_in_hu(model):
    step = Normalise(method="range", low=-57.0, high=164.0, clip=True)
    assert codes(image(0, 4095), model(ChannelEntry(normalise=(step,)), modality="CT")) == ["INT_RANGE_NOT_HU"]


@pytest.mark.parametrize("channels", [(CT,), ()])
def test_another_modality_is_flagged_once(model, channels):
    (flag,) = image_flags(image(0, 500, "MR"), model(*channels, modality="CT"))
    assert flag.code == "MODALITY_MISMATCH"
    assert flag.severity.value == "error"
    assert (flag.measured, flag.limit) == ("MR", "CT")


def test_the_channels_modality_counts_where_the_model_names_none(model):
    assert codes(image(0, 500, "MR"), model(CT)) == ["MODALITY_MISMATCH"]


def test_channels_of_several_modalities(model):
    both = model(CT, PET)
    assert codes(image(modality="CT"), both) == []
    assert codes(image(modality="PT"), both) == []
    (flag,) = image_flags(image(modality="MR"), both)
    assert flag.limit == "CT and PT"
    assert codes(image(modality="MR"), model(CT, ChannelEntry(name="any"))) == []


def test_a_single_slice_for_a_3d_model(model):
    assert codes(image(shape=(1, 5, 6)), model(CT)) == ["DOMAIN_OOD"]
    assert codes(image(shape=(5, 6, 1)), model(CT)) == ["DOMAIN_OOD"]
    assert codes(image(shape=(1, 5, 6)), model(CT, window=(1, 8, 8), dims=2)) == []
