"""The worker's task: checks first, then computes, then writes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medai.core.errors import InputError, MedAIError, OutputError, SettingsError
from medai.core.progress import CancelToken, no_progress
from medai.features import extract
from medai.report import Report
from medai.report import tasks as tasks_module
from medai.report.tasks import render


@pytest.fixture
def inputs(kit: SimpleNamespace) -> dict[str, Any]:
    volume, labels = kit.case()
    return {"volume": volume, "labels": labels, "features": extract(volume, labels).to_dict()}


def _run(inputs: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return render(inputs, settings, progress=no_progress, cancel=CancelToken())


def test_files_are_written_and_named(inputs: dict[str, Any], tmp_path: Path) -> None:
    flag = {"code": "DOMAIN_OOD", "severity": "error", "message": "strange", "affects": "image"}
    done = _run(
        inputs, folder=str(tmp_path / "new"), stem="case-1", flags=[flag], protocol={"title": "T"},
        identity={"pseudonym": "P7"}, times={"segment": 2.0}, pictures=False,
    )  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["case-1.html", "case-1.json"]
    report = Report.from_json(Path(done["files"]["json"]).read_text(encoding="utf-8"))
    assert (report.report_id, report.banner.light, report.identity.pseudonym) == (done["report_id"], "red", "P7")
    assert done["light"] == "red"
    assert list(report.summary) == done["summary"]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, SettingsError, "folder"),
        ({"folder": "x", "stem": "../evil"}, SettingsError, "stem"),
        ({"folder": "x", "renderers": ["docx"]}, SettingsError, "docx"),
        ({"folder": "x", "extra": 1}, SettingsError, "report.extra"),
        ({"folder": "x", "identity": {"pseudonym": "a", "phone": "1"}}, SettingsError, "phone"),
        ({"folder": "x", "flags": [{"code": "NO_SUCH", "severity": "info", "message": "m"}]}, InputError, "NO_SUCH"),
        ({"folder": "x", "flags": [{"bad": 1}]}, InputError, "flag"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_made(
    inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict, error: type, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        _run(inputs, **settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["volume", "labels", "features"])
def test_missing_inputs_are_refused(inputs: dict[str, Any], tmp_path: Path, missing: str) -> None:
    del inputs[missing]
    with pytest.raises(InputError, match="needs the inputs"):
        _run(inputs, folder=str(tmp_path))


def test_a_strange_feature_table_is_refused(inputs: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(MedAIError):
        _run({**inputs, "features": {"rows": []}}, folder=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_bad_folder_is_refused_before_computing(
    inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **more: Any) -> Report:
        raise AssertionError("computed in vain")

    monkeypatch.setattr(tasks_module, "build_report", never)
    (tmp_path / "file").write_text("x")
    for folder in ("file", "file/below"):
        with pytest.raises(OutputError):
            _run(inputs, folder=str(tmp_path / folder))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
