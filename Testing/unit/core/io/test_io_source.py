from __future__ import annotations

import bz2
import gzip
import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from medai.core.errors import InputError, TruncatedFile
from medai.core.io.source import MAX_TRAILING, Payload, open_file, peek

DATA = bytes(range(256)) * 3000
ENCODERS = {
    "raw": lambda data: data,
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
}


@pytest.mark.parametrize("encoding", list(ENCODERS))
@pytest.mark.parametrize(("first", "count"), [(0, None), (0, 10), (1000, 5000), (len(DATA) - 16 - 1, 1)])
def test_any_part_of_any_encoding(tmp_path: Path, encoding: str, first: int, count: int | None) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"head" + ENCODERS[encoding](DATA))
    got = Payload(file, 4, encoding, 16, len(DATA) - 16).read(first, count)
    expected = DATA[16 + first :][:count]
    assert got.tobytes() == expected


def test_gzip_of_several_members_with_padding(tmp_path: Path) -> None:
    file = tmp_path / "x.gz"
    file.write_bytes(gzip.compress(DATA[:1000]) + gzip.compress(DATA[1000:]) + b"\0" * 300)
    assert Payload(file, 0, "gzip", 0, len(DATA)).read().tobytes() == DATA


@pytest.mark.parametrize("encoding", ["gzip", "zlib", "bzip2"])
def test_every_single_bit_flip_in_a_stream_is_seen(tmp_path: Path, encoding: str, rng: np.random.Generator) -> None:
    plain = rng.integers(0, 9, 60, dtype=np.uint8).tobytes()
    packed = ENCODERS[encoding](plain)
    file = tmp_path / "x"
    seen = 0
    for bit in range(len(packed) * 8):
        damaged = bytearray(packed)
        damaged[bit // 8] ^= 1 << (bit % 8)
        file.write_bytes(damaged)
        try:
            # a flip may spare the data (gzip's time stamp, its name field): then the data must be intact
            assert Payload(file, 0, encoding, 0, len(plain)).read().tobytes() == plain
        except InputError:
            seen += 1
    assert seen > len(packed) * 8 * 0.8


@pytest.mark.parametrize("encoding", list(ENCODERS))
def test_every_cut_is_seen(tmp_path: Path, encoding: str) -> None:
    packed = ENCODERS[encoding](DATA[:2000])
    file = tmp_path / "x"
    for length in range(1, len(packed), max(1, len(packed) // 60)):
        file.write_bytes(packed[:length])
        with pytest.raises(TruncatedFile):
            Payload(file, 0, encoding, 0, 2000).read()


def test_a_promise_that_deflate_cannot_keep_is_refused_without_decoding(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(gzip.compress(b"0" * 1000))
    with pytest.raises(TruncatedFile, match="at most"):
        Payload(file, 0, "gzip", 0, 10**12).read()


def test_a_bomb_behind_the_image_stops(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(gzip.compress(bytes(MAX_TRAILING + (4 << 20)), 1))
    with pytest.raises(InputError, match="far more data"):
        Payload(file, 0, "gzip", 0, 100).read()


def test_peek_reads_plain_and_gzip_alike(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    (tmp_path / "b").write_bytes(gzip.compress(DATA))
    assert peek(tmp_path / "a", 700) == peek(tmp_path / "b", 700) == DATA[:700]
    (tmp_path / "c").write_bytes(b"\x1f\x8bxx" + DATA[:50])
    with pytest.raises(TruncatedFile, match="damaged"):
        peek(tmp_path / "c", 10)


def test_special_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, words in {"none": "not exist", "empty": "is empty", "fifo": "regular", "loop": "cannot be read"}.items():
        with pytest.raises(InputError, match=words), open_file(tmp_path / name):
            pass
    with pytest.raises(InputError, match="regular"), open_file(Path("/dev/null")):
        pass
    with pytest.raises(InputError, match="not valid"), open_file(tmp_path / "a\0b"):
        pass
