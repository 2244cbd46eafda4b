"""Several images as channels of one."""

import numpy as np
import pytest

from medai.core.errors import GeometryError, InputError, UnsupportedInput
from medai.core.geometry import Geometry
from medai.core.volume import Volume
from medai.segment.channels import stacked


def volume(value, spacing=(1, 1, 1), dtype=np.int16):
    return Volume(np.full((2, 3, 4), value, dtype), Geometry.from_spacing((2, 3, 4), spacing), modality="MR")


def test_channels_keep_their_order_and_values():
    both = stacked([volume(3), volume(0.5, dtype=np.float32)])
    assert both.components == 2
    assert both.modality == "MR"
    assert (both.array[..., 0] == 3).all()
    assert (both.array[..., 1] == 0.5).all()


def test_one_image_stays_as_it_is():
    one = volume(1)
    assert stacked([one]) is one


def test_what_does_not_fit_is_refused():
    with pytest.raises(GeometryError, match="channel 1"):
        stacked([volume(1), volume(1, (1, 1, 2))])
    with pytest.raises(InputError):
        stacked([])
    with pytest.raises(UnsupportedInput, match="Channel 0"):
        stacked([stacked([volume(1), volume(2)]), volume(3)])
