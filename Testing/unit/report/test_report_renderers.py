"""Every renderer: found, described, deterministic, atomic, and refusing bad places."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from medai.core.errors import OutputError, SettingsError
from medai.report import RENDERERS, Report, render

NAMES = ["html", "json"]


def test_registry() -> None:
    assert RENDERERS.names() == NAMES
    assert RENDERERS.unavailable() == []
    with pytest.raises(SettingsError, match="no renderer called 'docx'"):
        RENDERERS.get("docx")


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, report: Report, tmp_path: Path) -> None:
    renderer = RENDERERS.create(name)
    assert renderer.title
    assert renderer.suffix.startswith(".")
    assert type(renderer).__doc__
    data = renderer.encode(report)
    assert data == renderer.encode(Report.from_json(report.to_json())), "the report.json is the only source"
    for needed in ("Research use only - not for diagnosis", report.report_id, report.findings[0].volume.text):
        assert needed.encode("utf-8") in data
    path = render(report, name, tmp_path / f"a b ü{renderer.suffix}")
    assert path.read_bytes() == data
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", NAMES)
def test_bad_places_are_refused_and_nothing_is_left(name: str, report: Report, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    for target in ("folder", "missing/report", "file/report"):
        with pytest.raises(OutputError):
            render(report, name, tmp_path / target)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]
    if os.geteuid():
        locked = tmp_path / "folder"
        locked.chmod(0o500)
        with pytest.raises(OutputError, match="permission denied"):
            render(report, name, locked / "report")
        locked.chmod(0o700)


def test_an_old_report_survives_a_failure(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    render(report, "html", target)
    before = target.read_bytes()
    monkeypatch.setattr("medai.report.renderers.html.MAX_BYTES", 10)
    with pytest.raises(Exception, match="at most 10"):
        render(report, "html", target)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_importing_draws_in_nothing_heavy(kit: SimpleNamespace) -> None:
    import subprocess
    import sys

    code = (
        "import sys, medai.report, medai.report.tasks; medai.report.RENDERERS.names()\n"
        "print([m for m in ('PIL', 'jinja2', 'SimpleITK', 'scipy', 'skimage', 'torch', 'slicer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
