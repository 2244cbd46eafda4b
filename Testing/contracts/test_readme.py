"""The README promises commands; they must be there, to the letter, and exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medai.core.version import VERSION

INSTALL_AND_RUN = "python3 -m venv .venv && .venv/bin/pip install -e '.[demo]' && .venv/bin/medai demo"
INSTALL_AND_TEST = ".venv/bin/pip install -e '.[test]' && .venv/bin/python -m pytest"
COMMANDS = (
    "demo",
    "run",
    "filter",
    "segment",
    "models",
    "steps",
    "train",
    "finetune",
    "detect",
    "finetune",
    "detect",
    "evaluate",
    "info",
)


@pytest.fixture(scope="module")
def readme(repo: Path) -> str:
    return (repo / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)\n```$", text, flags=re.MULTILINE | re.DOTALL)


def test_the_two_commands_stand_alone(readme: str) -> None:
    shell = blocks(readme, "sh")
    assert INSTALL_AND_RUN in shell
    assert INSTALL_AND_TEST in shell


def test_research_use_only_comes_first(readme: str) -> None:
    assert "research use only" in readme[:600].lower()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_table_exists(command: str, readme: str) -> None:
    testing = pytest.importorskip("typer.testing")
    from medai.cli.app import app

    promised = re.findall(rf"^\| `medai ({command}[^`]*)`", readme, re.MULTILINE)
    assert promised
    for row in promised:
        # The words up to the first argument or option: a command, or a command of a group.
        words = re.match(r"[a-z ]+(?= |$)", row)[0].split()
        result = testing.CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
        assert result.exit_code == 0, result.output
        for option in re.findall(r"--[a-z]+", row):
            assert option in result.output, row


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs"])
def test_links_inside_the_repository_lead_somewhere(page: str, repo: Path) -> None:
    pages = sorted((repo / page).rglob("*.md")) if (repo / page).is_dir() else [repo / page]
    broken = []
    for path in pages:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
            if "://" not in target and not (path.parent / target).exists():
                broken.append(f"{path.name}: {target}")
    assert broken == []


def test_python_examples_compile(readme: str) -> None:
    examples = blocks(readme, "python")
    assert examples
    for example in examples:
        compile(example, "README.md", "exec")


def test_changelog_knows_the_version(repo: Path) -> None:
    version = re.search(r'^version = "([^"]+)"', (repo / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert version[1] == VERSION
    assert f"version: {version[1]}\n" in (repo / "CITATION.cff").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[([^\]]+)\]", (repo / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings
    assert headings[0] in {"Unreleased", version[1]}


def test_citation_file_has_the_required_keys(repo: Path) -> None:
    """cff-version 1.2.0 requires cff-version, message, title and authors."""
    text = (repo / "CITATION.cff").read_text(encoding="utf-8")
    keys = re.findall(r"^([a-z-]+):", text, re.MULTILINE)
    assert {"cff-version", "message", "title", "authors"} <= set(keys)
    assert len(keys) == len(set(keys))
    assert "cff-version: 1.2.0\n" in text
    assert "license: Apache-2.0\n" in text
