"""medai.core.scratch: folders that do not outlive their owner."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medai.core.atomic import PREFIX as HALF_MADE
from medai.core.errors import OutputError
from medai.core.scratch import PREFIX, Scratch, remove, remove_if_abandoned, sweep

ABANDON = """
import os, sys; from pathlib import Path; from medai.core.scratch import Scratch
scratch = Scratch(Path(sys.argv[1])); scratch.new_folder().joinpath("x.npy").write_bytes(b"1")
scratch.journal.write_bytes(os.fsencode(sys.argv[2]) + b"\\0")
os._exit(9)
"""


def test_folders_of_jobs_are_new_and_close_removes_everything(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    first, second = scratch.new_folder(), scratch.new_folder()
    (first / "x.npy").write_bytes(b"1")
    assert first != second
    assert list(second.iterdir()) == []
    scratch.close()
    assert list(tmp_path.iterdir()) == []


def test_clear_removes_what_a_worker_left_and_keeps_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    half = out / f"{HALF_MADE}123.nii.gz"
    half.write_bytes(b"1")
    scratch = Scratch(tmp_path)
    (scratch.temporary / "pymp-1").mkdir()
    (scratch.temporary / "pymp-1" / "x").write_bytes(b"1")
    scratch.journal.write_bytes(os.fsencode(half) + b"\0")
    scratch.clear()
    assert not half.exists()
    assert list(scratch.temporary.iterdir()) == []
    assert scratch.folder.is_dir()
    scratch.close()


def test_a_folder_in_use_is_not_swept_and_a_dead_ones_is(tmp_path: Path) -> None:
    half = tmp_path / f"{HALF_MADE}456.nrrd"
    half.write_bytes(b"1")
    living = Scratch(tmp_path)
    subprocess.run([sys.executable, "-c", ABANDON, str(tmp_path), str(half)], check=False)
    assert len(list(tmp_path.glob(f"{PREFIX}*"))) == 2
    again = Scratch(tmp_path)  # every start sweeps
    assert sorted(tmp_path.glob(f"{PREFIX}*")) == sorted([living.folder, again.folder])
    assert not half.exists()
    assert not remove_if_abandoned(living.folder)
    living.close()
    again.close()


def test_sweeping_touches_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / f"{PREFIX}file").write_text("x")
    (tmp_path / f"{PREFIX}fresh").mkdir()  # no lock yet: its owner may be about to make it
    if os.name == "posix":
        (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "other")
    before = sorted(tmp_path.iterdir())
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    sweep(tmp_path / "missing")


def test_an_old_folder_without_a_lock_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / f"{PREFIX}old"
    folder.mkdir()
    os.utime(folder, (1, 1))
    sweep(tmp_path)
    assert not folder.exists()


def test_the_lock_is_free_again_after_close(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    lock = scratch.folder / "lock"
    assert lock.exists()
    assert not remove_if_abandoned(scratch.folder)
    scratch._lock.close()
    assert remove_if_abandoned(scratch.folder)
    assert not remove_if_abandoned(scratch.folder)


@pytest.mark.parametrize("place", ["missing", "file"])
def test_a_place_that_cannot_be_used(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="temporary folder cannot be used"):
        Scratch(tmp_path / place)


def test_remove_takes_files_folders_links_and_nothing(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "keep").write_text("x")
    (tmp_path / "file").write_text("x")
    remove(tmp_path / "file")
    remove(tmp_path / "missing")
    if os.name == "posix":
        (tmp_path / "link").symlink_to(target)
        remove(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert (target / "keep").exists()
    remove(target)
    assert list(tmp_path.iterdir()) == []
