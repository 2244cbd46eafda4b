"""pydicom, imported when it is needed and kept from talking about patients."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from medai.core.errors import DependencyError


def pydicom_module() -> Any:
    """Import pydicom, or raise :class:`DependencyError` naming it."""
    try:
        import pydicom
    except ImportError:
        raise DependencyError("DICOM images need the package pydicom.", hint="pip install 'pydicom>=3'") from None
    return pydicom


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence pydicom's warnings: they quote values, and values may be about a patient."""
    pydicom = pydicom_module()
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def uid_name(uid: str) -> str:
    """Return the registered name of a UID, for example of a transfer syntax; empty if it is not registered."""
    pydicom = pydicom_module()
    entry = pydicom.uid.UID_dictionary.get(uid)
    return str(entry[0]) if entry else ""
