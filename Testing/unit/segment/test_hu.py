"""Limits of tissues in HU, and the check that an image is in HU."""

import math

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.qc import QCFlag, Severity
from medai.core.volume import Volume
from medai.segment.anatomy import KNOWN
from medai.segment.hu import HU, TISSUES, hu_flags


def volume(low, high, dtype=np.int16, **more):
    array = np.linspace(low, high, 4 * 5 * 6).astype(dtype).reshape(4, 5, 6)
    return Volume(array, Geometry.from_spacing(array.shape), **more)


@pytest.mark.parametrize(
    "image",
    [
        volume(-1024, 1500),
        volume(-1024, 1500, modality="CT"),
        volume(-1024, 1500, modality="CT", unit=HU),
        volume(-3024, 3071, np.float32, unit=HU),
        volume(-80, 200, modality="CT", unit=HU),  # a cut-out of the liver, by its header in HU
    ],
)
def test_hu_is_not_flagged(image):
    assert hu_flags(image) == ()


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (volume(0, 4095, np.uint16), "smallest value is 0"),
        (volume(0, 4095, modality="CT"), "smallest value is 0"),
        (volume(0, 4095, modality="CT", unit=HU), "smallest value is 0"),
        (volume(-3, 3, np.float32), "smallest value is -3"),
        (volume(-1024, 1500, modality="MR"), "modality is MR"),
        (volume(-1024, 1500, modality="PT", unit="Bq/mL"), "in Bq/mL"),
        (volume(math.nan, math.nan, np.float32), "no finite value"),
    ],
)
def test_other_images_are_flagged(image, word):
    (flag,) = hu_flags(image)
    assert flag.code == "INT_RANGE_NOT_HU"
    assert flag.severity == Severity.WARNING
    assert word in flag.message


def test_what_the_reader_said_is_kept():
    flag = QCFlag("INT_RANGE_NOT_HU", Severity.WARNING, "No rescale slope.")
    assert hu_flags(volume(-1024, 1500, flags=(flag,))) == (flag,)


def test_real_ct_is_in_hu(data_dir):
    from medai.core.io import read_volume

    assert hu_flags(read_volume(data_dir / "totalsegmentator" / "example_ct.nii.gz")) == ()


def test_every_tissue_has_limits_in_order_a_known_name_and_a_source():
    for limits in TISSUES.values():
        assert (limits.lower is None) or (limits.upper is None) or limits.lower < limits.upper
        assert limits.segment in KNOWN
        assert limits.source
