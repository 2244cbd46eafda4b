"""nnU-Net's own predictor and MedAI's engine on the same folders and images give the same labels."""

import numpy as np
import pytest

from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.volume import Volume

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")
pytest.importorskip("dynamic_network_architectures")

from medai.segment.formats import FORMATS  # noqa: E402
from medai.segment.inference.run import run_model  # noqa: E402
from medai.segment.models.info import ModelInfo  # noqa: E402

EXACT = {"backend": "torch", "precision": "f32", "device": "cpu", "crop_body": False}
"""What nnU-Net does: the whole image, float32."""
IMAGE = ((30, 30, 42), (2.0, 1.2, 1.4))
COARSE = {"patch": (8, 24, 24), "spacing": (6.0, 1.5, 1.5), "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]]}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def states(nnunet_folder, tmp_path_factory):
    """Weights by name, each trained once."""
    known = {}

    def state(name, **choices):
        if name not in known:
            configuration = choices.pop("configuration", "3d_fullres")
            folder = nnunet_folder(tmp_path_factory.mktemp("trained") / "Dataset001_Toy", configuration, **choices)
            known[name] = folder.train(0)
        return known[name]

    return state


def predictor(folder):
    """nnU-Net's own."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    made = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    made.initialize_from_trained_model_folder(str(folder), None, "checkpoint_final.pth")
    return made


def theirs(folder, images, spacing, previous=None):
    """Labels by nnU-Net; arrays are (C, K, J, I) in the order of the files, spacing is along K, J, I."""
    before = None if previous is None else previous[None].astype(np.int16)
    return predictor(folder).predict_single_npy_array(images, {"spacing": list(spacing)}, before, None, False)


def exact(monkeypatch, *arguments):
    """The same, but nnU-Net adds its windows in float32 instead of float16."""
    with monkeypatch.context() as patch:
        patch.setattr(torch, "half", torch.float32)
        return theirs(*arguments)


def model_of(path):
    manifest = FORMATS.create("nnunet").describe(path, cancel=CancelToken())
    return ModelInfo(manifest.id, manifest.description.title, path, manifest)


def volume_of(images, spacing):
    """The same image, stored in the order R, A, S."""
    array = images[0] if len(images) == 1 else np.ascontiguousarray(np.moveaxis(images, 0, -1))
    geometry = Geometry.from_spacing(images.shape[1:], (spacing[2], spacing[1], spacing[0]))
    return Volume(array, geometry, modality="CT")


def ours(path, images, spacing, **options):
    return run_model(model_of(path), volume_of(images, spacing), {**EXACT, **options}).labels.array


def dice(found, expected, label):
    a, b = found == label, expected == label
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def assert_same(found, expected, labels=2):
    """999 of 1000 voxels have the same label, as have the structures; ``labels`` of them must be there to compare."""
    present = [n for n in np.unique(expected) if n]
    assert len(present) >= labels, np.bincount(expected.ravel())
    assert (found == expected).mean() >= 0.999
    sizes = [(expected == n).sum() for n in present]
    assert np.average([dice(found, expected, n) for n in present], weights=sizes) >= 0.999


def compare(folder, nnunet_phantom, monkeypatch, image=IMAGE, labels=2):
    """MedAI against nnU-Net as it is, and each label against nnU-Net in float32."""
    images, _ = nnunet_phantom(*image, len(folder.channels), 9, folder.air)
    expected = theirs(folder.path, images, image[1])
    found = ours(folder.path, images, image[1])
    assert_same(found, expected, labels)
    precise = exact(monkeypatch, folder.path, images, image[1])
    assert (found == precise).mean() >= 0.9999
    assert all(dice(found, precise, n) >= 0.999 for n in np.unique(precise) if n)
    return images, expected


def test_3d(nnunet_folder, nnunet_phantom, monkeypatch, tmp_path, states):
    """Mirrored over all three axes; with MedAI's own choices (body box, backend, precision) nearly the same."""
    folder = nnunet_folder(tmp_path / "Dataset001_Toy")
    folder.write(states("3d", steps=100))
    images, expected = compare(folder, nnunet_phantom, monkeypatch)
    quick = run_model(model_of(folder.path), volume_of(images, IMAGE[1])).labels.array
    assert (quick == expected).mean() > 0.98


def test_several_folds(nnunet_folder, nnunet_phantom, monkeypatch, tmp_path, states):
    """The members' class scores are averaged."""
    folder = nnunet_folder(tmp_path / "Dataset001_Toy", folds=("fold_0", "fold_1"), mirror=None)
    folder.write(states("3d", steps=100))
    folder.save("fold_1", states("3d b", steps=40, image=((40, 36, 40), (1.5, 1.5, 1.5))))
    images, expected = compare(folder, nnunet_phantom, monkeypatch)
    alone = run_model(model_of(folder.path), volume_of(images, IMAGE[1]), {**EXACT, "members": (1,)}).labels.array
    assert (alone != expected).mean() > 0.001


def test_image_smaller_than_the_window(nnunet_folder, nnunet_phantom, monkeypatch, tmp_path, states):
    folder = nnunet_folder(tmp_path / "Dataset001_Toy", mirror=(2,))
    folder.write(states("3d", steps=100))
    compare(folder, nnunet_phantom, monkeypatch, ((11, 40, 21), (1.5, 1.5, 1.5)), labels=1)


def test_resampling_by_torch(nnunet_folder, nnunet_phantom, monkeypatch, tmp_path, states):
    folder = nnunet_folder(tmp_path / "Dataset001_Toy", resampling="resample_torch_fornnunet", mirror=None)
    folder.write(states("3d", steps=100))
    compare(folder, nnunet_phantom, monkeypatch)


@pytest.mark.parametrize(("axes", "image"), [((0, 1, 2), (12, 40, 42)), ((1, 0, 2), (40, 12, 42))])
def test_thick_slices(nnunet_folder, nnunet_phantom, monkeypatch, tmp_path, states, axes, image):
    """Slices apart from each other (separate z), also if nnU-Net has to bring the slices' axis to the front."""
    folder = nnunet_folder(tmp_path / "Dataset001_Toy", transpose=axes, mirror=(0,), **COARSE)
    folder.write(states("thick", image=((14, 40, 44), (6.0, 1.5, 1.5)), steps=100, **COARSE))
    spacing = tuple(5.0 if n == 12 else 1.3 for n in image)
    compare(folder, nnunet_phantom, monkeypatch, (image, spacing), labels=1)


def test_2d(nnunet_folder, nnunet_phantom, monkeypatch, tmp_path):
    """Slice by slice; slices keep their distance."""
    folder = nnunet_folder(tmp_path / "Dataset001_Toy", "2d", steps=100)
    folder.write()
    compare(folder, nnunet_phantom, monkeypatch, ((9, 40, 44), (5.0, 1.3, 1.2)))


def test_two_channels_inside_a_mask(nnunet_folder, nnunet_phantom, monkeypatch, tmp_path):
    """Air is 0 and cut away; one channel is measured inside the filled mask, the other in the whole box."""
    folder = nnunet_folder(
        tmp_path / "Dataset001_Toy", air=0.0, channels=("T1", "T2"), schemes=["ZScoreNormalization"] * 2,
        masks=[True, False], steps=60, mirror=(1,),
    )  # fmt: skip
    folder.write()
    compare(folder, nnunet_phantom, monkeypatch)


def test_regions(nnunet_folder, nnunet_phantom, monkeypatch, tmp_path):
    folder = nnunet_folder(
        tmp_path / "Dataset001_Toy", labels={"background": 0, "all": [1, 2, 3], "right": [2, 3], "core": 3},
        order=(1, 2, 3), steps=100, mirror=None,
    )  # fmt: skip
    folder.write()
    compare(folder, nnunet_phantom, monkeypatch)


def test_residual_encoder_and_own_intensities(nnunet_folder, nnunet_phantom, monkeypatch, tmp_path):
    folder = nnunet_folder(
        tmp_path / "Dataset001_Toy", residual=True, schemes=["RescaleTo01Normalization"], steps=40, mirror=(0, 2)
    )
    folder.write()
    compare(folder, nnunet_phantom, monkeypatch, labels=1)


def test_random_weights(nnunet_folder, nnunet_phantom, monkeypatch, tmp_path):
    """Untrained, with a last layer that answers loudly: every class appears."""
    folder = nnunet_folder(tmp_path / "Dataset001_Toy", steps=1, mirror=(1,), seed=4)
    state = folder.train(4)
    generator = torch.Generator().manual_seed(3)
    for name, value in state.items():
        if ".seg_layers." in name and value.ndim > 1:
            value.copy_(torch.randn(value.shape, generator=generator) * 4)
    folder.write(state)
    compare(folder, nnunet_phantom, monkeypatch)


def test_cascade(nnunet_folder, nnunet_phantom, monkeypatch, tmp_path, states):
    """The second stage reads the first one's labels as further channels."""
    root = tmp_path / "Dataset001_Toy"
    low = nnunet_folder(root, "3d_lowres", spacing=(2.5, 2.5, 2.5), mirror=None)
    low.write(states("3d", steps=100))
    full = nnunet_folder(
        root, "3d_cascade_fullres", previous="3d_lowres", mirror=(2,), steps=60,
        configurations={"3d_lowres": low.plans()["configurations"]["3d_lowres"]},
    )  # fmt: skip
    full.write()
    images, _ = nnunet_phantom(*IMAGE, 1, 9)
    first = theirs(low.path, images, IMAGE[1])
    expected = theirs(full.path, images, IMAGE[1], first)
    assert_same(ours(root, images, IMAGE[1]), expected)
    blind = theirs(full.path, images, IMAGE[1], np.zeros_like(first))
    assert (blind != expected).mean() > 0.01


def test_files_in_another_orientation(nnunet_folder, nnunet_phantom, monkeypatch, tmp_path, states):
    """A reader that reorients: from a file stored along (P, I, R), both give the same file of labels."""
    nibabel = pytest.importorskip("nibabel")
    from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient

    from medai.core.io import read_volume

    folder = nnunet_folder(tmp_path / "Dataset001_Toy", reader="NibabelIOWithReorient", mirror=None)
    folder.write(states("3d", steps=100))
    images, _ = nnunet_phantom(*IMAGE, 1, 9)
    stored = nibabel.Nifti1Image(images[0].transpose(2, 1, 0), np.diag([1.4, 1.2, 2.0, 1.0]))
    wanted = nibabel.orientations.axcodes2ornt("PIR")
    turn = nibabel.orientations.ornt_transform(nibabel.orientations.io_orientation(stored.affine), wanted)
    file = tmp_path / "case_0000.nii.gz"
    nibabel.save(stored.as_reoriented(turn), file)
    reader = NibabelIOWithReorient()
    data, properties = reader.read_images([str(file)])
    labels = predictor(folder.path).predict_single_npy_array(data, properties, None, None, False)
    reader.write_seg(labels, str(tmp_path / "labels.nii.gz"), properties)
    expected = np.asarray(nibabel.load(tmp_path / "labels.nii.gz").dataobj).transpose(2, 1, 0)
    found = run_model(model_of(folder.path), read_volume(file), EXACT).labels
    assert found.array.shape == expected.shape == (42, 30, 30)
    assert_same(found.array, expected)
