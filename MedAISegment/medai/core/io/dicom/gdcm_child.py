"""Decode frames with SimpleITK's GDCM in a process of its own: ``python -m medai.core.io.dicom.gdcm_child``.

GDCM's JPEG code can be brought to a segmentation fault by a damaged file (fuzzing found one within ten minutes), which
would end 3D Slicer.  Here it ends this process only.

Lines in are JSON: ``{"dicom": path, "array": path}``.  The frame is written to ``array`` as ``.npy``; lines out start
with ``@`` and say ``ok`` or ``failed``, because GDCM prints to standard output too.
"""

from __future__ import annotations

import json
import sys

import numpy as np


def main() -> None:
    """Serve until standard input ends."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    print("@ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(request["dicom"])
        try:
            np.save(request["array"], sitk.GetArrayFromImage(reader.Execute())[0], allow_pickle=False)
        except RuntimeError:
            print("@failed", flush=True)
        else:
            print("@ok", flush=True)


if __name__ == "__main__":
    main()
