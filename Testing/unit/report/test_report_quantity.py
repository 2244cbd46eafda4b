"""One function turns numbers into text."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from medai.report.quantity import Quantity, format_number, format_quantity, unit_text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3124.56, "mm3", "3.12 mL"),
        (1043000.0, "mm3", "1043 mL"),
        (1.0, "mm3", "0.00100 mL"),
        (0.0, "mm3", "0 mL"),
        (9.996e3, "mm3", "10.0 mL"),
        (3.12456, "mL", "3.12 mL"),
        (23.349, "mm", "23.3 mm"),
        (0.154, "mm", "0.15 mm"),
        (-1000.0, "[hnsf'U]", "-1000.0 HU"),
        (-0.0, "[hnsf'U]", "0.0 HU"),
        (41.25, "[arb'U]", "41.25 a.u."),
        (231.28, "[hnsf'U]2", "231.3 HU²"),
        (2.5, "(g/ml)2", "2.500 (g/mL)²"),
        (2.5, "g/ml", "2.50 g/mL"),
        (0.5972, "mm-1", "0.5972 1/mm"),
        (-7.13, "%", "-7.1 %"),
        (0.033812, "1", "0.03381"),
        (1.7e9, "1", "1.700e+09"),
        (2.5e-7, "1", "2.500e-07"),
        (3400078.0, "1", "3400078"),
        (12.5, "furlong", "12.50 furlong"),
        (None, "mm", "undefined"),
    ],
)
def test_text_of_a_number(value: float | None, unit: str, text: str) -> None:
    assert format_quantity(value, unit) == text
    if value is not None:
        assert f"{format_number(value, unit)} {unit_text(unit)}".strip() == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_number_is_undefined(value: float | None) -> None:
    quantity = Quantity.of(value, "mm", "one voxel only")
    assert (quantity.value, quantity.text, quantity.reason) == (None, "undefined", "one voxel only")


def test_full_precision_is_kept_beside_the_text() -> None:
    quantity = Quantity.of(1234.56789012345, "mm3")
    assert quantity.value == 1234.56789012345
    assert quantity.text == "1.23 mL"


def test_a_text_that_does_not_say_the_number_is_refused() -> None:
    with pytest.raises(ValidationError, match="does not say the number"):
        Quantity(value=1.0, unit="mm", text="2.0 mm")


def test_decimal_point_in_a_locale_with_commas(tmp_path: Path) -> None:
    if shutil.which("localedef") is None:
        pytest.skip("localedef is not installed")
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")], capture_output=True, check=False
    )
    if not (tmp_path / "de_DE.UTF-8").is_dir():
        pytest.skip(f"no German locale could be made: {made.stderr.decode(errors='replace')[:80]}")
    code = (
        "import locale; locale.setlocale(locale.LC_ALL, '')\n"
        "assert locale.localeconv()['decimal_point'] == ','\n"
        "from medai.report.quantity import Quantity\n"
        "print(Quantity.of(3124.56, 'mm3').text, Quantity.of(0.25, '1').model_dump_json())"
    )
    environment = {**os.environ, "LOCPATH": str(tmp_path), "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == '3.12 mL {"value":0.25,"unit":"1","text":"0.2500","reason":""}'
