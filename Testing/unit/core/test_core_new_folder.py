"""A folder appears complete or not at all."""

import sys

import pytest

from medai.core.errors import OutputError
from medai.core.new_folder import new_folder, require_new_folder


@pytest.mark.parametrize("exists", [False, True])
def test_it_appears_when_the_block_ends(tmp_path, exists):
    target = tmp_path / "a" / "b"
    if exists:
        target.mkdir(parents=True)
    with new_folder(target) as place:
        (place / "file").write_text("x", "utf-8")
        assert place.parent == target.parent
        assert not exists or not any(target.iterdir())
    assert (target / "file").read_text("utf-8") == "x"
    assert [p.name for p in target.parent.iterdir()] == ["b"]


def test_a_failure_leaves_nothing(tmp_path):
    def stop():
        with new_folder(tmp_path / "out") as place:
            (place / "file").write_text("x", "utf-8")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stop()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="Cannot write 'out'"), new_folder(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_given_place_is_cleaned_first(tmp_path):
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / "old").write_text("x", "utf-8")
    with new_folder(tmp_path / "out", staging=staging) as place:
        assert place == staging
    assert list((tmp_path / "out").iterdir()) == []
    assert not staging.exists()


def test_what_is_there_is_kept(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x", "utf-8")
    with pytest.raises(OutputError, match="not empty"), new_folder(tmp_path / "full"):
        pytest.fail("the block must not run")
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(OutputError, match="not empty"):
        require_new_folder(tmp_path / "file")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder in which not even root may write")
def test_a_place_where_nothing_may_be_written_is_refused():
    with pytest.raises(OutputError, match="Cannot write"):
        require_new_folder("/proc/nowhere/model")
