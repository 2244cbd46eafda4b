"""A bundle's preprocessing as settings: each transform from a list of known ones, the order respected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from medai.core.errors import ManifestError

from ..inference.prepare import Normalise
from ._bundle_names import Arguments, transform_of
from ._bundle_values import Change, change_of

Keys = tuple[str, ...]
_FLOATS = (None, "float32", "float")
_LABELS = {"label", "labels", "mask", "seg", "segmentation"}


@dataclass(frozen=True)
class Preprocessing:
    """What the transforms do, in MONAI's order of axes (first, second, third).

    Parameters
    ----------
    axcodes : str
        Directions in which the axes grow, for example ``RAS``; empty if the bundle does not say.
    pixdim : tuple of float or None
        Voxel size along each axis in mm; None keeps an axis as it is.
    chains : tuple of tuple of Normalise
        For each channel.
    values_first : bool
        Values are changed before voxels are.
    crop : bool
        The box around the values above 0 is cut out at the end.
    names : tuple of str
        Image keys, if each is one channel.
    """

    axcodes: str
    pixdim: tuple[float | None, float | None, float | None]
    chains: tuple[tuple[Normalise, ...], ...]
    values_first: bool
    crop: bool
    names: Keys


def read_preprocessing(components: Any, where: str, channels: int) -> Preprocessing:
    """Return what the transforms do to the image.

    Parameters
    ----------
    components : list of dict
        Resolved transforms.
    where : str
        For messages.
    channels : int
        That the network reads.

    Raises
    ------
    ManifestError
        If there is a transform, an argument or an order that MedAI cannot reproduce; its name is in the message.
    """
    if not isinstance(components, list) or not components:
        raise ManifestError(f"{where}: a list of transforms was expected.")
    reader = _Reader(where)
    for component in components:
        reader.read(component)
    keys = reader.keys
    if not keys:
        raise ManifestError(f"{where}: LoadImaged is missing, so that it is not known which key is the image.")
    if len(keys) > 1 and not reader.joined:
        raise ManifestError(f"{where}: there are {len(keys)} images ({', '.join(keys)}), and nothing joins them.")
    if len(keys) not in (1, channels):
        raise ManifestError(f"{where}: {len(keys)} images are joined, the network reads {channels} channels.")
    chains = []
    for channel in range(channels):
        key = keys[channel if len(keys) > 1 else 0]
        inside = (0, 1) if len(keys) > 1 else (channel, channels)
        chains.append(tuple(change.step_for(*inside, label) for label, change in reader.changes[key]))
    for label, change in reader.together:
        chains = [(*chain, change.step_for(n, channels, label)) for n, chain in enumerate(chains)]
    first = bool(reader.before) and reader.pixdim != (None, None, None)
    return Preprocessing(
        reader.axcodes, reader.pixdim, tuple(chains), first, reader.crop, keys if len(keys) > 1 else ()
    )


class _Reader:
    """Goes through the transforms and notes what they do."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.axcodes = ""
        self.pixdim: tuple[float | None, float | None, float | None] = (None, None, None)
        self.keys: Keys = ()
        self.joined = ""
        self.crop = False
        self.spaced = False
        self.before: list[str] = []
        """Changes of values that came before the spacing."""
        self.changes: dict[str, list[tuple[str, Change]]] = {}
        self.together: list[tuple[str, Change]] = []
        """Changes after the images were joined."""

    def read(self, component: Any) -> None:
        """Note one transform."""
        name = transform_of(component, self.where)
        given = Arguments(component, f"{self.where}: {name}")
        handler = _KNOWN.get(name)
        if handler is None and change_of(name) is None:
            raise ManifestError(f"{self.where}: MedAI cannot reproduce the transform {name!r}.")
        keys = given.names("keys")
        if handler is not None:
            handler(self, given, keys)
        elif self._image(keys):
            self._change(name, given, keys)
        else:
            return  # another image's: the network does not read it
        given.done()

    def _image(self, keys: Keys) -> Keys:
        """Return the image keys among those of a transform; the joined image stands for all of them."""
        return self.keys if self.joined and self.joined in keys else tuple(k for k in self.keys if k in keys)

    def _change(self, name: str, given: Arguments, keys: Keys) -> None:
        if self.crop:
            raise ManifestError(f"{given.where} comes after CropForegroundd, which MedAI does last.")
        read = change_of(name)
        assert read is not None
        change = read(given)
        if not self.spaced:
            self.before.append(name)
        elif self.before:
            raise ManifestError(f"{given.where}: values change before ({self.before[-1]}) and after the spacing does.")
        if self.joined:
            self.together.append((given.where, change))
        else:
            for key in self._image(keys):
                self.changes[key].append((given.where, change))

    def _all(self, given: Arguments, keys: Keys) -> bool:
        """Tell whether a transform is about the image at all; it must then be about all of its channels."""
        found = self._image(keys)
        if found and set(found) != set(self.keys):
            raise ManifestError(f"{given.where}: only some of the images are changed.")
        return bool(found)

    def load(self, given: Arguments, keys: Keys) -> None:
        """Note the names of the images."""
        self.keys = (*self.keys, *(key for key in keys if key.lower() not in _LABELS))
        self.changes.update({key: [] for key in self.keys})
        given.ignore("reader", "dtype", "image_only", "ensure_channel_first", "simple_keys", "prune_meta_pattern",
                     "prune_meta_sep", "meta_keys", "meta_key_postfix", "overwriting", "expanduser",
                     "affine_lps_to_ras")  # fmt: skip

    def same(self, given: Arguments, keys: Keys) -> None:
        """Pass over types, devices and the place of the channel axis, which MedAI has the same for every image."""
        given.only("dtype", *_FLOATS)
        given.ignore("device", "data_type", "wrap_sequence", "track_meta", "strict_check", "meta_keys",
                     "meta_key_postfix", "meta_key", "channel_dim")  # fmt: skip

    def orientation(self, given: Arguments, keys: Keys) -> None:
        """Note the directions of the axes."""
        codes = given.take("axcodes")
        if given.flag("as_closest_canonical"):
            codes = "RAS"
        if isinstance(codes, list) and all(isinstance(item, str) for item in codes):
            codes = "".join(codes)
        if not isinstance(codes, str) or sorted("LRPAIS".find(c) // 2 for c in codes.upper()) != [0, 1, 2]:
            raise given.refused("axcodes", codes)
        given.only("labels", None, ["L", "R"], ["P", "A"], ["I", "S"])
        given.ignore("lazy", "meta_keys", "meta_key_postfix")
        if not self._all(given, keys):
            return
        if self.spaced or self.crop:
            raise ManifestError(f"{given.where} comes after the spacing or a crop, which then depend on the file.")
        self.axcodes = codes.upper()

    def spacing(self, given: Arguments, keys: Keys) -> None:
        """Note the voxel sizes."""
        pixdim = given.take("pixdim")
        values = pixdim if isinstance(pixdim, list) else [pixdim] * 3
        numbers = all(v is None or (type(v) in (int, float)) for v in values)
        if not numbers or len(values) not in (2, 3):
            raise given.refused("pixdim", pixdim)
        for name, allowed in (("mode", ("bilinear", 1)), ("padding_mode", ("border",))):
            value = given.take(name, allowed[0])
            # One for all keys, or one for each of them.
            each = value if isinstance(value, list) and len(value) == len(keys) else [value] * len(keys)
            if any(item not in allowed for key, item in zip(keys, each, strict=True) if self._image((key,))):
                raise given.refused(name, value)
        given.only("align_corners", False, None)
        given.only("diagonal", False)
        given.only("scale_extent", False)
        given.only("min_pixdim", None)
        given.only("max_pixdim", None)
        given.ignore("dtype", "recompute_affine", "ensure_same_shape", "lazy", "meta_keys", "meta_key_postfix")
        if not self._all(given, keys):
            return
        if self.spaced or self.crop:
            raise ManifestError(f"{given.where} comes after another spacing or a crop.")
        sizes = [float(v) if v is not None and v > 0 else None for v in values] + [None]
        self.pixdim, self.spaced = (sizes[0], sizes[1], sizes[2]), True

    def foreground(self, given: Arguments, keys: Keys) -> None:
        """Note the crop to the values above 0."""
        source = given.take("source_key")
        if not self._all(given, keys):
            return
        if source not in (self.joined or self.keys[0], self.keys[0]) or len(self.keys) > 1:
            raise given.refused("source_key", source)
        given.only("margin", 0)
        given.only("k_divisible", 1)
        given.only("select_fn", None)
        given.only("channel_indices", None)
        given.ignore("allow_smaller", "mode", "start_coord_key", "end_coord_key", "lazy")
        self.crop = True

    def join(self, given: Arguments, keys: Keys) -> None:
        """Note the order of the images."""
        name = given.take("name")
        given.only("dim", 0)
        if not self._image(keys) and name not in self.keys:
            return
        if self.joined or set(keys) != set(self.keys) or len(set(keys)) != len(keys) or not isinstance(name, str):
            raise given.refused("keys", list(keys))
        self.keys, self.joined = keys, name


_KNOWN: dict[str, Callable[[_Reader, Arguments, Keys], None]] = {
    "LoadImaged": _Reader.load,
    "Orientationd": _Reader.orientation,
    "Spacingd": _Reader.spacing,
    "CropForegroundd": _Reader.foreground,
    "ConcatItemsd": _Reader.join,
    **dict.fromkeys(
        ("EnsureChannelFirstd", "AddChanneld", "AsChannelFirstd", "EnsureTyped", "ToTensord", "CastToTyped",
         "ToDeviced", "SelectItemsd", "Identityd", "ToMetaTensord", "FromMetaTensord"),
        _Reader.same,
    ),
}  # fmt: skip
