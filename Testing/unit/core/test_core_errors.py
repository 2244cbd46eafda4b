"""medai.core.errors."""

from __future__ import annotations

import json
import pickle

import pytest

from medai.core import errors
from medai.core.errors import Cancelled, MedAIError, TruncatedFile, WorkerError, error_from_dict

TYPES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MedAIError)]


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_every_error_crosses_as_json(kind: type[MedAIError]) -> None:
    error = kind("The file ends early.", hint="Copy it again.")
    copy = error_from_dict(json.loads(json.dumps(error.to_dict())))
    assert type(copy) is kind
    assert copy.to_dict() == error.to_dict()
    assert str(copy) == "The file ends early. Copy it again."


def test_codes_are_distinct() -> None:
    codes = [kind.code for kind in TYPES]
    assert len(set(codes)) == len(codes)


def test_a_code_of_its_own_survives() -> None:
    error = WorkerError("Busy.", code="BUSY")
    assert error_from_dict(error.to_dict()).code == "BUSY"
    assert WorkerError("x").code == "WORKER"  # the class' own is not changed


def test_an_unknown_type_becomes_the_base() -> None:
    copy = error_from_dict({"type": "FromTheFuture", "code": "NEW", "message": "m", "hint": ""})
    assert type(copy) is MedAIError
    assert copy.code == "NEW"


@pytest.mark.parametrize("data", [{}, {"type": ["x"], "message": None, "code": 3, "hint": {}}, {"message": ""}])
def test_malformed_fields_give_an_error_and_no_crash(data: dict[str, object]) -> None:
    copy = error_from_dict(data)
    assert type(copy) is MedAIError
    assert str(copy) == "Unknown error."


def test_errors_can_be_pickled_for_process_pools() -> None:
    copy = pickle.loads(pickle.dumps(TruncatedFile("m", hint="h", code="c")))
    assert type(copy) is TruncatedFile
    assert copy.to_dict() == {"type": "TruncatedFile", "code": "c", "message": "m", "hint": "h"}


def test_cancelled_is_no_error_of_ours() -> None:
    assert not issubclass(Cancelled, MedAIError)
