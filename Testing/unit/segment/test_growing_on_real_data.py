"""Regions grown from one seed each in real CTs: how good they are, and that they do not get worse.

The seed is the deepest voxel of the reference.  The labels of the abdominal CT were made by a machine, without contrast
agent the organs differ little from their surroundings, and the tumour of the IBSI phantom is not homogeneous: the
numbers say what one point and no correction give, not more.
"""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from medai.core.io import read_labelmap, read_volume
from medai.segment import run

pytestmark = pytest.mark.data


def deepest(mask, geometry):
    depth = distance_transform_edt(np.pad(mask, 1), sampling=geometry.spacing_kji)[1:-1, 1:-1, 1:-1]
    k, j, i = np.unravel_index(depth.argmax(), depth.shape)
    return [float(v) for v in geometry.to_ras(np.array([i, j, k], dtype=float))]


def dice(one, two):
    return 2 * (one & two).sum() / (one.sum() + two.sum())


def grown(image, truth, name, step, settings, open_mm):
    seeds = [{"ras": deepest(truth, image.geometry), "segment": name}]
    pipeline = [
        {"step": "median", "settings": {"radius": 1}},
        {"step": step, "settings": {**settings, "seeds": seeds}},
        *(
            [{"step": "open", "settings": {"radius_mm": open_mm}}, {"step": "keep_at", "settings": {"seeds": seeds}}]
            if open_mm
            else []
        ),
        {"step": "close", "settings": {"radius_mm": 6.0}},
        {"step": "fill_holes"},
    ]
    return dice(run(image, pipeline).array > 0, truth)


@pytest.fixture(scope="module")
def abdomen(data_dir):
    folder = data_dir / "totalsegmentator"
    return read_volume(folder / "example_ct.nii.gz"), read_labelmap(folder / "example_seg_fast_force_split.nii.gz")


@pytest.mark.parametrize(
    ("organ", "label", "measured"),
    [("Liver", 5, 0.730), ("Spleen", 1, 0.699), ("Right kidney", 2, 0.797), ("Left kidney", 3, 0.819)],
)
def test_an_organ_from_one_seed(abdomen, organ, label, measured):
    image, labels = abdomen
    settings = {"multiplier": 2.0}
    assert grown(image, labels.array == label, organ, "confidence_connected", settings, 0.0) > measured - 0.02


def test_the_tumour_of_the_ibsi_phantom(data_dir):
    """The mask holds air and vessels (5th percentile -668 HU), which no interval around one seed takes in."""
    folder = data_dir / "ibsi_ct_phantom" / "nifti"
    image = read_volume(folder / "image" / "phantom.nii.gz")
    truth = read_labelmap(folder / "mask" / "mask.nii.gz").array > 0
    measured = 0.476
    assert grown(image, truth, "Tumour", "confidence_connected", {"multiplier": 2.0}, 5.0) > measured - 0.02
