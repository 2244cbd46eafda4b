"""Outlines, letters, scale bar, window: measured in the pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest

from medai.core.labelmap import Segment
from medai.core.qc import QCFlag, Severity
from medai.report.colors import hex_color, outline_colors
from medai.report.drawing import Outline, draw, encode_png, scale_bar_mm
from medai.report.grey import BONE, LUNG, SOFT_TISSUE, Window, choose_window, is_hounsfield, percentile_window

YELLOW = (255, 214, 10)


def _disc(pixels: int = 200, radius: float = 50.0, centre: tuple[float, float] = (80.0, 120.0)) -> np.ndarray:
    rows, columns = np.mgrid[:pixels, :pixels]
    return (np.hypot(rows - centre[0], columns - centre[1]) <= radius).astype(np.float32)


def _draw(**changes: object) -> np.ndarray:
    settings = {
        "grey": np.full((200, 200), 90, np.uint8),
        "outlines": [],
        "letters": {},
        "fov_mm": 100.0,
        "captions": ("", ""),
        **changes,
    }
    return np.asarray(draw(**settings)).astype(int)  # type: ignore[arg-type]


def _coloured(picture: np.ndarray) -> np.ndarray:
    return np.ptp(picture, axis=2) > 60


def test_outline_runs_around_the_region() -> None:
    picture = _draw(outlines=[Outline(_disc(), YELLOW, True)])
    rows, columns = np.nonzero(_coloured(picture))
    distance = np.hypot(rows - 80, columns - 120)
    assert abs(distance.mean() - 50.0) < 0.7
    assert distance.std() < 1.5
    assert (picture[80, 120] == 90).all(), "the region itself stays visible"


def test_thin_outlines_lie_under_strong_ones() -> None:
    strong = Outline(_disc(), YELLOW, True)
    thin = Outline(_disc(), (64, 200, 255), False)
    assert np.array_equal(_draw(outlines=[strong, thin]), _draw(outlines=[thin, strong]))
    both, alone = _coloured(_draw(outlines=[strong])).sum(), _coloured(_draw(outlines=[thin])).sum()
    assert alone < 0.8 * both


def test_a_region_cut_by_the_edge_is_closed() -> None:
    whole = _draw(outlines=[Outline(np.ones((200, 200), np.float32), YELLOW, True)])
    assert _coloured(whole)[0].mean() > 0.9
    assert _coloured(whole)[:, -1].mean() > 0.9


def test_an_absent_region_draws_nothing() -> None:
    assert np.array_equal(_draw(outlines=[Outline(np.zeros((200, 200), np.float32), YELLOW, True)]), _draw())


@pytest.mark.parametrize(
    ("edge", "rows", "columns"),
    [
        ("left", slice(80, 120), slice(0, 30)),
        ("right", slice(80, 120), slice(170, 200)),
        ("top", slice(0, 30), slice(80, 120)),
        ("bottom", slice(170, 200), slice(80, 120)),
    ],
)
def test_a_letter_stands_at_its_edge_only(edge: str, rows: slice, columns: slice) -> None:
    changed = (_draw(letters={edge: "R"}) != _draw()).any(axis=2)
    assert changed[rows, columns].sum() > 20
    changed[rows, columns] = False
    assert not changed.any()


def test_scale_bar_has_its_length() -> None:
    for fov in (13.0, 51.0, 100.0, 366.0):
        picture = _draw(fov_mm=fov)
        white = (picture == 255).all(axis=2)
        row = white[200 - round(9 * 200 / 320) :].sum(axis=1).max()
        assert row * fov / 200 == pytest.approx(scale_bar_mm(fov), abs=2.0 * fov / 200)


@pytest.mark.parametrize(
    ("fov", "length"), [(100, 20), (60, 10), (366, 100), (10, 2), (3.4, 1), (0.9, 0.2), (1000, 200)]
)
def test_scale_bar_is_a_round_number(fov: float, length: float) -> None:
    assert scale_bar_mm(fov) == pytest.approx(length)


def test_png_is_small_and_the_same_each_time() -> None:
    from PIL import Image

    noise = np.random.default_rng(1).integers(0, 256, (320, 320)).astype(np.uint8)
    picture = draw(noise, [Outline(_disc(320), YELLOW, True)], {"left": "R"}, 100.0, ("Axial", "W 1 L 0"))
    data = encode_png(picture, [YELLOW], 64)
    assert data == encode_png(picture, [YELLOW], 64)
    assert len(data) < 90_000
    with Image.open(io.BytesIO(data)) as again:
        assert again.mode == "P"
        assert again.size == (320, 320)
        assert not again.info.get("date")
        difference = np.abs(np.asarray(again.convert("RGB")).astype(int) - np.asarray(picture).astype(int))
    assert np.percentile(difference, 99) < 30


def test_many_colours_fit_the_palette() -> None:
    picture = draw(np.zeros((64, 64), np.uint8), [], {}, 10.0, ("", ""))
    assert encode_png(picture, [(i, 0, 255) for i in range(200)], 128)[:4] == b"\x89PNG"


def test_window_maps_black_and_white() -> None:
    window = Window(400.0, 40.0, "[hnsf'U]")
    values = np.array([-1000.0, -160.0, 40.0, 240.0, 3000.0, np.nan, np.inf])
    assert window.apply(values).tolist() == [0, 0, 128, 255, 255, 0, 255]
    assert window.text == "W 400 L 40 HU"


def test_window_of_ct_follows_the_tissue(kit) -> None:
    volume = kit.case()[0].replace(modality="CT")
    fallback = Window(1.0, 0.0)
    assert choose_window(volume, fallback, 50.0) == SOFT_TISSUE
    assert choose_window(volume, fallback, -800.0) == LUNG
    assert choose_window(volume, fallback, 700.0) == BONE
    assert choose_window(volume.replace(modality="MR"), fallback, 700.0) == fallback
    flag = QCFlag("INT_RANGE_NOT_HU", Severity.WARNING, "not HU")
    assert not is_hounsfield(volume.with_flags(flag))


def test_window_of_mr_ignores_outliers_and_background(kit) -> None:
    volume = kit.case()[0]
    array = volume.array.copy()
    array[:18] = 0.0
    array[-1, -1, -1] = 1.7e6
    array[-1, -1, -2] = np.nan
    window = percentile_window(volume.replace(array=array), array)
    assert 100.0 < window.width < 200.0
    assert window.text.endswith("a.u.")


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_window_of_a_constant_image(kit, value: float) -> None:
    volume = kit.case()[0]
    array = np.full_like(volume.array, value)
    assert percentile_window(volume.replace(array=array), array).width > 0


def test_colours_can_be_seen_and_told_apart() -> None:
    grey = [Segment(n, f"s{n}") for n in range(1, 9)]
    chosen = outline_colors([*grey, Segment(20, "own", (1.0, 0.0, 0.0)), Segment(21, "dark", (0.1, 0.0, 0.0))])
    assert chosen[20] == (255, 0, 0)
    assert len(set(chosen.values())) == 10
    for rgb in chosen.values():
        assert max(rgb) >= 150
        assert max(rgb) - min(rgb) >= 60
    assert hex_color((255, 0, 16)) == "#ff0010"
