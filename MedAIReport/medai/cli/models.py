"""``medai models``: which models are here, and bringing, checking and removing them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .models_text import list_lines, one_lines, search_lines, size
from .run import JsonFlag
from .shell import COULD_NOT_START, RESEARCH_USE, bar, emit, guarded, say

models_app = typer.Typer(
    help=f"List, search, install, check and remove models. {RESEARCH_USE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Argument(help="Id of a model, or a model's folder or file.")]


@models_app.command("list")
def list_command(json: JsonFlag = False) -> None:
    """List the models that are here, and those that cannot be used and why."""

    def work(token: Any) -> dict[str, Any]:
        from medai.segment.models import ModelStore

        store = ModelStore()
        return {
            "research_use_only": True,
            "models": [brief(store, model) for model in store.list()],
            "broken": store.broken(),
        }

    found = guarded(work, as_json=json)
    _show(found, json, list_lines)


@models_app.command("show")
def show_command(name: Name, json: JsonFlag = False) -> None:
    """Show what a model is for, its labels, licence and files; or what the catalogue says of it."""

    def work(token: Any) -> dict[str, Any]:
        from medai.core.errors import ModelError
        from medai.segment.models import ModelStore
        from medai.segment.models.catalogue import load_catalogue

        store = ModelStore()
        try:
            return {"research_use_only": True, "model": full(store, store.find(name, cancel=token))}
        except ModelError as error:
            entries = [e for e in load_catalogue(store.user) if e.id == name] if error.code == "MODEL" else []
            if not entries:
                raise
            return {"research_use_only": True, "catalogue": {**entries[0].to_dict(), "vouched": entries[0].vouched}}

    found = guarded(work, as_json=json)
    _show(found, json, one_lines)


@models_app.command("search")
def search_command(
    text: Annotated[str, typer.Argument(help="Words; each must be in the id, title, summary, modality or a label.")],
    json: JsonFlag = False,
) -> None:
    """Search the models that are here and the catalogue."""
    found = guarded(lambda token: _search(text, installed=True), as_json=json)
    _show(found, json, search_lines)


@models_app.command("catalogue")
def catalogue_command(
    text: Annotated[str, typer.Argument(help="Words; nothing lists all.")] = "", json: JsonFlag = False
) -> None:
    """List models that can be loaded from the internet."""
    found = guarded(lambda token: _search(text, installed=False), as_json=json)
    _show(found, json, search_lines)


@models_app.command("install")
def install_command(
    source: Annotated[
        str, typer.Argument(help="Id in the catalogue, https address, folder, or file (.zip, .whl, .onnx, .pt, .ts).")
    ],
    id: Annotated[str, typer.Option("--id", help="Install it under another id.")] = "",
    accept_licence: Annotated[bool, typer.Option("--accept-licence", help="You read and accept its licence.")] = False,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Take files that carry a program, or fail a check; that is recorded."),
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace another model of the same id.")] = False,
    json: JsonFlag = False,
) -> None:
    """Install a model into your models' folder."""

    def work(token: Any) -> dict[str, Any]:
        from medai.segment.models import ModelStore

        store = ModelStore()
        with bar(json) as progress:
            model = store.install(
                source, id=id or None, accept_licence=accept_licence, trust=trust, replace=replace,
                progress=progress, cancel=token,
            )  # fmt: skip
        return {"research_use_only": True, "model": full(store, model)}

    found = guarded(work, as_json=json)
    if json:
        emit(found)
        return
    model = found["model"]
    say(RESEARCH_USE)
    say(f"Installed {model['id']} {model['version']}: {model['title']} ({size(model['bytes_on_disk'])})")
    say(f"  licence {model['licence']}")
    if (model["origin"] or {}).get("vouched"):
        say(f"  checked: {model['origin']['vouched']}")
    for record in model["trusted"]:
        say(f"  trusted on {record['date']}: {record['what']}")


@models_app.command("remove")
def remove_command(id: Annotated[str, typer.Argument(help="Id of a model of yours.")], json: JsonFlag = False) -> None:
    """Remove a model of yours; those that come with MedAI stay."""

    def work(token: Any) -> dict[str, Any]:
        from medai.segment.models import ModelStore

        ModelStore().remove(id, cancel=token)
        return {"removed": id}

    found = guarded(work, as_json=json)
    if json:
        emit(found)
    else:
        say(f"Removed {id}.")


@models_app.command("verify")
def verify_command(
    name: Annotated[list[str] | None, typer.Argument(help="Ids or folders; nothing checks all models.")] = None,
    json: JsonFlag = False,
) -> None:
    """Read every file of models and compare size and SHA-256; exit code 2 if one differs."""

    def work(token: Any) -> dict[str, list[str]]:
        from medai.core.progress import sub_progress
        from medai.segment.models import ModelStore

        store = ModelStore()
        wanted = list(dict.fromkeys(name or [model.id for model in store.list()]))
        found = {}
        with bar(json) as progress:
            for n, one in enumerate(wanted):
                part = sub_progress(progress, n / len(wanted), (n + 1) / len(wanted))
                label = Path(one).name
                found[label] = store.verify(one, progress=part, cancel=token)
        if not name:
            found.update({folder: [reason] for folder, reason in store.broken().items()})
        return found

    found = guarded(work, as_json=json)
    if json:
        emit({"problems": found})
    else:
        for one, problems in found.items():
            say(f"{one}: {'as it should be' if not problems else 'not as it should be'}")
            for problem in problems:
                say(f"  {problem}")
    if any(found.values()):
        raise typer.Exit(COULD_NOT_START)


def brief(store: Any, model: Any) -> dict[str, Any]:
    """Return what ``medai models list`` shows of a model, JSON-ready."""
    return {
        "id": model.id,
        "title": model.title,
        "version": model.manifest.version,
        "format": model.manifest.format,
        "modality": model.manifest.description.modality,
        "labels": len(model.manifest.labels),
        "licence": model.manifest.description.licence,
        "bytes_on_disk": store.size_of(model),
        "own": store.is_own(model),
    }


def full(store: Any, model: Any) -> dict[str, Any]:
    """Return what ``medai models show`` shows of a model, JSON-ready."""
    from medai.segment.models.contents import entries
    from medai.segment.models.licence import acceptances
    from medai.segment.models.origin import read_origin
    from medai.segment.models.trust import trusted

    files = entries(model.manifest)
    known = trusted(store.user)
    origin = read_origin(model.folder)
    return {
        **brief(store, model),
        "description": model.manifest.description.to_dict(),
        "structures": [{"label": label.label, "name": label.name} for label in model.manifest.labels],
        "files": [entry.to_dict() for entry in files.values()],
        "origin": origin.to_dict() if origin else None,
        "accepted": [a.to_dict() for a in acceptances(store.user) if a.model == model.id],
        "trusted": [known[e.sha256].to_dict() for e in files.values() if e.sha256 in known],
    }


def _search(text: str, *, installed: bool) -> dict[str, Any]:
    from medai.segment.models import ModelStore
    from medai.segment.models.catalogue import load_catalogue
    from medai.segment.models.store import matches

    store = ModelStore()
    entries = []
    for entry in load_catalogue(store.user):
        within = " ".join([entry.id, entry.title, entry.summary, entry.modality, entry.format, *entry.tags])
        if matches(text, within):
            entries.append({**entry.to_dict(), "vouched": entry.vouched})
    here = {model.id for model in store.list()}
    found: dict[str, Any] = {"research_use_only": True}
    if installed:
        found["models"] = [brief(store, model) for model in store.search(text)]
    return {**found, "catalogue": [{**entry, "installed": entry["id"] in here} for entry in entries]}


def _show(found: dict[str, Any], as_json: bool, lines: Any) -> None:
    if as_json:
        emit(found)
        return
    say(RESEARCH_USE)
    for line in lines(found):
        say(line)
