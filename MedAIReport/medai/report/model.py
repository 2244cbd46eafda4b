"""report.json: the one data model that every rendering is made from.

The JSON schema in ``report.schema.json`` is this model's, committed so that a change of the format is seen in review.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medai.core.errors import ReportError

from .quantity import Quantity
from .text import JsonTree, Text

SCHEMA_VERSION: Literal["1.0"] = "1.0"
NOTICE: Literal["Research use only - not for diagnosis"] = "Research use only - not for diagnosis"
MAX_REPORT_BYTES = 32 * 1024 * 1024
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class Banner(_Part):
    """What stands on every page; a renderer cannot leave it out."""

    notice: Literal["Research use only - not for diagnosis"] = NOTICE
    status: Literal["DRAFT", "REVIEWED"] = "DRAFT"
    reviewer: Text = ""
    reviewed_at: Text = ""
    light: Literal["green", "amber", "red"]

    @model_validator(mode="after")
    def _review_has_a_reviewer(self) -> Banner:
        if self.status == "REVIEWED" and not (self.reviewer and self.reviewed_at):
            raise ValueError("a reviewed report names its reviewer and the time")
        return self


class Identity(_Part):
    """Whom the image shows: a pseudonym unless the caller states more. Empty means not available."""

    pseudonym: Text
    name: Text = ""
    sex: Text = ""
    age: Text = ""
    study_date: Text = ""
    accession: Text = ""


class Fact(_Part):
    """One labelled text; an empty text means not available."""

    label: Text
    text: Text = ""


class Task(_Part):
    """What was asked, and what the model is for."""

    title: Text
    question: Text = ""
    intended_use: Text = ""
    steps: tuple[Text, ...] = ()


class CodedConcept(_Part):
    """A concept as DICOM codes it."""

    value: Text
    scheme: Text
    meaning: Text


class KeyImage(_Part):
    """One slice through a segment, with its outline.

    ``right``, ``left``, ``top``, ``bottom`` are the anatomical directions at the picture's edges (empty: unknown).
    """

    plane: Literal["axial", "coronal", "sagittal", "native"]
    title: Text
    caption: Text
    alt: Text
    left: Text
    right: Text
    top: Text
    bottom: Text
    window: float = Field(gt=0, description="Width of the grey scale, in the image's unit.")
    level: float = Field(description="Middle of the grey scale, in the image's unit.")
    centre_ras_mm: tuple[float, float, float]
    field_of_view_mm: float = Field(gt=0)
    width_px: int = Field(ge=1)
    height_px: int = Field(ge=1)
    sha256: _Sha256
    png_base64: str = Field(pattern="^[A-Za-z0-9+/]+={0,2}$")

    @model_validator(mode="after")
    def _bytes_are_the_png(self) -> KeyImage:
        try:
            data = base64.b64decode(self.png_base64, validate=True)
        except binascii.Error:
            raise ValueError("png_base64 is not base64") from None
        if data[:8] != b"\x89PNG\r\n\x1a\n":
            raise ValueError("png_base64 holds no PNG file")
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ValueError("png_base64 does not have the stated SHA-256")
        return self


class Finding(_Part):
    """What was measured in one segment."""

    segment: Text
    label: int = Field(ge=1, le=65535)
    color: str = Field(pattern="^#[0-9a-f]{6}$", description="Colour of the outline.")
    status: Literal["measured", "empty"] = "measured"
    side: Literal["left", "right", "not stated"] = "not stated"
    category: CodedConcept | None = None
    type: CodedConcept | None = None
    modifier: CodedConcept | None = None
    volume: Quantity
    longest_diameter: Quantity | None = None
    mean: Quantity | None = None
    sd: Quantity | None = None
    probability: Quantity | None = Field(None, description="Mean class probability by the network; uncalibrated.")
    components: int = Field(ge=0, description="Parts that touch by no face, edge or corner.")
    touches_border: bool
    images: tuple[KeyImage, ...] = ()
    note: Text = ""


class SideComparison(_Part):
    """Left against right: 200 (L - R) / (L + R) %."""

    structure: Text
    left: Quantity
    right: Quantity
    asymmetry: Quantity


class VolumeRow(_Part):
    """Derived volumes of one structure; None where there is nothing to show, such as sides of the whole brain."""

    structure: Text
    left: Quantity | None = None
    right: Quantity | None = None
    total: Quantity | None = None
    asymmetry: Quantity | None = Field(None, description="100 (L - R) / ((L + R) / 2) %.")
    left_share: Quantity | None = Field(None, description="Of the reference volume, in per mille; so the others.")
    right_share: Quantity | None = None
    total_share: Quantity | None = None


class Volumes(_Part):
    """Volumes of structures made of segments, as the protocol derives them."""

    reference: Text = Field("", description="Name of the volume to which the others are related; empty: none.")
    reference_volume: Quantity | None = None
    rows: tuple[VolumeRow, ...] = ()
    notes: tuple[Text, ...] = ()
    undefined: tuple[Text, ...] = Field((), description="Why values are undefined.")


class Flag(_Part):
    """One quality flag."""

    code: Text
    severity: Literal["info", "warning", "error"]
    message: Text
    measured: float | Text | None = None
    limit: float | Text | None = None
    affects: Text = ""


class FeatureRow(_Part):
    """One radiomic feature of one segment."""

    segment: Text
    family: Text
    feature: Text
    title: Text
    ibsi: Text = ""
    quantity: Quantity


class Radiomics(_Part):
    """Every setting, and every number."""

    settings: JsonTree = Field(default_factory=dict)
    rows: tuple[FeatureRow, ...] = ()


class ModelFacts(_Part):
    """Which model made the segments."""

    id: Text
    title: Text = ""
    version: Text = ""
    licence: Text = ""
    sha256: Text = ""
    training_data: Text = ""
    citation: Text = ""
    metrics: JsonTree = Field(default_factory=dict)


class Timing(_Part):
    """Duration of one step by a monotonic clock."""

    step: Text
    duration: Quantity


class Provenance(_Part):
    """All that is needed to run it again."""

    software: JsonTree = Field(default_factory=dict)
    protocol: JsonTree = Field(default_factory=dict)
    segmentation: JsonTree = Field(default_factory=dict)
    image_sha256: _Sha256
    labels_sha256: _Sha256
    features_sha256: _Sha256
    times: tuple[Timing, ...] = ()


class SignOff(_Part):
    """The radiologist's decision; empty in a draft."""

    decision: Literal["", "accepted", "edited", "rejected"] = ""
    edits: Text = ""
    comment: Text = ""


class Report(_Part):
    """A whole report."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    report_id: str = Field(pattern="^[0-9a-f]{16}$")
    created: Text = Field(description="UTC, ISO 8601.")
    banner: Banner
    identity: Identity
    exam: tuple[Fact, ...]
    task: Task
    summary: Annotated[tuple[Text, ...], Field(min_length=1, max_length=5)]
    findings: tuple[Finding, ...]
    sides: tuple[SideComparison, ...] = ()
    volumes: Volumes = Volumes()
    flags: tuple[Flag, ...] = ()
    radiomics: Radiomics
    model: ModelFacts | None = None
    provenance: Provenance
    limits: tuple[Text, ...] = ()
    sign_off: SignOff = SignOff()

    def to_json(self) -> str:
        """Return report.json: UTF-8 text, indented, the same bytes for the same report."""
        return self.model_dump_json(indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Report:
        """Read report.json.

        Raises
        ------
        ReportError
            If it is not JSON of this schema version, a number and its text disagree, or a picture is damaged.
        """
        if len(text) > MAX_REPORT_BYTES:
            raise ReportError(f"The report has {len(text)} bytes; at most {MAX_REPORT_BYTES} are read.")
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ReportError(_explain(error), hint="Make the report again with this version.") from None


def _explain(error: ValidationError) -> str:
    # The value itself stays out of the message: it may be patient data.
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(key) for key in first["loc"]) or "the file"
    return f"The report cannot be read: {where}: {first['msg']}."
