"""The lock on an open file: one holder at a time, free when the file is closed."""

from medai.core.file_lock import try_lock


def test_only_one_holds_it_until_it_is_closed(tmp_path):
    path = tmp_path / "x.lock"
    with open(path, "ab+") as first, open(path, "ab+") as second:
        assert try_lock(first)
        assert not try_lock(second)
        first.close()
        assert try_lock(second)


def test_a_lock_beyond_the_text_leaves_it_readable(tmp_path):
    path = tmp_path / "x.lock"
    path.write_bytes(b"owner")
    with open(path, "rb+") as stream:
        assert try_lock(stream, 1 << 30)
        assert path.read_bytes() == b"owner"
