"""Building: what is asked for comes in, patient data stays out."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import numpy as np
import pytest

from medai.core.errors import Cancelled, GeometryError
from medai.core.geometry import Geometry
from medai.core.progress import CancelToken
from medai.core.settings import digest_json
from medai.features import extract
from medai.report import Identity, Report, build_report
from medai.report.renderers.html import HtmlRenderer

MODEL = {
    "id": "organ",
    "version": "1.2.3",
    "title": "Organ U-Net",
    "sha256": "ab" * 32,
    "licence": "Apache-2.0",
    "intended_use": "Volumes for research.",
    "training_data": "160 cases",
    "citation": "Somebody 2026",
    "limits": ["Not for children.", 5, " "],
    "metrics": {"dice": {"front": 0.87}},
}


def _all(report: Report) -> str:
    return report.to_json() + HtmlRenderer().encode(report).decode("utf-8")


def test_provenance_holds_hashes_and_settings(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    table = extract(volume, labels)
    protocol = {"title": "T", "pipeline": [{"step": "median", "settings": {"radius": 2}}], "seed": 7}
    report = kit.report(
        volume, labels.replace(meta={"device": "cpu", "model": MODEL}), table, protocol=protocol,
        provenance={"medai": "0.1.0", "commit": "abc"}, times={"denoise": 1.25, "segment": 20.04}, pictures=False,
    )  # fmt: skip
    p = report.provenance
    assert p.image_sha256 == volume.digest()
    assert p.labels_sha256 == labels.digest()
    assert p.features_sha256 == digest_json(table.to_dict())
    assert p.protocol == protocol
    assert p.software == {"medai": "0.1.0", "commit": "abc"}
    assert p.segmentation == {"device": "cpu"}
    assert [(t.step, t.duration.text) for t in p.times] == [("denoise", "1.25 s"), ("segment", "20.0 s")]
    assert report.radiomics.settings == table.settings
    assert report.model is not None
    assert (report.model.version, report.model.sha256) == ("1.2.3", "ab" * 32)
    assert report.task.intended_use == "Volumes for research."
    assert report.task.steps == ("median",)
    assert report.limits[0] == "Not for children."
    assert report.limits[-1] == "Not validated for any clinical use."


def test_an_explicit_model_wins_and_may_be_incomplete(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    report = kit.report(volume, labels.replace(meta={"model": MODEL}), model={"id": "other"}, pictures=False)
    assert report.model is not None
    assert (report.model.id, report.model.licence) == ("other", "")
    assert kit.report(volume, labels, pictures=False).model is None


def test_pseudonym_by_default(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    report = kit.report(volume, labels, pictures=False)
    assert report.identity == Identity(pseudonym=f"Case {volume.digest()[:8].upper()}")
    named = kit.report(volume, labels, pictures=False, identity=Identity(pseudonym="P1", name="DOE^JANE^^^", sex="F"))
    assert "DOE^JANE^^^" in _all(named)


@pytest.mark.parametrize(
    "name", ["^^^^", "", "Yamada^Tarou=山田^太郎=やまだ^たろう", "O'Brien^Zoë", "\x1b$B;3ED\x1b(B"]
)
def test_names_as_recorded(kit: SimpleNamespace, name: str) -> None:
    report = kit.report(*kit.case(), pictures=False, identity=Identity(pseudonym="P1", name=name))
    page = kit.page(HtmlRenderer().encode(report).decode("utf-8"))
    assert not page.problems
    assert report.identity.name in page.text


def test_patient_data_stays_out(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    keys = ("PatientName", "PatientID", "SeriesDescription", "descrip", "NRRD:patient", "format", "frame", "0010,0010")
    volume = volume.replace(name="CANARY_JANE", meta={**dict.fromkeys(keys, "CANARY_JANE"), "CANARY_JANE": "1"})
    text = _all(
        kit.report(
            volume,
            labels,
            protocol={"title": "T", "image": "/data/CANARY_JANE/t1.nii"},
            provenance={"python": "/home/CANARY_JANE/bin/python", "note": "read C:\\CANARY_JANE\\x.nii"},
        )
    )
    assert "CANARY" not in text


def test_grids_must_match(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    table = extract(volume, labels)
    moved = Geometry.from_spacing(labels.geometry.shape, origin=(0.0, 0.0, 5.0))
    with pytest.raises(GeometryError, match="segmentation grid"):
        kit.report(volume, labels.replace(geometry=moved), table)


def test_created_is_utc_whatever_the_clock(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    local = datetime(2026, 3, 29, 3, 30, tzinfo=timezone(timedelta(hours=2)))
    report = kit.report(volume, labels, created=local, pictures=False)
    assert report.created == "2026-03-29T01:30:00Z"
    assert report == kit.report(volume, labels, created=kit.created, pictures=False)
    other = kit.report(volume, labels, created=local + timedelta(seconds=1), pictures=False)
    assert other.report_id != report.report_id


def test_inputs_are_not_changed(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    before = volume.digest(), labels.digest()
    protocol = {"title": "T", "pipeline": [{"step": "x"}]}
    kit.report(volume, labels, protocol=protocol)
    assert (volume.digest(), labels.digest()) == before
    assert protocol == {"title": "T", "pipeline": [{"step": "x"}]}


@pytest.mark.parametrize(
    "protocol", [{}, {"title": ""}, {"title": 5, "pipeline": "x"}, {"pipeline": [1, {"step": 2}, {}]}]
)
def test_a_poor_protocol_still_gives_a_report(kit: SimpleNamespace, protocol: dict) -> None:
    report = kit.report(*kit.case(), protocol=protocol, pictures=False)
    assert report.task.title == "Segmentation and measurement"
    assert report.task.steps == ()


def test_cancel_at_once_and_between_segments(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    table = extract(volume, labels)
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        build_report(volume, labels, table, protocol={}, provenance={}, cancel=token)
    token = CancelToken()
    seen: list[str] = []

    def stop(fraction: float, message: str) -> None:
        seen.append(message)
        token.cancel()

    with pytest.raises(Cancelled):
        build_report(volume, labels, table, protocol={}, provenance={}, progress=stop, cancel=token)
    assert len(seen) == 1


def test_progress_rises_to_one(kit: SimpleNamespace) -> None:
    seen: list[float] = []
    kit.report(*kit.case(), progress=lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_no_numpy_warning_on_a_flat_image(kit: SimpleNamespace) -> None:
    volume, labels = kit.case()
    flat = volume.replace(array=np.full_like(volume.array, 5.0))
    with np.errstate(all="raise"):
        report = kit.report(flat, labels)
    assert len(report.findings[0].images) == 3
