"""medai.core.redact: no patient data in a log."""

from __future__ import annotations

import pytest

from medai.core.redact import redact, traceback_text


@pytest.mark.parametrize(
    "text",
    [
        "[Errno 2] No such file or directory: '/home/jd/SECRET_JOHN/scan.nii'",
        'could not open "C:\\Users\\SECRET\\x.dcm"',
        "KeyError: 'SECRET^JOHN'",
        "bad value SECRET^JOHN in tag",
        "failed for /data/SECRET/1.dcm and ./SECRET/2.dcm",
        "failed for data/SECRET.nii.gz",
        "`SECRET`",
        "\\\\server\\SECRET\\x",
    ],
)
def test_values_and_paths_are_gone(text: str) -> None:
    assert "SECRET" not in redact(text)


def test_the_rest_stays() -> None:
    text = "operands could not be broadcast together with shapes (3,) (4,)"
    assert redact(text) == text
    assert redact('File "/opt/x/medai/core/codec.py", line 3 in f') == "File 'codec.py', line 3 in f"


def test_names_of_modules_stay_on_request() -> None:
    text = "No module named 'numpy.linalg' in '/home/jd'"
    assert redact(text, keep_identifiers=True) == "No module named 'numpy.linalg' in '...'"


def test_a_traceback_names_modules_and_lines_and_no_value() -> None:
    def fail(name: str) -> None:
        raise ValueError(f"cannot read '{name}'")

    try:
        fail("/data/SECRET^JOHN.dcm")
    except ValueError as error:
        text = traceback_text(error)
    assert text.endswith("ValueError: cannot read '...'")
    assert "in fail: raise ValueError" in text
    assert "SECRET" not in text.replace('fail("/data/SECRET^JOHN.dcm")', "")  # only this file's own source line
    assert __file__ not in text
