"""Planned recipes: nnU-Net's rules on spacing and levels, patches that fit the memory, a reason for each decision."""

import math

import numpy as np
import pytest

from medai.core.errors import InputError, SettingsError
from medai.segment.training.cases import load_case
from medai.segment.training.dataset import open_dataset
from medai.segment.training.fingerprint import Fingerprint, fingerprint
from medai.segment.training.plan import plan
from medai.segment.training.plan_network import layout_of, training_mib, weight_count
from medai.segment.training.recipe import Recipe

NUMBERS = {"mean": 40, "sd": 30, "low": -200, "high": 500, "percentile_00_5": -60, "median": 35, "percentile_99_5": 180}


def described(shape=(96, 110, 100), spacing=(1.0, 1.0, 1.0), count=20, *, thin=None, modalities=("",), kept=1.0,
              channels=("image",)):  # fmt: skip
    """A fingerprint: ``thin`` is the 10th percentile of the spacing; half of the cases have it."""
    size, rows = shape[::-1], [spacing, spacing]
    p10 = thin or spacing
    case = {"shape": shape, "spacing": spacing, "orientation": "RAS", "kept": kept, "image": [NUMBERS] * len(channels)}
    label = {"label": 3, "name": "Liver", "cases": count, "subjects": count, "volume_ml": [900, 1400, 2500],
             "components": [1, 2]}  # fmt: skip
    extent = [n * mm for n, mm in zip(size, spacing, strict=True)]
    return Fingerprint.parse({
        "channels": channels, "modalities": modalities, "subjects": count,
        "spacing": {"p10": p10, "median": rows[0], "p90": spacing},
        "extent_mm": {"p10": extent, "median": extent, "p90": extent},
        "voxels": {"p10": size, "median": size, "p90": size},
        "anisotropy": max(spacing) / min(spacing), "kept": kept, "inside": [NUMBERS] * len(channels), "labels": [label],
        "cases": [{"case": f"c{n}", "subject": f"s{n}", **case} for n in range(count)],
    })  # fmt: skip


def planned(found=None, **more):
    return plan(found or described(), id="mine", title="Mine", **more)


def test_the_real_hippocampus_data_set_gets_the_shipped_models_network(data_dir, repo):
    dataset = open_dataset(data_dir / "msd_hippocampus")
    recipe, reasons = planned(fingerprint(dataset.only([files.case for files in dataset.cases[:30]])))
    shipped = Recipe.from_json(
        (repo / "MedAISegment/Resources/MedAISegmentModels/hippocampus/recipe.json").read_text("utf-8")
    )
    assert recipe.patch == shipped.patch
    assert recipe.filters == shipped.filters
    assert recipe.prepare.spacing == shipped.prepare.spacing
    assert recipe.held_back == 6
    assert any("covers the median image" in reason for reason in reasons)


def test_a_recipe_is_complete_and_can_be_stored():
    recipe, reasons = planned(licence="CC-BY-4.0", source="Hospital A")
    assert Recipe.from_json(recipe.model_dump_json()) == recipe
    assert planned(licence="CC-BY-4.0", source="Hospital A").recipe == recipe
    assert recipe.labels[0].label == 3
    assert recipe.labels[0].name == "Liver"
    assert recipe.description.training_data == "Hospital A: 20 cases of 20 subjects."
    assert recipe.description.volume_range_ml == {"Liver": (450, 5000)}
    assert "Research" in recipe.description.intended_use
    assert recipe.held_back == 4
    assert all(reason.endswith(".") for reason in reasons)
    for word in ("spacing", "Channel", "network", "patch", "batch", "held back", "epochs"):
        assert sum(word in reason for reason in reasons) >= 1


def test_spacing_is_the_median():
    assert planned(described(spacing=(0.7123, 0.7, 1.5))).recipe.prepare.spacing == (0.712, 0.7, 1.5)
    assert planned(spacing=(2, 2, 3)).recipe.prepare.spacing == (2, 2, 3)


@pytest.mark.parametrize(
    ("shape", "spacing", "thin", "expected"),
    [
        ((20, 256, 256), (1.0, 1.0, 8.0), (1.0, 1.0, 5.0), 5.0),  # thick and few slices: the 10th percentile
        ((20, 256, 256), (1.0, 1.0, 8.0), (1.0, 1.0, 0.6), 1.0),  # but not finer than the others
        ((120, 256, 256), (1.0, 1.0, 8.0), (1.0, 1.0, 5.0), 8.0),  # thick, but not few
        ((20, 256, 256), (1.0, 1.0, 2.5), (1.0, 1.0, 2.0), 2.5),  # few, but not thick
    ],
)
def test_thick_slices_follow_nnunets_rule(shape, spacing, thin, expected):
    recipe, reasons = planned(described(shape, spacing, thin=thin))
    assert recipe.prepare.spacing[2] == expected
    assert any("10th percentile is taken" in reason for reason in reasons) == (expected != spacing[2])


@pytest.mark.parametrize(
    ("size", "spacing"),
    [
        ((20, 256, 224), (9.0, 1.5, 1.5)), ((10, 320, 320), (3.6, 0.6, 0.6)), ((16, 320, 256), (5.0, 0.8, 0.8)),
        ((48, 192, 192), (3.0, 1.2, 1.2)), ((28, 200, 220), (4.0, 0.9, 0.9)), ((12, 96, 96), (6.0, 2.0, 2.0)),
    ],
)  # fmt: skip
def test_levels_of_anisotropic_images_are_nnunets(size, spacing):
    topology = pytest.importorskip("nnunetv2.experiment_planning.experiment_planners.network_topology")
    _, strides, kernels, patch, step = topology.get_pool_and_conv_props(spacing, size, 4, 999)
    ours = layout_of(size, spacing)
    levels = min(len(strides), 6)
    assert ours.strides == tuple(tuple(s) for s in strides[:levels])
    # nnU-Net gives the coarsest level cubic convolutions whatever the spacing.
    assert ours.kernels[:-1] == tuple(tuple(k) for k in kernels[: levels - 1])
    if len(strides) <= 6:
        assert ours.step == tuple(step)
        assert ours.around(size) == tuple(int(n) for n in patch)


def test_levels_of_isotropic_images_halve_every_axis():
    layout = layout_of((35, 50, 36), (1, 1, 1))
    assert layout.uniform
    assert layout.levels == 4
    assert layout.around((35, 50, 36)) == (40, 56, 40)
    assert layout_of((200, 200, 200), (1, 1, 1)).levels == 6
    flat = layout_of((6, 60, 60), (1, 1, 1))
    assert not flat.uniform
    assert flat.step[0] == 1
    assert layout_of((5, 6, 7), (1, 1, 1)).levels == 3


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("memory", [900, 2000, 8000, 40000])
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((256, 256, 180), (1, 1, 1)),
        ((300, 512, 512), (0.8, 0.8, 1.5)),
        ((20, 256, 224), (1.5, 1.5, 9)),
        ((160, 18, 160), (1, 6, 1)),
        ((35, 50, 36), (1, 1, 1)),
        ((5, 40, 40), (1, 1, 1)),
    ],
)
def test_patches_fit_memory_network_and_image(device, memory, shape, spacing):
    recipe = planned(described(shape, spacing), device=device, memory_mib=memory).recipe
    found = layout_of(recipe.patch, recipe.prepare.spacing[::-1])
    if recipe.network is not None:
        strides = recipe.network.settings["strides"]
        step = [math.prod(level[axis] for level in strides) for axis in range(3)]
        assert tuple(map(tuple, strides)) == found.strides
    else:
        step = [2 ** (len(recipe.filters) - 1)] * 3
    for n, most, multiple in zip(recipe.patch, shape, step, strict=True):
        assert n % multiple == 0
        assert n < most + multiple
    half = recipe.optimiser.precision == "bfloat16"
    assert half == (device == "cuda")
    assert training_mib(found, recipe.filters, recipe.patch, recipe.optimiser.batch, 1, 2, half) <= memory
    assert recipe.optimiser.batch >= 1
    assert recipe.optimiser.device == device


def test_more_memory_never_makes_a_patch_smaller():
    big = described((256, 256, 256))
    sizes = [math.prod(planned(big, device="cuda", memory_mib=m).recipe.patch) for m in (900, 2000, 6000, 20000, 60000)]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 8 * sizes[0]


def test_a_gpu_takes_larger_batches_of_small_images_but_not_of_few_cases():
    assert planned(described((32, 48, 32), count=200), device="cuda", memory_mib=8000).recipe.optimiser.batch == 10
    assert planned(described((32, 48, 32), count=20), device="cuda", memory_mib=8000).recipe.optimiser.batch == 2


def test_ct_is_scaled_by_the_data_sets_numbers():
    recipe, reasons = planned(described(modalities=("CT",)))
    clip, scale = recipe.prepare.channels[0].normalise
    assert (clip.method, clip.low, clip.high) == ("clip", -60, 180)
    assert (scale.method, scale.mean, scale.sd) == ("shift_scale", 40, 30)
    assert recipe.description.modality == "CT"
    assert any("-60 to 180" in reason for reason in reasons)
    assert planned(channels=["CT"]).recipe.prepare == recipe.prepare.model_copy(
        update={"channels": (recipe.prepare.channels[0].model_copy(update={"name": "CT"}),)}
    )


def test_other_channels_are_scaled_by_each_image():
    found = described(channels=("T1", "PET"), modalities=("MR", "PT"))
    recipe = planned(found).recipe
    assert [entry.name for entry in recipe.prepare.channels] == ["T1", "PET"]
    for entry in recipe.prepare.channels:
        assert [step.method for step in entry.normalise] == ["clip_percentiles", "zscore"]
        assert {step.over for step in entry.normalise} == {"image"}
    assert recipe.description.modality == ""


def test_images_that_are_zero_around_what_they_show_are_cropped():
    recipe, reasons = planned(described(kept=0.4))
    assert recipe.prepare.crop == "nonzero"
    assert {step.over for step in recipe.prepare.channels[0].normalise} == {"filled"}
    assert any("40 % of them remain" in reason for reason in reasons)


def test_long_voxels_are_turned_less():
    assert planned().recipe.augment.rotate_deg == 15
    assert planned(described((40, 200, 200), (1, 1, 5))).recipe.augment.rotate_deg == 3
    assert planned(described((8, 200, 200))).recipe.augment.translate == 1


def test_few_cases_are_seen_more_often():
    few, many = (planned(described((64, 64, 64), count=count)).recipe.optimiser for count in (5, 500))
    assert few.samples_per_epoch == 100
    assert many.samples_per_epoch == 0
    assert few.epochs > 3 * many.epochs


def test_nobody_held_back_is_said():
    recipe, reasons = planned(held_back=0)
    assert recipe.held_back == 0
    assert any("too good" in reason for reason in reasons)


def test_what_cannot_be_planned():
    with pytest.raises(InputError, match="110 x 3 voxels"):
        planned(described((3, 110, 100)))
    with pytest.raises(InputError, match=r"Training takes .* MiB at least, 400 MiB are allowed"):
        planned(memory_mib=400)
    with pytest.raises(InputError, match="20 of 20 subjects"):
        planned(held_back=20)
    with pytest.raises(InputError, match="2 channels are named, the data set has 1"):
        planned(channels=["T1", "T2"])
    with pytest.raises(SettingsError, match="id"):
        plan(described(), id="Not An Id", title="X")


LAYOUTS = [((32, 32, 32), (1, 1, 1), 16), ((8, 48, 48), (5, 1, 1), 16)]


@pytest.mark.parametrize(("size", "spacing", "first"), LAYOUTS)
def test_the_estimate_is_near_what_training_keeps(size, spacing, first):
    torch = pytest.importorskip("torch")
    pytest.importorskip("monai")
    from medai.segment.networks import build_network
    from medai.segment.training.losses import dice_ce

    layout = layout_of(size, spacing)
    patch, filters = layout.around(size), layout.filters(first, 128)
    entry = layout.entry(filters)
    network = build_network("dynunet", {**entry.settings, "in_channels": 2, "out_channels": 4}).train()
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    count = sum(p.numel() for p in network.parameters())
    assert weight_count(layout, filters, 2, 4) == pytest.approx(count, rel=0.01)
    kept: dict[int, int] = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        scores = network(torch.rand(1, 2, *patch))
        assert scores.shape == (1, 4, *patch)
        loss = dice_ce(scores, torch.zeros((1, *patch), dtype=torch.int64))
    assert torch.isfinite(loss)
    mib = sum(kept.values()) / 2**20
    fixed = training_mib(layout, filters, (0, 0, 0), 1, 2, 4, False)
    estimated = training_mib(layout, filters, patch, 1, 2, 4, False) - fixed
    assert mib < estimated < 2 * mib


def test_from_files_to_what_the_network_reads(tmp_path, write_case):
    for number in range(3):
        write_case(tmp_path, f"case{number}", number, orientation="LPS", spacing=(1.0, 1.2, 1.0))
    dataset = open_dataset(tmp_path)
    recipe = planned(fingerprint(dataset)).recipe
    case = load_case(dataset.cases[0], recipe)
    assert recipe.held_back == 1
    assert recipe.patch == (20, 20, 24)
    assert case.image.shape[1:] == (18, 20, 22)
    assert abs(float(case.image.mean())) < 1e-3
    assert set(np.unique(case.classes)) == {0, 1, 2}
