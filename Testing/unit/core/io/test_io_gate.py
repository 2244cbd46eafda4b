from __future__ import annotations

import numpy as np
import pytest

from medai.core.errors import InputError, OutOfMemory
from medai.core.geometry import Geometry
from medai.core.io.gate import finish, guarded, shear_flag, value_flags
from medai.core.volume import Volume


def test_non_finite_values_are_counted() -> None:
    array = np.zeros((2, 3, 4), dtype=np.float32)
    assert value_flags(array) == ()
    array[0, 1, 2], array[1, 0, 0] = np.nan, np.inf
    (flag,) = value_flags(array)
    assert (flag.code, flag.measured) == ("INT_NAN", 2.0)
    assert value_flags(np.zeros((2, 3, 4), dtype=np.int16)) == ()


def test_shear_is_flagged_once_and_kept() -> None:
    matrix = np.eye(4)
    matrix[0, 2] = np.tan(np.deg2rad(10))
    geometry = Geometry((2, 3, 4), matrix)
    (flag,) = shear_flag(geometry)
    assert flag.code == "GEOM_SHEAR_TILT"
    assert flag.measured == pytest.approx(10, abs=1e-3)
    volume = finish(finish(Volume(np.zeros((2, 3, 4)), geometry), "x"), "y")
    assert [f.code for f in volume.flags] == ["GEOM_SHEAR_TILT"]
    assert volume.name == "y"
    np.testing.assert_array_equal(volume.geometry.ijk_to_ras, matrix)


@pytest.mark.parametrize(("raised", "expected"), [(MemoryError, OutOfMemory), (RecursionError, InputError)])
def test_machine_errors_become_ours(raised: type[Exception], expected: type[Exception]) -> None:
    with pytest.raises(expected, match=r"big\.nii"), guarded("big.nii"):
        raise raised
