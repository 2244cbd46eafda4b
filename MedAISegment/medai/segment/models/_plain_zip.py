"""Opening PyTorch's zip files so that Python and PyTorch cannot see two different archives in one file.

PyTorch has a zip reader of its own: it believes the offset of the table of contents, finds members whatever the case of
their names, and takes the format from the first bytes.  Python's corrects the offset, and tells the cases apart.  What
is looked through here must be what is loaded there.
"""

from __future__ import annotations

import io
import struct
import zipfile

from medai.core.errors import UnsafeModel

_END, _END64, _LOCATOR = 22, 56, 20  # bytes of the records behind the table of contents, without comments


def open_plain(data: bytes, what: str) -> zipfile.ZipFile:
    """Return the archive, if there is only one way to read it.

    Parameters
    ----------
    data : bytes
        The whole file.
    what : str
        Its name, for messages.

    Raises
    ------
    UnsafeModel
        If another reader could find other members in it.
    zipfile.BadZipFile
        If it is no zip file.
    """
    archive = zipfile.ZipFile(io.BytesIO(data))
    if not data.startswith(b"PK\x03\x04") or data[4:8] == b"PTMF" or not _ends_plainly(data):
        raise _ambiguous(what, "more than one archive, or something around it")
    infos = archive.infolist()
    if len({info.filename.lower() for info in infos}) != len(infos):
        raise _ambiguous(what, "two members of one name")
    if any(info.filename != info.orig_filename for info in infos):
        raise _ambiguous(what, "a member with an unusual name")
    return archive


def _ends_plainly(data: bytes) -> bool:
    """Tell whether the table of contents lies where its offset says, and nothing stands behind its end."""
    end = len(data) - _END
    if data[end : end + 4] != b"PK\x05\x06" or data[end + 20 :] != b"\0\0":
        return False
    size, offset = struct.unpack("<II", data[end + 12 : end + 20])
    locator = end - _LOCATOR
    if data[locator : locator + 4] == b"PK\x06\x07":
        end = locator - _END64
        if struct.unpack("<Q", data[locator + 8 : locator + 16])[0] != end or data[end : end + 4] != b"PK\x06\x06":
            return False
        size, offset = struct.unpack("<QQ", data[end + 40 : end + 56])
    return bool(offset + size == end)


def _ambiguous(what: str, found: str) -> UnsafeModel:
    return UnsafeModel(
        f"{what} holds {found}: what is checked might not be what PyTorch loads.", hint="Save it again with PyTorch."
    )
