"""A segment under another name."""

from __future__ import annotations

from pydantic import Field

from medai.core.errors import InputError
from medai.core.labelmap import LabelMap
from medai.core.progress import CancelToken, ProgressFn
from medai.core.settings import Settings
from medai.segment.anatomy import named

from ._base import Post
from ._masks import finished
from ._naming import require_free


class RenameSettings(Settings):
    """From which name to which."""

    segment: str = Field(
        "", max_length=64, title="Segment", description="Name of the segment; empty if there is only one."
    )
    name: str = Field("Segment", min_length=1, max_length=64, title="New name", description="Its new name.")


class Rename(Post):
    """Gives a segment another name, and with it the codes and the colour that belong to that name.

    The label and the voxels stay.  ``Left`` and ``Right`` before a name that MedAI knows become the modifier; a name
    that it does not know is coded as tissue.
    """

    name = "rename"
    title = "Rename a segment"
    group = "Segments"
    Settings = RenameSettings

    def apply(
        self, value: LabelMap, settings: RenameSettings, *, progress: ProgressFn, cancel: CancelToken
    ) -> LabelMap:
        """Rename the segment.

        Raises
        ------
        InputError
            If there is no such segment, several and none is named, or the new name is taken.
        """
        if settings.segment:
            old = value.segment(settings.segment)
        elif len(value.segments) == 1:
            old = value.segments[0]
        elif not value.segments:
            return finished(value, value.array)
        else:
            raise InputError(
                f"There are {len(value.segments)} segments, and none is named.", hint="Name the one to rename."
            )
        progress(0.5, self.title)
        cancel.check()
        if settings.name == old.name:
            return finished(value, value.array)
        require_free(value.segments, settings.name, "Choose another name.")
        new = named(old.label, settings.name)
        return finished(
            value, value.array, tuple(new if s is old else s for s in value.segments), {old.name: (new.name,)}
        )
