"""Settings as field descriptions, and what is wrong with values by field."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field, model_validator

from medai.core.settings import Settings
from medai.segment.form import fields_of, problems_of, without_defaults
from medai.segment.inside import InsideSettings
from medai.segment.pipeline import all_steps
from medai.segment.postprocess._base import SegmentsSettings
from medai.segment.seeds import Seed


class Inner(Settings):
    name: str = "x"


class Everything(InsideSettings, SegmentsSettings):
    sigma: float = Field(1.0, gt=0, le=100, title="Sigma", description="Width.", json_schema_extra={"unit": "mm"})
    small: float = Field(0.0625, ge=0, lt=1)
    radius: int = Field(2, ge=1, le=10)
    strict: bool = False
    method: Literal["otsu", "li"] = Field("otsu", title="Method")
    only: Literal["one"] = "one"
    lower: float | None = Field(None, ge=-10, title="Lower", description="None for no limit.")
    count: int | None = 4
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    limits: tuple[float, ...] = ()
    names: tuple[str, ...] = ("a", "b")
    seeds: tuple[Seed, ...] = ()
    inner: Inner = Inner()
    mixed: Literal["all"] | tuple[Inner, ...] = "all"

    @model_validator(mode="after")
    def _fits(self) -> Everything:
        if self.radius > 8 and self.strict:
            raise ValueError("a large radius cannot be strict")
        return self


@pytest.fixture(scope="module")
def fields() -> dict[str, Any]:
    return {field.key: field for field in fields_of(Everything)}


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("sigma", "number"), ("radius", "whole"), ("strict", "flag"), ("method", "choice"), ("only", "choice"),
        ("lower", "number"), ("count", "whole"), ("centre", "numbers"), ("limits", "numbers"), ("names", "texts"),
        ("segments", "segments"), ("inside", "segment"), ("seeds", "seeds"), ("inner", "json"), ("mixed", "json"),
    ],
)  # fmt: skip
def test_kind_of_each_field(fields, key, kind):
    assert fields[key].kind == kind


def test_number_with_its_unit_and_limits(fields):
    sigma = fields["sigma"]
    assert (sigma.title, sigma.description, sigma.unit, sigma.default) == ("Sigma", "Width.", "mm", 1.0)
    assert (sigma.minimum, sigma.above, sigma.maximum, sigma.below) == (0, True, 100, False)
    assert not sigma.optional
    assert (fields["small"].minimum, fields["small"].maximum, fields["small"].below) == (0, 1, True)
    assert (fields["radius"].minimum, fields["radius"].maximum) == (1, 10)


def test_none_is_a_value_of_optional_fields_only(fields):
    assert [key for key, field in fields.items() if field.optional] == ["lower", "count"]
    assert fields["lower"].minimum == -10
    assert fields["lower"].default is None


def test_choices_and_lengths(fields):
    assert fields["method"].choices == ("otsu", "li")
    assert fields["only"].choices == ("one",)
    assert fields["centre"].count == 3
    assert fields["limits"].count is None
    assert fields["names"].default == ["a", "b"]


def test_steps_and_digits_fit_the_size_of_the_number(fields):
    assert fields["sigma"].step == pytest.approx(0.1)
    assert fields["small"].step == pytest.approx(0.001)
    assert fields["small"].decimals == 4
    assert fields["radius"].step == 1
    assert fields["radius"].decimals == 0
    assert fields["limits"].step == 1


def test_order_is_the_order_of_the_settings(fields):
    assert list(fields) == list(Everything.model_fields)


def test_what_is_wrong_is_said_at_the_field():
    assert problems_of(Everything, {}) == {}
    found = problems_of(Everything, {"sigma": 0, "radius": "two", "unknown": 1, "centre": [1, 2]})
    assert set(found) == {"sigma", "radius", "unknown", "centre"}
    assert found["unknown"] == "Unknown key."
    assert "greater than 0" in found["sigma"]
    assert all(text.endswith(".") and text[0].isupper() for text in found.values())


def test_what_concerns_several_fields_has_no_key():
    assert problems_of(Everything, {"radius": 9, "strict": True}) == {"": "A large radius cannot be strict."}


@pytest.mark.parametrize("values", [{"sigma": float("nan")}, {"sigma": object()}, [1], "text"])
def test_values_that_are_no_settings_at_all(values):
    assert problems_of(Everything, values)


def test_only_what_differs_is_kept():
    values = {"sigma": 1.0, "radius": 3, "strict": 0, "names": ["a", "b"], "unknown": None}
    assert without_defaults(Everything, values) == {"radius": 3, "strict": 0, "unknown": None}


@pytest.mark.parametrize("step", list(all_steps()), ids=lambda step: step.name)
def test_every_step_can_be_asked_for(step):
    found = fields_of(step.Settings)
    assert [field.key for field in found] == list(step.Settings.model_fields)
    assert all(field.title and field.description for field in found)
    for field in found:
        if field.kind in ("number", "whole"):
            assert field.default is None or isinstance(field.default, int | float)
            assert field.step > 0
