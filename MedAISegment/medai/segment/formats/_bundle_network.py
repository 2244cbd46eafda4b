"""A bundle's network definition as an allow-listed network and its plain settings."""

from __future__ import annotations

from typing import Any

from medai.core.errors import ManifestError, SettingsError

from ..manifest import NetworkEntry
from ..networks import NETWORKS
from ..networks._monai import MonaiNetwork, MonaiSettings
from ._bundle_names import Arguments, target_of

_RENAMED = {"dimensions": "spatial_dims", "pos_embed": "proj_type"}
"""Arguments that older versions of MONAI call otherwise."""
_WITHOUT_EFFECT: dict[str, frozenset[str]] = {
    "swin_unetr": frozenset({"img_size", "use_checkpoint"}),
    "unetr": frozenset({"save_attn"}),
}
"""Arguments that change neither the weights nor the result."""


def network_entry(definition: Any, where: str) -> tuple[NetworkEntry, MonaiSettings]:
    """Return the network and its validated settings.

    Parameters
    ----------
    definition : dict
        Resolved ``network_def``.
    where : str
        For messages.

    Raises
    ------
    ManifestError
        If the name is not on the list of networks, or an argument is unknown or does not fit.
    """
    name = target_of(definition, where, "monai.networks.nets")
    kinds = [kind for kind in NETWORKS.classes() if issubclass(kind, MonaiNetwork)]
    found = [kind for kind in kinds if name in (kind.monai.split(".")[-1], *kind.aliases)]
    if not found:
        known = ", ".join(sorted(kind.monai.split(".")[-1] for kind in kinds))
        raise ManifestError(
            f"{where} asks for the network {name!r}, which MedAI does not build.", hint=f"Known: {known}."
        )
    kind = found[0]
    given = Arguments(definition, where)
    given.ignore(*_WITHOUT_EFFECT.get(kind.name, frozenset()))
    values = {_RENAMED.get(key, key): value for key, value in given.rest().items()}
    try:
        settings = kind.Settings.parse(values, where=where)
    except SettingsError as error:
        raise ManifestError(error.message, hint=error.hint) from None
    assert isinstance(settings, MonaiSettings)
    return NetworkEntry(name=kind.name, settings=settings.to_dict()), settings
