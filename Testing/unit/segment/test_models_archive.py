"""Archives from strangers: each trick is built here and must be refused before anything is written."""

import os
import stat
import struct
import subprocess
import sys
import zipfile

import pytest

from medai.core.errors import Cancelled, ModelError, OutputError
from medai.segment.models.archive import Limits, extract


def pack(path, members, method=zipfile.ZIP_DEFLATED):
    """Write a zip of (name or ZipInfo, content) pairs."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def entry(name, mode=0o644, kind=stat.S_IFREG):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | mode) << 16
    return info


@pytest.fixture
def folder(tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    return new


def refused(archive, folder, reason, **more):
    before = sorted(folder.parent.iterdir())
    with pytest.raises(ModelError, match=reason) as caught:
        extract(archive, folder, **more)
    assert caught.value.code == "ARCHIVE"
    assert list(folder.iterdir()) == []
    assert sorted(folder.parent.iterdir()) == before


def test_an_honest_archive_is_unpacked_with_folders_and_progress(tmp_path, folder):
    data = os.urandom(3 << 20)
    archive = pack(
        tmp_path / "a.zip", [("model/", b""), ("model/net.bin", data), ("model/sub/x.json", b"{}"), ("e", b"")]
    )
    seen = []
    files = extract(archive, folder, progress=lambda fraction, text: seen.append(fraction))
    assert sorted(p.relative_to(folder).as_posix() for p in files) == ["e", "model/net.bin", "model/sub/x.json"]
    assert (folder / "model" / "net.bin").read_bytes() == data
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_files_are_never_executable(tmp_path, folder):
    (file,) = extract(pack(tmp_path / "a.zip", [(entry("run.sh", 0o777), b"#!/bin/sh\n")]), folder)
    assert not os.access(file, os.X_OK) or sys.platform == "win32"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.txt", "leaves the folder"),
        ("a/../../evil.txt", "leaves the folder"),
        ("a\\..\\..\\evil.txt", "leaves the folder"),
        ("a/./b", "leaves the folder"),
        ("a//b", "leaves the folder"),
        ("trailing./b", "leaves the folder"),
        ("space /b", "leaves the folder"),
        ("/etc/evil", "absolute"),
        ("\\evil", "absolute"),
        ("//server/share/x", "absolute"),
        ("C:/evil.txt", "absolute"),
        ("C:evil.txt", "absolute"),
        ("file.txt:stream", "absolute"),
        ("sub/NUL", "keeps for devices"),
        ("com1.txt", "keeps for devices"),
        ("a\nb", "character"),
        ("a\u202eb.txt", "character"),
        ("what?", "character"),
        ("x" * 300, "too long"),
        ("/".join("d" * 1 for _ in range(20)), "too deep"),
    ],
)
def test_names_that_leave_the_folder_are_refused(tmp_path, folder, name, reason):
    refused(pack(tmp_path / "a.zip", [("good.txt", b"x"), (name, b"evil")]), folder, reason)


def test_a_name_that_is_cut_at_a_zero_byte_is_refused(tmp_path, folder):
    archive = pack(tmp_path / "a.zip", [("good.txtQ../evil", b"x")])
    archive.write_bytes(archive.read_bytes().replace(b"good.txtQ../evil", b"good.txt\0../evil"))
    refused(archive, folder, "leaves the folder")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path, folder, kind):
    refused(pack(tmp_path / "a.zip", [(entry("link", 0o777, kind), b"/etc/passwd")]), folder, "link or a device")


@pytest.mark.parametrize(("first", "second"), [("a/B.txt", "A/b.TXT"), ("n\u00e4me", "na\u0308me"), ("x", "x")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_for_two_members_is_refused(tmp_path, folder, first, second):
    refused(pack(tmp_path / "a.zip", [(first, b"1"), (second, b"2")]), folder, "two members")


def test_a_file_that_is_also_a_folder_is_refused(tmp_path, folder):
    refused(pack(tmp_path / "a.zip", [("a", b"1"), ("a/b", b"2")]), folder, "lies in another one")
    refused(pack(tmp_path / "b.zip", [("a/b", b"2"), ("A", b"1")]), folder, "lies in another one")


def test_bombs_are_refused_by_their_table(tmp_path, folder):
    zeros = pack(tmp_path / "a.zip", [("zeros", b"\0" * (64 << 20))])
    assert zeros.stat().st_size < 1 << 20
    refused(zeros, folder, "looks like a bomb")
    many = pack(tmp_path / "b.zip", [(f"{n}", b"") for n in range(60)])
    refused(many, folder, "60 members", limits=Limits(members=50))
    refused(pack(tmp_path / "c.zip", [("big", b"x" * 2000)]), folder, "would take more", limits=Limits(single=1000))
    two = pack(tmp_path / "d.zip", [("1", b"x" * 800), ("2", b"x" * 800)])
    refused(two, folder, "would take more", limits=Limits(total=1000))
    refused(many, folder, "table of contents", limits=Limits(contents=1000))


def test_members_that_share_bytes_are_refused(tmp_path, folder):
    # One kernel of data, two table entries that point at it, as in Fifield's overlapping bomb.
    archive = pack(tmp_path / "a.zip", [("one", b"x" * 500), ("two", b"x" * 500)])
    data = bytearray(archive.read_bytes())
    second = data.rfind(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    archive.write_bytes(bytes(data))
    refused(archive, folder, "shares its bytes")


def test_a_size_that_lies_is_found_while_unpacking(tmp_path, folder):
    archive = pack(tmp_path / "a.zip", [("one", bytes(range(256)) * 40)])
    data = bytearray(archive.read_bytes())
    table = data.rfind(b"PK\x01\x02")
    data[table + 24 : table + 28] = struct.pack("<I", 100)  # the table promises 100 of 10240 bytes
    archive.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="damaged"):
        extract(archive, folder)
    assert all(path.stat().st_size <= 100 for path in folder.iterdir())


def test_encrypted_members_are_refused(tmp_path, folder):
    archive = pack(tmp_path / "a.zip", [("secret", b"x")], zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(signature) + offset] |= 1
    archive.write_bytes(bytes(data))
    refused(archive, folder, "encrypted")


def test_other_compressions_are_refused(tmp_path, folder):
    refused(pack(tmp_path / "a.zip", [("x", b"x" * 100)], zipfile.ZIP_LZMA), folder, "method 14")


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flip", "tail"])
def test_damaged_archives_are_refused(tmp_path, folder, damage):
    archive = pack(tmp_path / "a.zip", [("x", os.urandom(4000))])
    data = bytearray(archive.read_bytes())
    if damage == "flip":
        data[2000] ^= 255
    changed = {"empty": b"", "text": b"no zip", "cut": bytes(data[:1000]), "tail": bytes(data[:-10])}
    archive.write_bytes(changed.get(damage, bytes(data)))
    with pytest.raises(ModelError, match=r"damaged|no zip"):
        extract(archive, folder)


def test_an_archive_inside_is_left_as_it_is(tmp_path, folder):
    inner = pack(tmp_path / "inner.zip", [("../evil", b"x")])
    (file,) = extract(pack(tmp_path / "a.zip", [("inner.zip", inner.read_bytes())]), folder)
    assert file.read_bytes() == inner.read_bytes()


def test_cancel_stops_inside_a_member(tmp_path, folder, cancel_at_poll):
    archive = pack(tmp_path / "a.zip", [("x", os.urandom(8 << 20))])
    token = cancel_at_poll(4)
    with pytest.raises(Cancelled):
        extract(archive, folder, cancel=token)
    assert token.polls == 4
    assert (folder / "x").stat().st_size < 8 << 20


def test_a_full_disk_is_said_before_unpacking(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a small file system")
    try:
        with pytest.raises(OutputError, match="disk is full"):
            extract(pack(tmp_path / "a.zip", [("x", os.urandom(1 << 20))]), small)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
