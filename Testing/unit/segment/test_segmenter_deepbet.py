"""Brain extraction by deepbet's networks: the same mask as deepbet's own run, and only from its own files."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest

from medai.core.errors import ChecksumError, DependencyError, InputError, ModelError
from medai.core.geometry import Geometry
from medai.core.io import read_volume
from medai.core.resample import reorient_array
from medai.core.volume import Volume
from medai.segment.segmenters import _deepbet_files
from medai.segment.segmenters.deepbet import Deepbet

pytest.importorskip("torch")
needs_package = pytest.mark.skipif(importlib.util.find_spec("deepbet") is None, reason="needs the package deepbet")


@pytest.fixture(scope="module")
def phantom() -> Volume:
    array = np.random.default_rng(0).normal(100, 20, (20, 24, 22)).astype(np.float32)
    return Volume(array, Geometry(array.shape, np.diag([8.0, 8.0, 8.0, 1.0])), modality="MR")


@needs_package
def test_the_mask_is_deepbets_own(data_dir):
    bet = pytest.importorskip("deepbet.bet")
    nibabel = pytest.importorskip("nibabel")
    file = data_dir / "brain_t1" / "example_brain_t1.nii.gz"
    own = bet.BrainExtraction(no_gpu=True).run(nibabel.load(str(file)))[1]
    own = np.asarray(own.dataobj).transpose(2, 1, 0) > 0
    found = Deepbet().run(read_volume(file))
    mask = found.array > 0
    assert 2 * np.count_nonzero(mask & own) / (np.count_nonzero(mask) + np.count_nonzero(own)) >= 0.999
    assert found.segments[0].name == "Brain"
    assert found.segments[0].type.meaning == "Brain"
    assert found.meta["deepbet"]["licence"] == "MIT"


@needs_package
def test_the_storage_order_does_not_matter(data_dir):
    head = read_volume(data_dir / "brain_t1" / "example_brain_t1.nii.gz")
    turned = reorient_array(head.array, head.geometry, "PIR")
    plain = Deepbet().run(head)
    other = Deepbet().run(Volume(np.ascontiguousarray(turned[0]), turned[1], modality="MR"))
    back = reorient_array(other.array, other.geometry, "SAR")[0]
    assert np.array_equal(back, reorient_array(plain.array, plain.geometry, "SAR")[0])


@needs_package
def test_an_image_without_a_brain_is_refused(phantom):
    flat = Volume(np.full_like(phantom.array, 7), phantom.geometry, modality="MR")
    with pytest.raises(InputError, match="No brain"):
        Deepbet().run(flat)


def test_without_the_package_the_hint_names_it(phantom, monkeypatch):
    monkeypatch.setattr(_deepbet_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="deepbet") as error:
        Deepbet().run(phantom)
    assert "wheel" in error.value.hint


def test_other_files_of_these_names_are_refused(phantom, tmp_path):
    wheel = tmp_path / "deepbet-1.0.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("data/models/bbox_model.pt", b"something else")
    with pytest.raises(ChecksumError, match="bbox_model"):
        Deepbet().run(phantom, {"package": str(wheel)})


@pytest.mark.parametrize("name", ["nothing.whl", "."])
def test_a_package_without_networks_is_refused(phantom, tmp_path, name):
    with pytest.raises(ModelError, match="cannot be read"):
        Deepbet().run(phantom, {"package": str(tmp_path / Path(name))})
