"""What brain-mr gives on real heads, on heads made from held-back label maps, and on what it was not made for.

    python Testing/performance/assess_brain.py DATA [--model brain-mr] [--json FILE]

DATA is the folder of the project's test data.  For every image it prints the numbers from which the limits in the
model's manifest (``domain``) and in the hippocampus model's ``region.locator`` are chosen: volumes, the mean
probability inside the head, areas at the border, the places of both hippocampi.  For the two real heads (and the MNI152
template) it prints the Dice of several definitions of the brain with deepbet's mask, and how the template's tissue
agrees with the probability maps that nilearn ships.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

INSIDE = (
    "Cerebral white matter", "Cerebral grey matter", "Ventricles", "Cerebrospinal fluid", "Deep grey matter",
    "Left hippocampus", "Right hippocampus", "Cerebellum", "Brainstem",
)  # fmt: skip
TISSUE = tuple(name for name in INSIDE if name not in ("Ventricles", "Cerebrospinal fluid"))
SIDES = {"left": "Left hippocampus", "right": "Right hippocampus"}


def real_heads(data: Path):
    """Yield the real head, stored in thick slices too, and the template."""
    from medai.core.io import read_volume
    from medai.segment.atlas import template_path
    from medai.segment.preprocess import PREPROCESS

    head = read_volume(data / "brain_t1" / "example_brain_t1.nii.gz")
    yield "real T1", head
    for column, name in ((2, "axial"), (1, "coronal"), (0, "sagittal")):
        spacing = [float(s) for s in head.geometry.spacing]
        spacing[column] = 5.0
        yield f"real T1, {name} 5 mm", PREPROCESS.create("resample").run(head, {"spacing_mm": spacing})
    yield "MNI152 (no skull)", read_volume(template_path())


def made_heads(data: Path, folder: Path, held: list[str]):
    """Yield whole heads made from label maps in the typical contrasts of the model's recipe, with the truth."""
    from scipy.ndimage import gaussian_filter

    from medai.core.io import read_labelmap
    from medai.core.volume import Volume

    recipe = json.loads((folder / "recipe.json").read_text("utf-8"))
    tissues = recipe["synthesis"]["tissues"]
    for case in held:
        found = read_labelmap(data / "synthseg_labels" / f"{case}.nii.gz")
        truth = np.zeros(found.array.shape, np.uint8)
        for tissue in tissues:
            truth[np.isin(found.array, tissue["values"])] = tissue["label"]
        for contrast in ("T1", "T2", "FLAIR"):
            values = np.zeros(65536, np.float32)
            for tissue in tissues:
                values[tissue["values"]] = np.mean(tissue["typical"][contrast])
            rng = np.random.default_rng(5)
            array = gaussian_filter(values[found.array] + rng.normal(0, 0.03, truth.shape).astype(np.float32), 0.6)
            yield f"{case} as {contrast}", Volume(array, found.geometry), truth


def others(data: Path):
    """Yield images that the model was not made for."""
    from medai.core.geometry import Geometry
    from medai.core.io import read_volume
    from medai.core.volume import Volume

    for name, file in (
        ("CT of the trunk", "totalsegmentator/example_ct.nii.gz"),
        ("MR of the abdomen", "totalsegmentator/example_mr_sm.nii.gz"),
        ("MR of the prostate", "prostate_nifti/img.nii.gz"),
    ):
        yield name, read_volume(data / file)
    for file in sorted((data / "msd_hippocampus" / "images").glob("*.nii.gz"))[:3]:
        yield f"crop {file.name.split('.')[0]}", read_volume(file)
    rng = np.random.default_rng(1)
    noise = rng.normal(100, 20, (90, 90, 90)).astype(np.float32)
    yield "noise", Volume(noise, Geometry.from_spacing(noise.shape, (2, 2, 2)))
    head = read_volume(data / "brain_t1" / "example_brain_t1.nii.gz")
    k, j, i = head.geometry.shape
    for name, start, shape in (
        ("upper half of the real T1", (k // 2, 0, 0), (k - k // 2, j, i)),
        ("lower 60 % of the real T1", (0, 0, 0), (int(0.6 * k), j, i)),
        ("left half of the real T1", (0, 0, i // 2), (k, j, i - i // 2)),
        ("front half of the real T1", (0, j // 2, 0), (k, j - j // 2, i)),
    ):
        part = head.array[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))]
        yield name, head.replace(array=np.ascontiguousarray(part), geometry=head.geometry.crop(start, shape))


def numbers(result) -> dict:
    """Return what limits may judge."""
    from medai.segment.domain import weighted_probability
    from medai.segment.inference.border import border_cm2
    from medai.segment.inference.sides import place_of

    labels = result.labels
    volumes = labels.volumes_ml()
    facts = result.facts["regions"][0]["labels"]
    inside = np.isin(labels.array, [labels.segment(name).label for name in INSIDE])
    places = {side: place_of(labels, labels.segment(name)) for side, name in SIDES.items()}
    probability = weighted_probability(facts, INSIDE, "voxels")
    found = {
        "intracranial_ml": round(sum(volumes[name] for name in INSIDE), 1),
        "brain_ml": round(sum(volumes[name] for name in TISSUE), 1),
        "probability": None if probability is None else round(probability, 4),
        "border_cm2": round(border_cm2(inside, labels.geometry), 2),
    }
    for side, where in places.items():
        found[f"{side}_ml"] = round(where.volume_ml, 2) if where else 0.0
        found[f"{side}_r"] = round(where.centroid[0], 1) if where else None
    if all(places.values()):
        line = np.subtract(places["right"].centroid, places["left"].centroid)
        found["apart_mm"] = round(float(np.linalg.norm(line)), 1)
        found["tilt_deg"] = round(float(np.degrees(np.arccos(line[0] / np.linalg.norm(line)))), 1)
    found["flags"] = sorted({flag.code for flag in labels.flags if flag.severity.value != "info"})
    return found


def dice(a, b) -> float:
    """Return the Dice of two masks."""
    return round(2 * float(np.count_nonzero(a & b)) / max(1, int(np.count_nonzero(a)) + int(np.count_nonzero(b))), 4)


def brain_masks(labels) -> dict:
    """Return definitions of the brain as masks, each by label operations of the registry."""
    from medai.segment.postprocess import POSTPROCESS

    def of(names, *steps):
        made = labels
        for step in (
            {"step": "merge", "settings": {"segments": list(names), "name": "Brain mask"}},
            {"step": "remove", "settings": {"segments": ["Brain mask"], "others": True}},
            *steps,
        ):
            made = POSTPROCESS.create(step["step"]).run(made, step["settings"])
        return made.array > 0

    with_ventricles = (*TISSUE, "Ventricles")
    fill = {"step": "fill_holes", "settings": {}}
    return {
        "tissue": of(TISSUE),
        "tissue, ventricles": of(with_ventricles, fill),
        **{
            f"tissue, ventricles, closed {mm} mm": of(
                with_ventricles, {"step": "close", "settings": {"radius_mm": mm}}, fill
            )
            for mm in (2.0, 4.0, 6.0)
        },
        "all inside the skull": of(INSIDE, fill),
    }


def deepbet_of(volume):
    """Return deepbet's mask, None without the package."""
    from medai.core.errors import DependencyError
    from medai.segment.segmenters import SEGMENTERS

    try:
        return SEGMENTERS.create("deepbet").run(volume, {}).array > 0
    except DependencyError:
        return None


def tissue_agreement(labels) -> dict:
    """Return the Dice of grey and white matter with nilearn's MNI152 probability maps above one half."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    from medai.core.geometry import Geometry
    from medai.core.resample import resample_array

    found = {}
    for name, load, names in (
        ("grey", load_mni152_gm_template, (
            "Cerebral grey matter", "Deep grey matter", "Left hippocampus", "Right hippocampus")),
        ("white", load_mni152_wm_template, ("Cerebral white matter",)),
    ):  # fmt: skip
        image = load(resolution=1)
        array = np.ascontiguousarray(np.asarray(image.dataobj, dtype=np.float32).T)
        grid = Geometry(array.shape, image.affine)
        there = resample_array(array, grid, labels.geometry, "linear")
        mask = np.isin(labels.array, [labels.segment(n).label for n in names])
        # The template's maps cover the cerebellum too, which is one label here.
        keep = labels.array != labels.segment("Cerebellum").label
        found[f"{name} matter"] = {
            "dice": dice(mask & keep, (there > 0.5) & keep),
            "correlation": round(float(np.corrcoef(mask[keep], there[keep])[0, 1]), 4),
        }
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="brain-mr")
    parser.add_argument("--held", nargs="*", help="Label maps to make heads from; the model's own held-back ones.")
    parser.add_argument("--json", default="")
    args = parser.parse_args()
    from medai.segment.inference.run import run_model
    from medai.segment.models import ModelStore

    model = ModelStore().find(args.model)
    told: dict = {"model": model.manifest.weights_sha256, "images": {}, "brain": {}, "made": {}}

    def look(kind, name, volume):
        try:
            result = run_model(model, volume, {"device": "cpu"})
        except Exception as error:  # what is refused is told, too
            told["images"][name] = {"kind": kind, "refused": str(error)}
            print(f"{kind:<6} {name:<34} {error}", flush=True)
            return None
        told["images"][name] = {"kind": kind, **numbers(result)}
        print(f"{kind:<6} {name:<34} {json.dumps(told['images'][name])}", flush=True)
        return result

    for name, volume in real_heads(args.data):
        result = look("head", name, volume)
        if result is None or "mm" in name:
            continue
        mask = deepbet_of(volume)
        told["brain"][name] = {
            key: dice(found, mask) for key, found in brain_masks(result.labels).items() if mask is not None
        }
        if "MNI152" in name:
            told["brain"][name]["the template above 0"] = dice(volume.array > 0, mask) if mask is not None else None
            told["brain"][name] |= tissue_agreement(result.labels)
        print("      ", json.dumps(told["brain"][name]), flush=True)
    held = args.held
    if held is None:
        held = json.loads((model.folder / "split.json").read_text("utf-8"))["held_back"]
    for name, volume, truth in made_heads(args.data, model.folder, held):
        result = look("made", name, volume)
        if result is not None:
            numbers_of = {e.name: e.label for e in model.manifest.labels}
            told["made"][name] = {key: dice(result.labels.array == n, truth == n) for key, n in numbers_of.items()}
            print("      ", json.dumps(told["made"][name]), flush=True)
    for name, volume in others(args.data):
        look("other", name, volume)
    if args.json:
        Path(args.json).write_text(json.dumps(told, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
