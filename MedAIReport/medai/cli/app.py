"""The ``medai`` command."""

from __future__ import annotations

import atexit
import os
import sys

import typer

from .detect import detect_app
from .evaluate import evaluate_command
from .filter import filter_command
from .finetune import finetune_command
from .info import info_command
from .models import models_app
from .models_measure import card_command, measure_command
from .run import demo_command, run_command
from .segment import segment_command
from .shell import COULD_NOT_START, RESEARCH_USE, stopped
from .steps import steps_command
from .train import example_command, train_command

app = typer.Typer(
    name="medai",
    help=f"From a medical image to a report. {RESEARCH_USE} "
    "Exit codes: 0 done, 2 could not start or stopped (Ctrl-C), 3 some cases failed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo_command)
app.command("run")(run_command)
app.command("filter")(filter_command)
app.command("segment")(segment_command)
app.command("steps")(steps_command)
app.command("train")(train_command)
app.command("finetune")(finetune_command)
app.command("example-data")(example_command)
app.command("evaluate")(evaluate_command)
app.command("info")(info_command)
models_app.command("measure")(measure_command)
models_app.command("card")(card_command)
app.add_typer(models_app, name="models")
app.add_typer(detect_app, name="detect")


def main() -> None:
    """Run the command line.

    A pass of a network cannot be stopped.  After Ctrl-C it may still run in a thread, for which Python would wait, and
    which aborts the process if its library is taken away below it: then the process ends without waiting for threads.
    """
    try:
        app()
    except SystemExit as ended:
        if not stopped():
            raise
        atexit._run_exitfuncs()  # temporary files are removed there
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else COULD_NOT_START)
