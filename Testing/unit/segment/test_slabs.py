"""Slabs on threads: order, borders, errors, Cancel."""

import threading
import time

import numpy as np
import pytest

from medai.core.errors import Cancelled
from medai.core.progress import CancelToken, no_progress
from medai.segment.slabs import for_slabs, with_halo


@pytest.mark.parametrize("threads", [1, 3])
def test_every_range_once_and_in_order(threads):
    seen = []
    found = for_slabs(
        10,
        lambda a, b: (a, b),
        slab=4,
        progress=lambda f, m="": seen.append(f),
        cancel=CancelToken(),
        threads=threads,
    )
    assert found == [(0, 4), (4, 8), (8, 10)]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_nothing_to_do():
    assert for_slabs(0, lambda a, b: 1 / 0, slab=4, progress=no_progress, cancel=CancelToken()) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_of_one_slab_is_the_error(threads):
    with pytest.raises(ZeroDivisionError):
        for_slabs(9, lambda a, b: 1 / (a - 3), slab=3, progress=no_progress, cancel=CancelToken(), threads=threads)


def test_cancel_leaves_the_rest_undone():
    token, started = CancelToken(), []

    def work(start, stop):
        started.append(start)
        token.cancel()
        time.sleep(0.01)

    with pytest.raises(Cancelled):
        for_slabs(1000, work, slab=1, progress=no_progress, cancel=token, threads=2)
    assert len(started) < 10


def test_progress_comes_on_the_callers_thread():
    threads = set()
    for_slabs(
        8,
        lambda a, b: None,
        slab=1,
        progress=lambda f, m="": threads.add(threading.get_ident()),
        cancel=CancelToken(),
        threads=2,
    )
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("mode", ["reflect", "nearest"])
@pytest.mark.parametrize("size", [1, 2, 3, 9])
@pytest.mark.parametrize("halo", [0, 1, 4])
def test_a_halo_is_a_piece_of_the_padded_array(mode, size, halo):
    array = np.arange(size * 2).reshape(size, 2)
    padded = np.pad(array, ((halo, halo), (0, 0)), mode="symmetric" if mode == "reflect" else "edge")
    for start in range(size):
        for stop in range(start + 1, size + 1):
            found = with_halo(array, start, stop, halo, mode)
            assert np.array_equal(found, padded[start : stop + 2 * halo])
    assert np.shares_memory(with_halo(array, 0, size, 0), array)
