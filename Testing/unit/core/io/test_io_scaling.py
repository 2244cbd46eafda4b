from __future__ import annotations

import numpy as np
import pytest

from medai.core.errors import InputError
from medai.core.io.scaling import apply_scaling, check_scaling


@pytest.mark.parametrize(
    ("stored", "slope", "intercept", "expected"),
    [
        ("u1", 1, -1024, "i2"),
        ("i2", 1, -1024, "i2"),
        ("u2", 1, -1024, "i2"),
        ("u2", 2, 0, "i2"),
        ("i2", 300, 0, "i4"),
        ("i4", 1000, 0, "i4"),
        ("i2", 0.5, 1, "f4"),
        ("f4", 2, 1, "f4"),
        ("i4", 0.5, 0, "f8"),
        ("f8", 0.5, 0, "f8"),
    ],
)
def test_type_and_values(stored: str, slope: float, intercept: float, expected: str) -> None:
    values = np.array([[0, 1, 2, 100, 127]], dtype=stored)
    scaled = apply_scaling(values, slope, intercept)
    assert scaled.dtype == np.dtype(expected)
    np.testing.assert_array_equal(scaled, values.astype(float) * slope + intercept)


def test_large_values_widen_instead_of_wrapping() -> None:
    scaled = apply_scaling(np.array([[0, 65535]], dtype=np.uint16), 1, -1024)
    assert scaled.tolist() == [[-1024, 64511]]
    deep = apply_scaling(np.array([[-(2**31), 2**31 - 1]], dtype=np.int32), 3, 1)
    assert deep.tolist() == [[-3 * 2**31 + 1, 3 * (2**31 - 1) + 1]]
    huge = apply_scaling(np.array([[2**62]], dtype=np.int64), 4, 0)
    assert huge.dtype == np.float64
    assert huge[0, 0] == 2.0**64


def test_identity_returns_the_same_array() -> None:
    values = np.arange(4)[None]
    assert apply_scaling(values, 1.0, 0.0) is values


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [(np.nan, 0), (np.inf, 0), (0, 0), (1e308, 0), (1e-300, 0), (1, np.nan), (1, np.inf), (1, 1e308)],
)
def test_nonsense_is_refused(slope: float, intercept: float) -> None:
    with pytest.raises(InputError, match="slope"):
        check_scaling(slope, intercept, "x")
