"""What ``medai train`` and ``medai finetune`` share: progress, going on after a stop, showing what came out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .shell import RESEARCH_USE, bar, say, shown


@contextmanager
def told(quiet: bool) -> Iterator[Any]:
    """Show a progress bar; where standard error is no terminal, a line for each epoch."""
    with bar(quiet) as progress:
        if quiet or sys.stderr.isatty():
            yield progress
            return

        def lines(fraction: float, message: str = "") -> None:
            if "epoch " in message:
                sys.stderr.write(f"{message}\n")
                sys.stderr.flush()

        yield lines


@contextmanager
def resumable(out: Path, work: Path | None) -> Iterator[None]:
    """After Ctrl-C or a full disk, say where the checkpoint is and how to go on."""
    from medai.core.errors import Cancelled, OutputError

    try:
        yield
    except (Cancelled, OutputError) as error:
        if isinstance(error, OutputError) and error.code == "BUSY":
            raise
        found = sorted(state.parent for state in _states(out, work))
        if found:
            sys.stderr.write(
                f"The last epoch is kept in '{found[0].name}'. Run the same command again to go on with it; "
                "delete that folder to give up.\n"
            )
        raise


def _states(out: Path, work: Path | None) -> list[Path]:
    if work is not None:
        return [work / "state.pt"] if (work / "state.pt").is_file() else []
    beside = out.absolute().parent / f"{out.name}.training" / "state.pt"
    return [p for p in (beside, *out.glob("*.training/state.pt")) if p.is_file()]


def parse_labels(text: str) -> dict[int, str]:
    """Read ``1=Body,2=Core``, or ``Body,Core`` for the labels 1, 2, ...

    Raises
    ------
    SettingsError
        If a label is no number from 1 to 65535, has no name, or is there twice.
    """
    from medai.core.errors import SettingsError

    found: dict[int, str] = {}
    parts = [part.strip() for part in text.split(",")]
    numbered = any("=" in part for part in parts)
    for place, part in enumerate(parts, start=1):
        number, equals, name = part.partition("=") if numbered else (str(place), "=", part)
        name = name.strip()
        number = number.strip()
        fits = number.isascii() and number.isdecimal() and 1 <= int(number) <= 65535
        if not (equals and name and fits) or int(number) in found or name in found.values():
            raise SettingsError(
                f"--labels: {part[:40]!r} is not understood, or there twice.",
                hint="Write 1=Liver,2=Tumour, or Liver,Tumour for the labels 1 and 2.",
            )
        found[int(number)] = name
    return found


def show_metrics(metrics: dict[str, Any]) -> None:
    """Print the accuracy of each label."""
    for name, row in metrics["labels"].items():
        dice = row["dice"]
        low, high = dice.get("ci_low"), dice.get("ci_high")
        interval = f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
        say(
            f"  {name:<28} Dice {shown(dice['mean'], 3)}{interval}   HD95 {shown(row['hd95_mm']['mean'], 2)} mm   "
            f"volume {shown(row['volume_error_percent']['mean'], 1)} %"
        )
    say(f"  mean Dice {metrics['mean_dice']:.3f}")


def show_model(out: Path, metrics: dict[str, Any]) -> None:
    """Print what a training gave."""
    say(RESEARCH_USE)
    say(f"Model written to {out}; measured on {metrics['cases']} {metrics['on']}:")
    show_metrics(metrics)
    say(f"  its card: {out / 'MODEL_CARD.md'}")


def show_folds(found: dict[str, Any], folds: int, out: Path, final: bool) -> None:
    """Print what a cross-validation gave."""
    say(RESEARCH_USE)
    for number, metrics in found["folds"].items():
        say(f"Fold {number} of {folds}: {metrics['cases']} cases, mean Dice {metrics['mean_dice']:.3f}")
    if "metrics" not in found:
        say(f"{folds - len(found['folds'])} folds are still to do; the summary is written with the last one.")
        return
    say(f"All {found['metrics']['cases']} cases, each by the model that never saw it:")
    show_metrics(found["metrics"])
    say(f"  written to {found['file']}")
    if final:
        say(f"  the model trained on all cases: {out / 'final'}")
