"""Real label maps of a whole head: a rough copy compared with the original, beside MONAI."""

import numpy as np
import pytest

from medai.core.io import read_labelmap
from medai.segment.evaluate import compare

pytestmark = pytest.mark.data


def test_a_head_with_many_labels_is_monais(data_dir):
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    path = data_dir / "synthseg_labels" / "training_seg_01.nii.gz"
    if not path.is_file():
        pytest.skip("no SynthSeg label map")
    reference = read_labelmap(path)
    rough = reference.replace(array=np.roll(reference.array, (1, -1), (0, 2)))
    scores = compare(rough, reference)
    assert len(scores) == len(reference.segments) >= 15
    assert all(s.status == "scored" and 0 < s.dice < 1 for s in scores)
    small = sorted(scores, key=lambda s: s.reference_ml)[:3]
    given = {"include_background": True, "spacing": reference.geometry.spacing_kji}
    for score in small:
        masks = np.stack([m.array == score.label for m in (rough, reference)])
        box = tuple(slice(max(0, n.min() - 2), n.max() + 3) for n in np.nonzero(masks.any(axis=0)))
        x, y = (torch.from_numpy(m[box].copy())[None, None].float() for m in masks)
        assert score.dice == pytest.approx(metrics.compute_dice(x, y).item(), rel=1e-5)
        expected = metrics.compute_hausdorff_distance(x, y, percentile=95, **given).item()
        assert score.hd95_mm == pytest.approx(expected, rel=1e-4)
        expected = metrics.compute_surface_dice(x, y, class_thresholds=[1.0], use_subvoxels=True, **given).item()
        assert score.surface_dice == pytest.approx(expected, rel=1e-4)
