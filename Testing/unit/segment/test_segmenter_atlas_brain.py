"""The template's brain in a head: where it lies, how large it is, and its margin."""

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.geometry import Geometry
from medai.core.io import read_volume
from medai.core.volume import Volume
from medai.segment.atlas import AtlasFit, template_path
from medai.segment.segmenters.atlas_brain import AtlasBrain, template_brain

pytest.importorskip("nilearn")


@pytest.fixture(scope="module")
def template() -> Volume:
    volume = read_volume(template_path())
    # Every second voxel: quick, and no interpolation is involved.
    array = volume.array[::2, ::2, ::2]
    matrix = volume.geometry.ijk_to_ras @ np.diag([2.0, 2.0, 2.0, 1.0])
    return Volume(array, Geometry(array.shape, matrix), modality="MR")


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_the_map_of_the_template_to_itself_gives_its_brain(template):
    found = template_brain(template, AtlasFit(np.eye(4), 1.0))
    assert dice(found, template.array > 0) > 0.98


def test_a_moved_and_scaled_map_moves_and_scales_the_brain(template):
    fit = AtlasFit(np.array([[0.9, 0, 0, 8.0], [0, 0.9, 0, -4.0], [0, 0, 0.9, 6.0], [0, 0, 0, 1.0]]), 1.0)
    still, moved = template_brain(template, AtlasFit(np.eye(4), 1.0)), template_brain(template, fit)
    assert moved.sum() / still.sum() == pytest.approx(0.9**3, rel=0.02)
    centre = [template.geometry.to_ras(np.argwhere(m).mean(axis=0)[::-1]) for m in (still, moved)]
    assert np.allclose(centre[1], fit.to_image(tuple(centre[0])), atol=0.5)


def test_the_margin_is_millimetres_in_the_image(template):
    from scipy import ndimage

    grown, shrunk, mask = (template_brain(template, AtlasFit(np.eye(4), 1.0), m) for m in (6.0, -6.0, 0.0))
    distance = ndimage.distance_transform_edt(~mask, sampling=template.geometry.spacing_kji)
    assert dice(grown, distance <= 6.0) > 0.97
    assert (grown & mask).sum() == mask.sum()
    assert shrunk.sum() < mask.sum()


def test_a_real_head_gets_a_brain_of_a_real_size(data_dir):
    head = read_volume(data_dir / "brain_t1" / "example_brain_t1.nii.gz")
    labels = AtlasBrain().run(head)
    assert labels.segments[0].type.meaning == "Brain"
    assert 1150 < labels.volumes_ml()["Brain"] < 1400
    assert labels.meta["atlas"]["mutual_information"] > 0.3


def test_an_image_without_a_brain_is_refused():
    with pytest.raises(InputError):
        AtlasBrain().run(Volume(np.arange(4096.0).reshape(16, 16, 16), Geometry.from_spacing((16, 16, 16))))
