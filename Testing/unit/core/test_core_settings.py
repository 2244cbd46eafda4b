"""medai.core.settings: row 50 of the bad inputs, and what the same dict must do everywhere."""

from __future__ import annotations

import enum
import json
import math
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator

from medai.core.errors import SettingsError
from medai.core.settings import (
    MAX_DEPTH,
    MAX_SETTINGS_BYTES,
    Settings,
    digest_json,
    load_json,
    load_json_file,
    plain_json,
)


class Mode(enum.Enum):
    FAST = "fast"
    EXACT = "exact"


class Inner(Settings):
    sigma_mm: float = Field(1.0, gt=0)


class Outer(Settings):
    """Every kind of field that a step uses."""

    radius_mm: float = Field(2.0, ge=0, le=100)
    count: int = 3
    enabled: bool = True
    label: str = ""
    size: tuple[int, int, int] = (1, 2, 3)
    mode: Mode = Mode.FAST
    kind: Literal["a", "b"] = "a"
    file: Path = Path("x.txt")
    inner: Inner = Inner()
    steps: tuple[Inner, ...] = ()
    free: dict[str, Any] = {}
    limit: float | None = None

    @field_validator("label")
    @classmethod
    def _short(cls, value: str) -> str:
        if len(value) > 5:
            raise ValueError("must have at most 5 characters.")
        return value


def test_nothing_given_means_all_defaults() -> None:
    assert Outer.parse(None) == Outer.parse({}) == Outer()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"radius": 1}, "Outer.radius: unknown key"),
        ({"radius_mm": "2"}, "Outer.radius_mm: input should be a valid number (given: '2')"),
        ({"radius_mm": True}, "Outer.radius_mm: input should be a valid number (given: True)"),
        ({"radius_mm": None}, "Outer.radius_mm"),
        ({"radius_mm": -1}, "Outer.radius_mm: input should be greater than or equal to 0 (given: -1)"),
        ({"radius_mm": float("nan")}, "Outer.radius_mm: the value nan is not allowed"),
        ({"radius_mm": math.inf}, "Outer.radius_mm: the value inf is not allowed"),
        ({"radius_mm": 10**400}, "Outer.radius_mm"),
        ({"count": 2.0}, "Outer.count: input should be a valid integer (given: 2.0)"),
        ({"count": True}, "Outer.count"),
        ({"count": "3"}, "Outer.count"),
        ({"enabled": 1}, "Outer.enabled: input should be a valid boolean"),
        ({"enabled": "yes"}, "Outer.enabled"),
        ({"label": 3}, "Outer.label: input should be a valid string"),
        ({"label": "too long"}, "Outer.label: must have at most 5 characters (given: 'too long')"),
        ({"label": "\ud800"}, "Outer.label: the text holds half a surrogate pair"),
        ({"size": [1, 2]}, "Outer.size[2]: field required"),
        ({"size": [1, 2, "3"]}, "Outer.size[2]: input should be a valid integer (given: '3')"),
        ({"size": 3}, "Outer.size"),
        ({"mode": "slow"}, "Outer.mode"),
        ({"kind": "c"}, "Outer.kind: input should be 'a' or 'b' (given: 'c')"),
        ({"inner": {"sigma_mm": 0}}, "Outer.inner.sigma_mm: input should be greater than 0"),
        ({"inner": []}, "Outer.inner"),
        ({"steps": [{}, {"sigma_mm": "x"}]}, "Outer.steps[1].sigma_mm"),
        ({"steps": [{}, {"extra": 1}]}, "Outer.steps[1].extra: unknown key"),
        ({"free": {"a": [0, math.nan]}}, "Outer.free.a[1]: the value nan is not allowed"),
        ({"free": {"a": {1: 2}}}, "Outer.free.a: every key must be text"),
        ({"free": {"a": object()}}, "Outer.free.a: a value of type object cannot be a setting"),
        ({"free": {"a": {1, 2}}}, "Outer.free.a: a value of type set"),
        ([], "Outer: input should be an object"),
        ("x", "Outer: input should be an object"),
    ],
)
def test_a_fault_is_refused_with_the_path_of_its_key(values: Any, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Outer.parse(values)
    assert words in caught.value.message
    assert caught.value.message.endswith(".")
    assert ".." not in caught.value.message


def test_the_place_of_the_settings_starts_the_path() -> None:
    with pytest.raises(SettingsError, match=r"^steps\[2\]\.settings\.inner\.sigma_mm: "):
        Outer.parse({"inner": {"sigma_mm": "x"}}, where="steps[2].settings")


def test_every_fault_is_named_up_to_five() -> None:
    with pytest.raises(SettingsError) as caught:
        Outer.parse({f"k{n}": n for n in range(8)})
    assert [f"Outer.k{n}:" in caught.value.message for n in range(8)] == [True] * 5 + [False] * 3
    assert caught.value.message.endswith("; and 3 more.")


def test_a_fault_beside_a_default_that_is_no_json_value_names_only_the_fault() -> None:
    with pytest.raises(SettingsError) as caught:
        Outer.parse({"count": "x"})
    assert caught.value.message == "Outer.count: input should be a valid integer (given: 'x')."


def test_a_hostile_key_cannot_flood_or_break_the_message() -> None:
    with pytest.raises(SettingsError) as caught:
        Outer.parse({"a\nb" * 10_000: 1})
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"size": (4, 5, 6)}, (4, 5, 6)),
        ({"size": [np.int64(4), np.uint8(5), 6]}, (4, 5, 6)),
    ],
)
def test_tuples_and_numpy_numbers_are_taken(values: dict[str, Any], expected: tuple[int, ...]) -> None:
    assert Outer.parse(values).size == expected


def test_enums_paths_models_and_whole_numbers_for_real_ones_are_taken() -> None:
    parsed = Outer.parse({"mode": Mode.EXACT, "file": Path("a/b"), "inner": Inner(sigma_mm=3), "radius_mm": 7})
    assert (parsed.mode, parsed.file, parsed.inner.sigma_mm, parsed.radius_mm) == ("exact", Path("a/b"), 3.0, 7.0)
    assert isinstance(parsed.radius_mm, float)


def test_settings_of_the_same_class_pass_through_and_of_another_are_checked() -> None:
    given_settings = Outer(count=9)
    assert Outer.parse(given_settings) is given_settings
    with pytest.raises(SettingsError, match=r"Inner\.radius_mm: unknown key"):
        Inner.parse(given_settings)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Outer().count = 4  # type: ignore[misc]


@given(
    st.builds(
        dict,
        radius_mm=st.floats(0, 100),
        count=st.integers(-(10**12), 10**12),
        enabled=st.booleans(),
        label=st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        size=st.tuples(*[st.integers(-5, 5)] * 3),
        mode=st.sampled_from(["fast", "exact"]),
        steps=st.lists(st.builds(dict, sigma_mm=st.floats(0.1, 9)), max_size=3),
        limit=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_json_round_trip_keeps_values_and_digest(values: dict[str, Any]) -> None:
    parsed = Outer.parse(values)
    again = Outer.from_json(json.dumps(parsed.to_dict()))
    assert again == parsed
    assert again.digest() == parsed.digest()


def test_the_digest_is_the_same_on_every_machine() -> None:
    # printf '{"sigma_mm":1.0}' | sha256sum
    assert Inner().digest() == "0a794edaefcfcf5a2f0b3c530d907d089ec61f7de931badc260e5785233dbbe1"
    assert digest_json({"b": 1, "a": [True, None, "ä"]}) == digest_json({"a": [True, None, "ä"], "b": 1})
    assert Inner().digest() == Inner.parse({"sigma_mm": 1}).digest()
    assert Inner().digest() != Inner.parse({"sigma_mm": 1.5}).digest()


def test_the_json_schema_names_ranges() -> None:
    schema = Outer.model_json_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["radius_mm"]["maximum"] == 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON at line 1, column 2"),
        ("", "not valid JSON"),
        ('{"a": 1,}', "not valid JSON"),
        ('{"a": 1} x', "not valid JSON"),
        ('{"a": NaN}', "the value NaN is not allowed"),
        ("[-Infinity]", "the value -Infinity is not allowed"),
        ("[1e999]", "settings[0]: the value inf is not allowed"),
        ('{"a": 1, "a": 2}', "the key 'a' appears twice"),
        ('{"a": {"b": 1, "b": 1}}', "the key 'b' appears twice"),
        ('["\\ud800"]', "settings[0]: the text holds half a surrogate pair"),
        ("1" * 5000, "a number has thousands of digits"),
        ("[" * 100_000, "nested more than 20 levels deep"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested more than 20 levels deep"),
        ('{"a":' * 30 + "1" + "}" * 30, "nested more than 20 levels deep"),
        ('"' + "x" * MAX_SETTINGS_BYTES + '"', "characters, at most"),
    ],
    ids=range(15),
)
def test_faulty_json_text_is_refused(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_json(text)
    assert words in caught.value.message
    assert len(str(caught.value)) < 400


def test_depth_within_the_limit_is_read() -> None:
    value = load_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    depth = 0
    while value:
        value, depth = value[0], depth + 1
    assert depth == MAX_DEPTH - 1


@given(st.text(max_size=60))
def test_any_text_gives_a_value_or_a_settings_error(text: str) -> None:
    try:
        value = load_json(text)
    except SettingsError:
        return
    assert json.loads(json.dumps(value, allow_nan=False)) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_json_value_is_parsed_or_refused_with_a_settings_error(value: Any) -> None:
    parsed: Outer | None = None
    message = ""
    try:
        parsed = Outer.parse(value)
    except SettingsError as error:
        message = error.message
    assert message.startswith("Outer") if parsed is None else parsed == Outer() or value


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa4"}')
    assert load_json_file(file) == {"a": "ä"}


def test_file_faults_name_the_file_and_not_its_folder(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'"\xe4"')
    (tmp_path / "big.json").write_bytes(b" " * (MAX_SETTINGS_BYTES + 1))
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "bad.json").write_text("{")
    expected = {
        "missing.json": "cannot be read",
        "latin.json": "not UTF-8",
        "big.json": "larger than",
        "folder.json": "not a file",
        "bad.json": "not valid JSON",
    }
    for name, words in expected.items():
        with pytest.raises(SettingsError) as caught:
            load_json_file(tmp_path / name)
        assert caught.value.message.startswith(f"{name}: ")
        assert words in caught.value.message
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(SettingsError, match="not a file"):
        load_json_file(tmp_path / "pipe.json")


def test_a_zero_character_in_the_name_is_refused() -> None:
    with pytest.raises(SettingsError):
        load_json_file("a\0b.json")


def test_plain_json_copies() -> None:
    original = {"a": [1, {"b": 2}]}
    copy = plain_json(original)
    original["a"][1]["b"] = 3  # type: ignore[index,call-overload]
    assert copy == {"a": [1, {"b": 2}]}


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(SettingsError, match="nested more than"):
        plain_json(loop)
