"""Where the user's models live, and the catalogue."""

import json
from pathlib import Path

import pytest

from medai.core.errors import ManifestError
from medai.segment.models import ModelStore, shipped_roots, user_root
from medai.segment.models.catalogue import FILE, load_catalogue
from medai.segment.models.lock import held


def test_the_variable_names_the_folder(tmp_path):
    assert user_root({"MEDAI_MODELS": str(tmp_path / "here")}) == tmp_path / "here"
    assert user_root({"MEDAI_MODELS": "  "}, "linux") == Path.home() / ".local" / "share" / "MedAI" / "models"


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, Path.home() / ".local" / "share"),
        ("linux", {"XDG_DATA_HOME": "relative"}, Path.home() / ".local" / "share"),
        ("darwin", {}, Path.home() / "Library" / "Application Support"),
        ("win32", {}, Path.home() / "AppData" / "Local"),
    ],
)
def test_every_platform_has_its_place(platform, variables, expected):
    assert user_root(variables, platform) == expected / "MedAI" / "models"


@pytest.mark.parametrize(("platform", "variable"), [("linux", "XDG_DATA_HOME"), ("win32", "LOCALAPPDATA")])
def test_the_platforms_variable_counts(tmp_path, platform, variable):
    assert user_root({variable: str(tmp_path)}, platform) == tmp_path / "MedAI" / "models"


def test_models_of_the_user_come_first_and_never_lie_in_what_is_shipped(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDAI_MODELS", str(tmp_path / "mine"))
    store = ModelStore()
    assert store.roots == [tmp_path / "mine", *shipped_roots()]
    assert not any(user_root({}, p).is_relative_to(root.parent.parent) for p in ("linux", "darwin", "win32")
                   for root in shipped_roots())  # fmt: skip
    assert "hippocampus" in [m.id for m in store.list()]
    assert not (tmp_path / "mine").exists()


def test_the_catalogue_is_valid_and_honest_about_checksums():
    entries = load_catalogue()
    assert len(entries) >= 40
    assert {e.format for e in entries} == {"nnunet", "monai_bundle"}
    for entry in entries:
        assert entry.url.startswith("https://")
        assert entry.licence == "Apache-2.0"
        assert entry.licence_url
        if entry.format == "nnunet":
            # The project publishes none: nobody may have made one up.
            assert entry.sha256 is None
            assert "only the secure connection vouches" in entry.vouched
        else:
            assert entry.sha1
            assert f"_v{entry.version}.zip" in entry.url
    assert sum(bool(e.cannot_run) for e in entries) >= 5
    assert json.loads(FILE.read_text("utf-8"))["sources"]


def test_a_users_catalogue_adds_entries(tmp_path):
    entry = {
        "id": "ours", "title": "Ours", "summary": "Ours.", "format": "onnx", "licence": "MIT",
        "url": "https://models.example/ours.zip",
    }  # fmt: skip
    file = tmp_path / "catalogue.json"
    file.write_text(json.dumps({"entries": [entry]}), "utf-8")
    assert load_catalogue(tmp_path)[-1].id == "ours"
    for change, message in (
        ({"url": "http://models.example/ours.zip"}, r"entries\[0\]\.url.*by http"),
        ({"url": "file:///etc/passwd"}, "https://"),
        ({"sha256": "abc"}, r"entries\[0\]\.sha256"),
        ({"id": "ts-organs"}, "'ts-organs', which MedAI's own has too"),
        ({"surprise": 1}, "surprise: unknown key"),
    ):
        file.write_text(json.dumps({"entries": [{**entry, **change}]}), "utf-8")
        with pytest.raises(ManifestError, match=message):
            load_catalogue(tmp_path)
    file.write_text(json.dumps({"entries": [entry, entry]}), "utf-8")
    with pytest.raises(ManifestError, match="share the id 'ours'"):
        load_catalogue(tmp_path)


def test_a_lock_leaves_nothing_and_can_be_taken_again(tmp_path):
    for _ in range(3):
        with held(tmp_path, "a", "a thing"):
            assert [p.name for p in (tmp_path / ".locks").iterdir()] == ["a.lock"]
            with held(tmp_path, "b", "another thing"):
                pass
    assert list(tmp_path.iterdir()) == []
