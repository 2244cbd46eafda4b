"""Numbers of text headers."""

from __future__ import annotations

import pytest

from medai.core.errors import InputError
from medai.core.io.headertext import numbers


@pytest.mark.parametrize(
    ("count", "text", "wanted"),
    [(None, "nan 0 0", "needs finite numbers, given 'nan 0 0'"), (3, "1 2", "needs 3 finite numbers, given '1 2'")],
)
def test_a_wrong_line_says_what_is_needed(count: int | None, text: str, wanted: str) -> None:
    with pytest.raises(InputError) as caught:
        numbers(text, count, "spacing", "a.nrrd")
    assert wanted in str(caught.value)


def test_good_lines_are_read() -> None:
    assert numbers("1 -2.5 3e2", 3, "spacing", "a.nrrd") == [1.0, -2.5, 300.0]
    assert numbers("7", None, "spacing", "a.nrrd") == [7.0]
