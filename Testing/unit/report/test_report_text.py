"""Texts from outside: cleaned, never with folders or values that JSON lacks."""

from __future__ import annotations

import json
import math
import time

import pytest

from medai.report.text import MAX_TEXT, clean_json, clean_text, flatten, without_folders


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Left\thippocampus\r\n ", "Left hippocampus"),
        ("a\x00b\x1b[31mc\x7f", "a\ufffdb\ufffd[31mc\ufffd"),
        ("abc\u202egpj.exe\u202c", "abcgpj.exe"),
        ("half \ud83d pair", "half ? pair"),
        ("\ufffe\uffff", "\ufffd\ufffd"),
        ("脳 Gehörn 😀", "脳 Gehörn 😀"),
        ("a\u2028b\x85c", "a b c"),
        ("", ""),
    ],
)
def test_clean_text(given: str, expected: str) -> None:
    assert clean_text(given) == expected
    assert clean_text(expected) == expected
    clean_text(given).encode("utf-8")


def test_long_texts_are_cut_visibly() -> None:
    assert clean_text("x" * 300) == "x" * 300
    cut = clean_text("x" * (MAX_TEXT + 1))
    assert len(cut) == MAX_TEXT
    assert cut.endswith("…")


def test_only_text_is_text() -> None:
    with pytest.raises(ValueError, match="text is needed, given int"):
        clean_text(5)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/home/jane doe/study/t1.nii.gz", "t1.nii.gz"),
        ("C:\\Users\\Jane\\t1.nii", "t1.nii"),
        ("C:\\Users\\Jane Doe\\t1.nii", "t1.nii"),
        ("/home/jane doe/", "…"),
        ("read /home/jane doe/t1.nii twice", "read t1.nii twice"),
        ("~30 mL / min", "~30 mL / min"),
        ("/ 5 mL", "/ 5 mL"),
        ("a/b or c/d", "a/b or c/d"),
        ("\\\\server\\share\\t1.nii", "t1.nii"),
        ("~/data/t1.nii", "t1.nii"),
        ("read /home/jane/t1.nii twice", "read t1.nii twice"),
        ("file:///home/jane/t1.nii", "t1.nii"),
        ("1/mm", "1/mm"),
        ("T1 and/or T2", "T1 and/or T2"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("medai.segment.tasks:segment", "medai.segment.tasks:segment"),
        ("CC BY-SA 4.0", "CC BY-SA 4.0"),
    ],
)
def test_folders_are_dropped(given: str, expected: str) -> None:
    assert without_folders(given) == expected


def test_clean_json_gives_plain_json() -> None:
    value = {"a\x00": [1, 2.5, math.nan, math.inf, True, None, ("/home/jane/x.nii",)], 5: {"k": object}}
    cleaned = clean_json(value)
    assert json.loads(json.dumps(cleaned, allow_nan=False)) == cleaned
    assert cleaned["a\ufffd"] == [1, 2.5, "nan", "inf", True, None, ["x.nii"]]


def test_flatten_shows_every_leaf_once() -> None:
    tree = {"a": {"b": 1, "c": [1, 2]}, "d": [{"e": True}, {"e": None}], "f": {}, "g": 0.1, "h": ""}
    assert flatten(tree) == [
        ("a.b", "1"), ("a.c", "1, 2"), ("d[0].e", "yes"), ("d[1].e", "none"), ("f", "none"), ("g", "0.1"),
        ("h", "none"),
    ]  # fmt: skip


def test_a_hostile_text_is_cleaned_quickly() -> None:
    begun = time.monotonic()
    clean_json({"a": "/ " * 1_000_000, "b": "/a " * 1_000_000, "c": "\\\\" * 100_000})
    assert time.monotonic() - begun < 20
