"""Who is trained on and who is held back: by subject, decided by a seed, stored with the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from pydantic import Field, model_validator

from medai.core.atomic import write_text
from medai.core.errors import InputError
from medai.core.settings import Settings, load_json_file

SPLIT_FILE = "split.json"


class OfSubject(Protocol):
    """What a split looks at: a case's name and whose it is."""

    @property
    def case(self) -> str:
        """Name of the case."""

    @property
    def subject(self) -> str:
        """Name of the subject."""


class Split(Settings):
    """The two sides, as they are stored in a model folder."""

    training: tuple[str, ...] = Field((), description="Cases that training reads, sorted.")
    held_back: tuple[str, ...] = Field((), description="Cases that training never sees, sorted.")
    seed: int | None = Field(None, ge=0, lt=2**32, description="What drew them; None if they were chosen by hand.")
    subjects: dict[str, str] = Field(
        default_factory=dict, description="Subject of each case; a case that is missing here is a subject of its own."
    )

    @model_validator(mode="after")
    def _sides_are_apart(self) -> Split:
        for side in (self.training, self.held_back):
            if len(set(side)) != len(side):
                raise ValueError("a case is there twice")
        both = sorted(set(self.training) & set(self.held_back))
        if both:
            raise ValueError(f"{len(both)} cases are in training and held back, such as {both[0][:60]!r}")
        shared = shared_subjects(self.training, self.held_back, self.subjects)
        if shared:
            raise ValueError(f"{len(shared)} subjects are in training and held back, such as {shared[0][:60]!r}")
        return self

    def write(self, path: str | Path) -> None:
        """Write the split as JSON, atomically.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Split:
        """Read a split, from its file or from a model's folder; older models store the two sides only.

        Raises
        ------
        SettingsError
            If it cannot be read, or a case or subject is on both sides.
        """
        file = Path(path)
        if file.is_dir():
            file /= SPLIT_FILE
        return cls.parse(load_json_file(file), where=file.name)


def split_subjects(cases: Sequence[OfSubject], held_back: int, seed: int) -> Split:
    """Draw the subjects that are held back.

    Parameters
    ----------
    cases : sequence
        With ``case`` and ``subject``; their order does not matter.
    held_back : int
        Number of subjects to hold back, with all their cases.
    seed : int
        Decides which: the first of the sorted subjects' random permutation.

    Raises
    ------
    InputError
        If no subject would be left to train on.
    """
    names = _subjects(cases)
    if not 0 <= held_back < len(names):
        what = "cases" if len(names) == len(cases) else "subjects"
        raise InputError(
            f"{held_back} of {len(names)} {what} are to be held back; none is left to train on.",
            hint="Hold back fewer, or add cases.",
        )
    order = np.random.default_rng(seed).permutation(len(names))
    return _split(cases, {names[i] for i in order[:held_back]}, seed)


def fold_subjects(cases: Sequence[OfSubject], folds: int, seed: int) -> tuple[Split, ...]:
    """Divide the subjects into folds; each subject is held back in exactly one.

    The sorted subjects, in an order drawn by the seed, are dealt out one by one, so that the folds' numbers of subjects
    differ by one at most.

    Parameters
    ----------
    cases : sequence
        With ``case`` and ``subject``; their order does not matter.
    folds : int
        2 or more.

    Returns
    -------
    tuple of Split
        One for each fold, with ``training`` and ``held_back``.

    Raises
    ------
    InputError
        If there are fewer subjects than folds.
    """
    names = _subjects(cases)
    if not 2 <= folds <= len(names):
        raise InputError(
            f"{len(names)} subjects cannot be divided into {folds} folds.",
            hint=f"Choose 2 to {len(names)} folds." if len(names) > 1 else "Add subjects.",
        )
    order = np.random.default_rng(seed).permutation(len(names))
    return tuple(_split(cases, {names[i] for i in order[fold::folds]}, seed) for fold in range(folds))


def shared_subjects(training: Sequence[str], held_back: Sequence[str], subjects: dict[str, str]) -> list[str]:
    """Return the subjects that have cases on both sides, sorted."""
    return sorted({subjects.get(c, c) for c in training} & {subjects.get(c, c) for c in held_back})


def _subjects(cases: Sequence[OfSubject]) -> list[str]:
    if len({item.case for item in cases}) != len(cases):
        raise InputError("Two cases have the same name.", hint="Give each case a name of its own.")
    return sorted({item.subject for item in cases})


def _split(cases: Sequence[OfSubject], held: set[str], seed: int) -> Split:
    return Split(
        training=tuple(sorted(item.case for item in cases if item.subject not in held)),
        held_back=tuple(sorted(item.case for item in cases if item.subject in held)),
        seed=seed,
        subjects={item.case: item.subject for item in sorted(cases, key=lambda item: item.case)},
    )
