"""What must not be in the repository: paths of a machine, hosts of a package registry, large files, private keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

MAX_BYTES = 5_000_000
# Joined here so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile(
    r"(?<![\w.~-])/(?:" + "|".join(["wo" + "rk", "ro" + "ot", "tm" + "p/v"]) + r")(?=[/\s'\"`),.:;]|$)"
)
REGISTRIES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "download." + "pytorch.org",
    "anaconda" + ".org",
    "anaconda" + ".com",
    "registry." + "npmjs.org",
    "proxy." + "golang.org",
    "crates" + ".io",
    "hugging" + "face.co",
]
KEYS = re.compile("-----BEGIN [A-Z ]*PRIVATE " + "KEY-----")


@pytest.fixture(scope="module")
def texts(repo: Path, tracked: list[str]) -> dict[str, str]:
    found = {}
    for path in tracked:
        data = (repo / path).read_bytes()
        if b"\0" not in data[:8192]:
            found[path] = data.decode("utf-8")
    return found


@pytest.mark.parametrize(
    ("line", "hit"),
    [
        ("see /wo" + "rk/main", True),
        ("'/ro" + "ot'", True),
        ("`/tm" + "p/v/x`", True),
        ("net" + "work/main and frame" + "work", False),
        ("https://example.org/wo" + "rk/x", False),
        (".//ro" + "ots", False),
    ],
)
def test_the_pattern_itself(line: str, hit: bool) -> None:
    assert bool(MACHINE_PATHS.search(line)) is hit


def test_no_path_of_a_machine(texts: dict[str, str]) -> None:
    found = [f"{path}: {match.group()}" for path, text in texts.items() for match in MACHINE_PATHS.finditer(text)]
    assert found == []


def test_no_registry_host(texts: dict[str, str]) -> None:
    assert [f"{path}: {host}" for path, text in texts.items() for host in REGISTRIES if host in text] == []


def test_no_private_key(texts: dict[str, str]) -> None:
    assert [path for path, text in texts.items() if KEYS.search(text)] == []


def test_no_file_above_five_megabytes(repo: Path, tracked: list[str]) -> None:
    sizes = {path: (repo / path).stat().st_size for path in tracked}
    assert {path: size for path, size in sizes.items() if size > MAX_BYTES} == {}


def test_no_byte_code_and_no_link(repo: Path, tracked: list[str]) -> None:
    assert [path for path in tracked if path.endswith((".pyc", ".pyo", ".so", ".pkl", ".pt", ".pth", ".ckpt"))] == []
    assert [path for path in tracked if (repo / path).is_symlink()] == []


def test_text_files_end_with_one_newline(texts: dict[str, str]) -> None:
    text_kinds = (".py", ".md", ".txt", ".cmake", ".toml", ".cff", ".yaml", ".json", ".ui", ".s4ext")
    wrong = [path for path, text in texts.items() if path.endswith(text_kinds) and text and not text.endswith("\n")]
    assert wrong == []
    assert [path for path, text in texts.items() if "\r" in text] == []
