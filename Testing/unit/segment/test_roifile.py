"""Boxes from Slicer's files."""

import json

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.segment.roifile import read_roi


def write(folder, **changes):
    box = {
        "type": "ROI", "coordinateSystem": "LPS", "roiType": "Box", "center": [10.0, -20.0, 30.0],
        "orientation": [-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0], "size": [40.0, 50.0, 60.0], **changes,
    }  # fmt: skip
    file = folder / "box.mrk.json"
    file.write_text(json.dumps({"markups": [box]}), "utf-8")
    return file


def test_lps_becomes_ras(tmp_path):
    assert read_roi(write(tmp_path)) == ((-10.0, 20.0, 30.0), (40.0, 50.0, 60.0))
    assert read_roi(write(tmp_path, coordinateSystem="RAS"))[0] == (10.0, -20.0, 30.0)


def test_a_turned_box_is_covered(tmp_path):
    c = float(np.sqrt(0.5))
    _, size = read_roi(write(tmp_path, orientation=[c, -c, 0, c, c, 0, 0, 0, 1], size=[10.0, 10.0, 4.0]))
    np.testing.assert_allclose(size, [20 * c, 20 * c, 4.0])


@pytest.mark.parametrize(
    "changes",
    [{"type": "Line"}, {"center": [1, 2]}, {"size": [1, "2", 3]}, {"size": [0, 1, 1]}, {"coordinateSystem": 7}],
)
def test_what_is_no_box_is_refused(tmp_path, changes):
    with pytest.raises(InputError):
        read_roi(write(tmp_path, **changes))
