"""The pictures: right sides, outlines that are the mask's, nothing cut off, the same bytes each time."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("PIL")

from PIL import Image

from medai.core.geometry import Geometry
from medai.core.labelmap import LabelMap
from medai.core.resample import reorient_array
from medai.core.volume import Volume
from medai.segment.assessment import figure as figures
from medai.segment.assessment.pictures import bland_altman_plots, box_plots, volume_plots
from medai.segment.assessment.result import Assessment
from medai.segment.assessment.rows import Row
from medai.segment.assessment.settings import MeasureSettings
from medai.segment.assessment.worst import FOUND, PLANES, REFERENCE, centre_of, draw_worst, edges, worst_rows

DRAWN = (box_plots, volume_plots, bland_altman_plots)
NAMES = ("Left hippocampus", "Cost in $ of $x_2$", "A name that is much longer than any plot's margin would ever be")


@pytest.fixture
def assessment(rng):
    def make(names=NAMES, cases=12):
        rows = []
        for n in range(cases):
            for label, name in enumerate(names, start=1):
                size, error = rng.uniform(1.5, 3), rng.normal(0, 0.15)
                rows.append(Row(
                    case=f"c{n}", subject=f"c{n}", label=label, name=name, status="ok", dice=rng.uniform(0.7, 0.95),
                    hd95_mm=rng.uniform(1, 5), assd_mm=0.4, reference_ml=size, predicted_ml=size + error,
                    volume_error_ml=error, volume_error_percent=100 * error / size,
                ))  # fmt: skip
        model = {"id": "m", "title": "A model", "version": "1.0.0", "weights_sha256": "0" * 64}
        data = {"name": "set", "chosen": "held-back", "cases": cases, "subjects": cases, "seen_in_training": 0}
        return Assessment(model=model, data=data, settings=MeasureSettings(resamples=100), rows=tuple(rows))

    return make


@pytest.fixture
def texts(monkeypatch):
    """The texts of the figures that are saved; what would be drawn beyond a figure's border is refused."""
    found = []
    before = figures.save

    def look(figure, path):
        from matplotlib.text import Text

        box = figure.get_tightbbox(figure.canvas.get_renderer())  # in inches
        assert min(box.x0, box.y0) >= -0.005, "something is cut off on the left or below"
        assert box.x1 <= figure.get_figwidth() + 0.005, "something is cut off on the right"
        assert box.y1 <= figure.get_figheight() + 0.005, "something is cut off above"
        found.extend(item.get_text() for item in figure.findobj(Text))
        before(figure, path)

    for module in ("pictures", "worst"):
        monkeypatch.setattr(f"medai.segment.assessment.{module}.save", look)
    return found


@pytest.mark.parametrize("draw", DRAWN, ids=lambda f: f.__name__)
@pytest.mark.parametrize("names", [NAMES[:1], NAMES, [f"Part {n}" for n in range(14)]], ids=["one", "long", "many"])
def test_no_text_is_cut_off_and_the_use_is_stated(draw, names, assessment, texts, tmp_path):
    draw(assessment(names), tmp_path / "a.png")
    assert "Research use only - not for diagnosis." in texts
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) >= 300


@pytest.mark.parametrize("draw", DRAWN, ids=lambda f: f.__name__)
def test_the_same_rows_give_the_same_bytes(draw, assessment, tmp_path):
    found = assessment()
    draw(found, tmp_path / "a.png")
    draw(Assessment.from_dict(found.to_dict()), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("draw", DRAWN, ids=lambda f: f.__name__)
def test_labels_without_numbers_and_single_cases_are_drawn(draw, assessment, texts, tmp_path):
    rows = assessment(NAMES[:1], cases=1).rows
    lost = Row(case="c0", subject="c0", label=2, name="Lost", status="failed", reason="It broke.")
    draw(assessment(NAMES[:1]).replace(rows=(*rows, lost)), tmp_path / "a.png")


def head(mark):
    """A grid in which one voxel, right, anterior and superior of the middle, is bright; in RAS."""
    grid = Geometry.from_spacing((20, 24, 28), (1.0, 1.0, 2.0), (-14.0, -12.0, -20.0))
    image = np.zeros(grid.shape, np.float32)
    image[mark] = 100
    return image, grid


def test_planes_show_the_right_on_the_left_and_up_on_top():
    image, _ = head((15, 18, 20))
    axial, coronal, sagittal = (plane.shown(image, place) for plane, place in zip(PLANES, (15, 18, 20), strict=True))
    rows, columns = (int(v) for v in np.argwhere(axial)[0])
    assert (rows < 12, columns < 14) == (True, True)  # anterior on top, right on the left
    rows, columns = (int(v) for v in np.argwhere(coronal)[0])
    assert (rows < 10, columns < 14) == (True, True)  # superior on top, right on the left
    rows, columns = (int(v) for v in np.argwhere(sagittal)[0])
    assert (rows < 10, columns < 12) == (True, True)  # superior on top, anterior on the left
    assert [(p.left, p.right, p.top, p.bottom) for p in PLANES] == [
        ("R", "L", "A", "P"), ("R", "L", "S", "I"), ("A", "P", "S", "I"),
    ]  # fmt: skip


def test_outlines_are_the_masks_voxel_edges():
    mask = np.zeros((6, 7), dtype=bool)
    mask[2:4, 3:6] = True
    found = edges(mask)
    assert len(found) == 2 * (2 + 3)
    assert (found[..., 0].min(), found[..., 0].max()) == (2.5, 5.5)
    assert (found[..., 1].min(), found[..., 1].max()) == (1.5, 3.5)
    assert np.allclose(np.abs(found[:, 0] - found[:, 1]).sum(axis=1), 1)
    assert len(edges(np.ones((2, 2), dtype=bool))) == 8
    assert edges(np.zeros((2, 2), dtype=bool)).shape == (0, 2, 2)


def test_the_slices_with_the_most_wrong_voxels_are_shown():
    reference = np.zeros((20, 20, 20), dtype=bool)
    reference[5:15, 5:15, 5:15] = True
    found = reference.copy()
    found[12, 5:15, 7] = False
    assert centre_of(reference, found) == (12, 5, 7)
    assert centre_of(reference, reference) == (5, 5, 5)


@pytest.fixture
def case():
    image, grid = head((10, 12, 14))
    image += np.random.default_rng(1).normal(20, 3, image.shape).astype(np.float32)
    reference, found = np.zeros((2, *grid.shape), np.uint8)
    reference[8:13, 9:15, 10:18] = 1
    found[8:13, 10:16, 10:18] = 1
    row = Row(
        case="c1", subject="c1", label=1, name="Part", status="ok", dice=0.83, hd95_mm=1.0, assd_mm=0.3,
        reference_ml=0.48, predicted_ml=0.48, volume_error_ml=0.0, volume_error_percent=0.0,
    )  # fmt: skip
    return Volume(image, grid), LabelMap(reference, grid), LabelMap(found, grid), row


def test_a_worst_case_looks_the_same_whatever_way_it_is_stored(case, texts, tmp_path):
    image, reference, found, row = case
    draw_worst(tmp_path / "a.png", image, reference, found, row, rank=1, title="A model")
    assert {"R", "L", "A", "P", "S", "I", "Axial", "Coronal", "Sagittal"} <= set(texts)
    assert {"Reference", "Found by the model", "Research use only - not for diagnosis."} <= set(texts)
    assert any("Dice 0.830" in text for text in texts)
    turned = []
    for item in (image, reference, found):
        array, grid = reorient_array(item.array, item.geometry, "PSL")
        turned.append(Volume(array, grid) if isinstance(item, Volume) else LabelMap(array, grid))
    draw_worst(tmp_path / "b.png", *turned, row, rank=1, title="A model")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_reference_and_result_are_drawn_in_their_colours(case, tmp_path):
    image, reference, found, row = case
    draw_worst(tmp_path / "a.png", image, reference, found, row, rank=1, title="A model")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int).reshape(-1, 3)
    for color in (REFERENCE, FOUND):
        wanted = np.array([int(color[n : n + 2], 16) for n in (1, 3, 5)])
        assert (np.abs(pixels - wanted).max(axis=1) < 12).sum() > 300


def test_the_worst_come_first_and_cases_without_a_dice_do_not_come():
    rows = [
        Row(case=name, subject=name, label=1, name="Part", status="ok", dice=dice, hd95_mm=hd95)
        for name, dice, hd95 in (("a", 0.9, 1.0), ("b", 0.5, 2.0), ("c", 0.5, 3.0), ("d", None, None), ("e", 0.7, 1.0))
    ]
    assert [row.case for row in worst_rows(rows, 1)] == ["c", "b", "e"]
    assert worst_rows(rows, 2) == []
