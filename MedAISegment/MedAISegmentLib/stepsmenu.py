"""What steps there are, for people: a menu by group, each step's fields, and a line that sums a step up."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

SHOWN_SETTINGS = 2


class Catalogue:
    """The library's steps; empty until the library's packages are installed."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def steps(self) -> dict[str, Any]:
        """Return the step classes by name."""
        if not self._found:
            try:
                from medai.segment.pipeline import all_steps
            except ImportError:
                return {}
            self._found = {step.name: step for step in all_steps()}
        return self._found

    def groups(self) -> list[tuple[str, list[Any]]]:
        """Return (heading, steps) in the order of work: filters, segmenters, label operations."""
        steps = self.steps().values()
        found: dict[str, list[Any]] = {}
        for step in steps:
            found.setdefault(f"{self._kind(step)}: {step.group}", []).append(step)
        return [(heading, sorted(members, key=lambda s: s.title)) for heading, members in found.items()]

    def broken(self) -> list[tuple[str, str]]:
        """Return (name, reason) of steps whose file cannot even be read here."""
        try:
            from medai.segment.pipeline import REGISTRIES
        except ImportError:
            return []
        known = self.steps()
        return [(u.name, u.reason) for registry in REGISTRIES for u in registry.unavailable() if u.name not in known]

    def fields(self, name: str) -> tuple[Any, ...]:
        """Return a step's fields; of a segmenter also what becomes of the segments before it."""
        step = self.steps().get(name)
        if step is None:
            return ()
        from medai.segment.form import FormField, fields_of
        from medai.segment.segmenters import Segmenter

        fields = fields_of(step.Settings)
        if not issubclass(step, Segmenter):
            return fields
        merge = FormField(
            "merge",
            _("Segments before"),
            _("replace: dropped; over: the new ones are laid over them; under: only voxels without a segment."),
            "choice",
            default="replace",
            choices=("replace", "over", "under"),
        )
        return (*fields, merge)

    def withoutDefaults(self, name: str, values: dict[str, Any]) -> dict[str, Any]:
        """Return only what differs from the step's defaults, so that a pipeline's file says what was chosen."""
        from medai.segment.form import without_defaults

        return without_defaults(self.steps()[name].Settings, values)

    def problems(self, step: dict[str, Any]) -> dict[str, str]:
        """Return what is wrong with one step, by field; the key is empty for the step as a whole."""
        if not self.steps():
            return {}
        from medai.segment.form import problems_of

        found = self.steps().get(step["step"])
        if found is None:
            reason = dict(self.broken()).get(step["step"]) or _("there is no step of this name")
            return {"": _("This step is not available: {reason}.").format(reason=reason)}
        unknown = {
            key: _("{key}: unknown key.").format(key=key)
            for key in step
            if key not in ("step", "settings", "enabled", "merge")
        }
        reason = found.unavailable_reason()
        if reason:
            unknown[""] = _("This step is not available: {reason}.").format(reason=reason)
        named = problems_of(found.Settings, step.get("settings", {}))
        known = set(found.Settings.model_fields)
        return unknown | {key: text if key in known or not key else f"{key}: {text}" for key, text in named.items()}

    def problem(self, step: dict[str, Any]) -> str:
        """Return everything that is wrong with one step, in one line."""
        return " ".join(self.problems(step).values())

    def summary(self, step: dict[str, Any]) -> str:
        """Return a step's title and the first settings that are not the defaults."""
        found = self.steps().get(step["step"])
        if found is None:
            return step["step"]
        fields = {field.key: field for field in self.fields(step["step"])}
        parts = []
        for key, value in step.get("settings", {}).items():
            field = fields.get(key)
            if field is not None and field.kind not in ("json", "seeds") and value not in ([], None):
                shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value).replace("_", " ")
                parts.append(f"{field.title} {shown} {field.unit}".strip())
        more = ", ..." if len(parts) > SHOWN_SETTINGS else ""
        chosen = ", ".join(parts[:SHOWN_SETTINGS]) + more
        return f"{found.title} ({chosen})" if chosen else found.title

    def help(self, name: str) -> str:
        """Return the first sentence of what a step does."""
        found = self.steps().get(name)
        text = inspect.getdoc(found) if found is not None else ""
        return " ".join((text or "").split("\n\n")[0].replace("``", "").split())

    def _kind(self, step: Any) -> str:
        from medai.segment.preprocess import Filter
        from medai.segment.segmenters import Segmenter

        if issubclass(step, Filter):
            return _("Filter")
        return _("Segment") if issubclass(step, Segmenter) else _("Repair")


def fillMenu(menu: Any, catalogue: Catalogue, onChosen: Callable[[str], Any]) -> bool:
    """Fill a menu with the steps by group; what cannot run here is grey and says why.  False if there are no steps."""
    menu.clear()
    groups = catalogue.groups()
    if not groups:
        menu.addAction(_("The steps are listed when the first run has installed its packages.")).setEnabled(False)
        return False
    for heading, members in groups:
        part = menu.addMenu(heading)
        part.setToolTipsVisible(True)
        for step in members:
            reason = step.unavailable_reason()
            text = _("{title} ({reason})").format(title=step.title, reason=reason) if reason else step.title
            action = part.addAction(text)
            action.setToolTip(catalogue.help(step.name))
            action.setEnabled(not reason)
            action.connect("triggered()", lambda name=step.name: onChosen(name))
    broken = catalogue.broken()
    if broken:
        part = menu.addMenu(_("Not available"))
        for name, reason in broken:
            part.addAction(_("{title} ({reason})").format(title=name, reason=reason)).setEnabled(False)
    return True
