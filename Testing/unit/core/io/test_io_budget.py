from __future__ import annotations

import pytest

from medai.core.errors import InputError
from medai.core.io.budget import check_sizes, memory_budget


def test_bytes_of_an_honest_header() -> None:
    assert check_sizes([3, 4, 5], 2, "x") == 120


@pytest.mark.parametrize("sizes", [[0, 4, 5], [-1, 4], [1 << 21, 1], []])
def test_absurd_sizes(sizes: list[int]) -> None:
    with pytest.raises(InputError, match="states sizes"):
        check_sizes(sizes, 1, "x")


def test_more_than_the_machine_has() -> None:
    with pytest.raises(InputError, match=r"GiB of voxels \(100000 x 100000 x 1000\)") as caught:
        check_sizes([100_000, 100_000, 1000], 2, "x")
    assert caught.value.code == "HEADER_BUDGET"


def test_the_budget_is_a_share_of_this_machine() -> None:
    psutil = pytest.importorskip("psutil")
    assert 64 << 20 < memory_budget() <= psutil.virtual_memory().total
