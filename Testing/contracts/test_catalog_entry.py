"""The catalog entry, the extension description, CMakeLists.txt and pyproject.toml tell one story."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import pytest

REQUIRED = {"$schema", "category", "scm_url"}
EXPECTED = REQUIRED | {"scm_revision", "build_dependencies", "build_subdirectory", "tier"}
# Categories that the index accepts and that suit this extension.
CATEGORIES = {"Segmentation", "Quantification", "Analysis", "Pipelines"}


@pytest.fixture(scope="module")
def entry(repo: Path) -> dict[str, object]:
    return json.loads((repo / "MedAIExtension.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def description(repo: Path) -> dict[str, str]:
    lines = (repo / "MedAIExtension.s4ext").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs), "every keyword of the description has a value"
    return dict(pairs)


@pytest.fixture(scope="module")
def cmake(repo: Path) -> dict[str, str]:
    text = (repo / "CMakeLists.txt").read_text(encoding="utf-8")
    fields = dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"]*)"\)', text, flags=re.MULTILINE))
    (fields["NAME"],) = re.findall(r"^project\((\w+)\)$", text, flags=re.MULTILINE)
    return fields


def test_entry_has_the_fields_of_schema_1_0_1(entry: dict[str, object]) -> None:
    assert set(entry) == EXPECTED
    assert str(entry["$schema"]).endswith("/Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json#")
    assert entry["tier"] == 1, "experimental"
    assert entry["build_dependencies"] == ["PyTorch"]
    assert entry["build_subdirectory"] == "."
    assert entry["category"] in CATEGORIES


def test_entry_is_written_as_the_index_writes_it(repo: Path, entry: dict[str, object]) -> None:
    text = (repo / "MedAIExtension.json").read_text(encoding="utf-8")
    assert text == json.dumps(dict(sorted(entry.items())), indent=2) + "\n"


def test_description_agrees_with_the_entry(entry: dict[str, object], description: dict[str, str]) -> None:
    assert description["scm"] == "git"
    assert description["scmurl"] == entry["scm_url"]
    assert description["scmrevision"] == entry["scm_revision"]
    assert description["category"] == entry["category"]
    assert description["depends"].split() == entry["build_dependencies"]
    assert description["build_subdirectory"] == entry["build_subdirectory"]
    assert "research use only" in description["status"].lower()


def test_cmake_agrees_with_the_description(description: dict[str, str], cmake: dict[str, str]) -> None:
    assert cmake["NAME"] == "MedAIExtension"
    for field in ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"):
        assert cmake[field] == description[field.lower()]
    assert "research use only" in cmake["DESCRIPTION"].lower()


def test_addresses_start_at_the_homepage(cmake: dict[str, str], entry: dict[str, object]) -> None:
    owner_and_name = cmake["HOMEPAGE"].removeprefix("https://github.com/")
    assert entry["scm_url"] == f"https://github.com/{owner_and_name}.git"


def test_package_names_the_same_homepage(cmake: dict[str, str], installed_with_pip: str) -> None:
    urls = metadata.metadata(installed_with_pip).get_all("Project-URL") or []
    assert f"Homepage, {cmake['HOMEPAGE']}" in urls


@pytest.mark.parametrize("field", ["ICONURL", "SCREENSHOTURLS"])
def test_pictures_are_in_the_repository(field: str, cmake: dict[str, str], tracked: list[str]) -> None:
    """The catalog fetches the pictures from the repository's main branch."""
    start = cmake["HOMEPAGE"].replace("https://github.com/", "https://raw.githubusercontent.com/") + "/main/"
    for url in cmake[field].split():
        assert url.startswith(start)
        assert url.removeprefix(start) in tracked


def test_modules_are_added_once(repo: Path) -> None:
    text = (repo / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.findall(r"^add_subdirectory\((\w+)\)$", text, re.MULTILINE) == [
        "MedAISegment",
        "MedAIFeatures",
        "MedAIReport",
    ]
