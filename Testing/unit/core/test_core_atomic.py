"""medai.core.atomic: rows 36 and 37 of the bad inputs; the old file or the new one, never half of one."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medai.core import atomic
from medai.core.atomic import atomic_path, ensure_folder, remove_journalled, set_journal, write_text
from medai.core.errors import OutputError


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_new_file_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    for text in ("old", "new ä\n"):
        write_text(target, text)
        assert target.read_bytes() == text.encode("utf-8")
    assert names(tmp_path) == ["a.txt"]


def test_text_with_half_a_surrogate_pair_is_written_as_its_escape(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "x\udc80y")
    assert (tmp_path / "a.txt").read_bytes() == rb"x\udc80y"


def fail_half_way(target: Path, error: BaseException) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError("writer"), KeyboardInterrupt(), MemoryError()])
def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(type(error)):
        fail_half_way(target, error)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "error"),
    ],
)
def test_a_failing_disk_is_an_output_error_and_the_old_file_stays(tmp_path: Path, code: int, words: str) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(OutputError, match=words) as caught:
        fail_half_way(target, OSError(code, os.strerror(code)))
    assert "'a.txt'" in caught.value.message
    assert str(tmp_path) not in str(caught.value)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_really_full_disk(tmp_path: Path) -> None:

    def write() -> None:
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.symlink_to("/dev/full")
            temporary.write_bytes(b"x" * 100_000)

    with pytest.raises(OutputError, match="the disk is full"):
        write()
    assert names(tmp_path) == []


def test_a_writer_that_wrote_nothing_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError), atomic_path(tmp_path / "a.txt"):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.nii.gz", ".nii.gz"),
        ("A.NII.GZ", ".NII.GZ"),
        ("a.nrrd", ".nrrd"),
        ("scan.2024.seg.nrrd", ".seg.nrrd"),
        ("v1.2.mha", ".mha"),
        ("README", ""),
        (".hidden", ""),
    ],
)
def test_the_temporary_name_ends_as_the_target(tmp_path: Path, name: str, suffix: str) -> None:
    with atomic_path(tmp_path / name) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(atomic.PREFIX)
        assert "".join(temporary.name.partition(".medai-")[2].partition(".")[1:]) == suffix
        temporary.write_text("x")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("name", ["ä ö/日本 語.txt", "-leading.txt", " .txt", "'; rm -rf x.txt"])
def test_unusual_names_work(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    target.parent.mkdir(exist_ok=True)
    write_text(target, "x")
    assert target.read_text() == "x"


def test_impossible_targets_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    targets = {
        tmp_path / "folder": "a folder of that name exists",
        tmp_path / "missing" / "a.txt": "its folder does not exist",
        tmp_path / "file" / "a.txt": "its folder does not exist",
        tmp_path / ("x" * 300): "the name is too long",
        tmp_path / "a\0b.txt": "a zero character",
    }
    for target, words in targets.items():
        with pytest.raises(OutputError, match=words), atomic_path(target):
            pytest.fail("the writer must not run")
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_or_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(OutputError, match="a device or a pipe"):
            write_text(target, "x")
    assert not Path("/dev/null").is_file()


def test_ensure_folder_makes_it_and_leaves_nothing_inside(tmp_path: Path) -> None:
    assert ensure_folder(tmp_path / "a" / "b ä") == tmp_path / "a" / "b ä"
    assert ensure_folder(str(tmp_path / "a")) == tmp_path / "a"
    assert names(tmp_path / "a") == ["b ä"]


def test_ensure_folder_refuses_a_file_and_what_lies_below_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="'file' is a file"):
        ensure_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="part of its path is a file"):
        ensure_folder(tmp_path / "file" / "below")
    with pytest.raises(OutputError, match="name is too long"):
        ensure_folder(tmp_path / ("x" * 300))
    with pytest.raises(OutputError, match="zero character"):
        ensure_folder(f"{tmp_path}/a\0b")


def test_ensure_folder_refuses_a_read_only_one() -> None:
    if not Path("/proc/self").exists():
        pytest.skip("no read-only folder here that also the superuser cannot write to")
    with pytest.raises(OutputError):
        ensure_folder("/proc/self/attr")


def test_what_a_kill_left_over_is_removed_by_its_journal(tmp_path: Path) -> None:
    out = tmp_path / "out ä\n"
    out.mkdir()
    (out / "a.txt").write_text("old")
    code = (
        "import sys, os; from pathlib import Path; from medai.core import atomic\n"
        "atomic.set_journal(Path(sys.argv[1]))\n"
        "atomic.write_text(Path(sys.argv[2]) / 'b.txt', 'done')\n"
        "with atomic.atomic_path(Path(sys.argv[2]) / 'a.txt') as t:\n"
        "    t.write_text('half'); os._exit(9)\n"
    )
    assert (
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "journal"), str(out)], check=False).returncode == 9
    )
    assert len(names(out)) == 3
    remove_journalled(tmp_path / "journal")
    assert names(out) == ["a.txt", "b.txt"]
    assert (out / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["out ä\n"]


def test_a_journal_cannot_remove_other_files(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    journal = tmp_path / "journal"
    journal.write_bytes(os.fsencode(tmp_path / "precious.txt") + b"\0" + os.fsencode(tmp_path) + b"\0\0")
    remove_journalled(journal)
    assert names(tmp_path) == ["precious.txt"]
    remove_journalled(journal)  # no journal is no fault


def test_a_journal_that_cannot_be_written_forbids_nothing(tmp_path: Path) -> None:
    set_journal(tmp_path / "missing" / "journal")
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        set_journal(None)
    assert names(tmp_path) == ["a.txt"]
