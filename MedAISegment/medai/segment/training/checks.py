"""What forbids a training, found before it starts: every case is looked at, every affected case is named."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from medai.core.errors import GeometryError, InputError
from medai.core.progress import CancelToken, ProgressFn, no_progress
from medai.core.qc import Severity

from .dataset import DataSet, named
from .folds import Split, shared_subjects
from .survey import CaseFacts, Survey, survey

FEW_SUBJECTS = 3
"""A label in fewer subjects cannot be trained on, held back and compared."""

SENTENCES: dict[str, tuple[str, str]] = {
    "image_missing": ("The image file does not exist in {}.", "Correct the paths, or leave these cases out."),
    "image_unreadable": ("The image cannot be read in {}.", "Replace these files, or leave the cases out."),
    "labels_missing": ("There is no label map in {}.", "Give one to every case, or leave these cases out."),
    "labels_unreadable": ("The label map cannot be read in {}.", "Replace these files, or leave the cases out."),
    "labels_not_whole": (
        "The label map holds other values than whole numbers from 0 to 65535 in {}.",
        "Threshold the masks, or round them on purpose.",
    ),
    "labels_empty": (
        "The label map holds nothing but background in {}.",
        "Outline the structures there, or leave these cases out.",
    ),
    "images_apart": (
        "The channels lie on different grids in {}.",
        "Resample every channel onto the first one's grid.",
    ),
    "labels_apart": (
        "The label map lies on another grid than the image in {}.",
        "Resample the label map onto the image's grid, by nearest neighbour.",
    ),
    "values_not_finite": ("The image holds NaN or infinite voxels in {}.", "Replace them before training."),
    "values_too_large": ("The image holds values beyond 1e15 in {}.", "Scale the values before training."),
    "image_constant": ("Every voxel of the image has the same value in {}.", "Check that these are the right images."),
}
"""By code of a :class:`~medai.segment.training.survey.Trouble`: sentence and hint."""
GEOMETRY = ("images_apart", "labels_apart")


@dataclass(frozen=True)
class Problem:
    """Something about a data set.

    Parameters
    ----------
    code : str
        Stable name of the kind of problem.
    severity : Severity
        ERROR forbids training; WARNING is worth knowing.
    message : str
        One sentence that names the first five cases and counts all.
    cases : tuple of str
        Every case (or subject, or label) concerned.
    hint : str
        What to do.
    """

    code: str
    severity: Severity
    message: str
    cases: tuple[str, ...] = ()
    hint: str = ""


def check_dataset(
    dataset: DataSet,
    labels: Collection[int] | None = None,
    *,
    split: Split | None = None,
    surveyed: Survey | None = None,
    allow_empty: bool = False,
    progress: ProgressFn = no_progress,
    cancel: CancelToken | None = None,
) -> list[Problem]:
    """Look at every file of a data set and return what is wrong with it; one pass, one case in memory.

    Parameters
    ----------
    dataset : DataSet
        As :func:`~medai.segment.training.dataset.open_dataset` found it.
    labels : collection of int, optional
        The labels to train; those that the data set names if not given, and any if it names none.
    split : Split, optional
        Must hold the data set's cases, and no subject on both sides.
    surveyed : Survey, optional
        Of the same data set, if its files were read already.
    allow_empty : bool
        A label map with nothing but background is worth a warning only, for structures that not everybody has.
    progress, cancel
        See :mod:`medai.core.progress`.

    Returns
    -------
    list of Problem
        Errors first.  Empty if all is well.  :func:`require_trainable` raises the errors.

    Raises
    ------
    Cancelled
        If somebody asked to stop.
    """
    seen = surveyed or survey(dataset, statistics=False, progress=progress, cancel=cancel)
    wanted = set(labels) if labels is not None else set(dataset.labels)
    problems = [*_number_of_cases(dataset), *_troubles(seen.cases, allow_empty)]
    problems += _foreign_labels(seen.cases, wanted) if wanted else []
    problems += _seldom_labels(seen.cases, wanted, split, dataset)
    problems += _same_images(seen.cases)
    problems += _split(dataset, split) if split is not None else []
    return sorted(problems, key=lambda problem: problem.severity is not Severity.ERROR)


def require_trainable(problems: Iterable[Problem]) -> None:
    """Raise the errors among the problems, all in one message; warnings pass.

    Raises
    ------
    GeometryError
        If grids are all that is wrong.
    InputError
        Otherwise.
    """
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if not errors:
        return
    kind = GeometryError if all(problem.code in GEOMETRY for problem in errors) else InputError
    hints = dict.fromkeys(problem.hint for problem in errors if problem.hint)
    raise kind(" ".join(problem.message for problem in errors), hint=" ".join(hints))


def _number_of_cases(dataset: DataSet) -> list[Problem]:
    found = []
    subjects = set(dataset.subjects.values())
    if len(dataset.cases) == 1:
        only = (dataset.cases[0].case,)
        message = f"There is a single case, {only[0]!r}: nothing could be held back to measure the model on."
        found.append(Problem("single_case", Severity.ERROR, message, only, "Add cases of other subjects."))
    elif len(subjects) == 1:
        message = f"All {len(dataset.cases)} cases are of one subject: nothing could be held back."
        names = tuple(files.case for files in dataset.cases)
        found.append(Problem("single_subject", Severity.ERROR, message, names, "Add cases of other subjects."))
    if dataset.unmatched:
        message = f"There is a label map but no image in {named(dataset.unmatched, 'case')}."
        hint = "Give both files of a case the same name."
        found.append(Problem("image_missing", Severity.ERROR, message, dataset.unmatched, hint))
    return found


def _troubles(cases: Sequence[CaseFacts], allow_empty: bool) -> list[Problem]:
    found = []
    for code, (sentence, hint) in SENTENCES.items():
        details: dict[str, str] = {}
        for facts in cases:
            for trouble in facts.troubles:
                if trouble.code == code:
                    details.setdefault(facts.files.case, trouble.detail)
        if not details:
            continue
        severity = Severity.WARNING if code == "labels_empty" and allow_empty else Severity.ERROR
        shown = [f"{case} ({detail})" if detail else case for case, detail in details.items()]
        found.append(Problem(code, severity, sentence.format(named(shown, "case")), tuple(details), hint))
    return found


def _foreign_labels(cases: Sequence[CaseFacts], wanted: set[int]) -> list[Problem]:
    foreign = {
        facts.files.case: [label.label for label in facts.labels if label.label not in wanted] for facts in cases
    }
    foreign = {case: numbers for case, numbers in foreign.items() if numbers}
    if not foreign:
        return []
    shown = [f"{case} ({_some(numbers)})" for case, numbers in foreign.items()]
    message = f"There are labels outside the list {_some(sorted(wanted))} in {named(shown, 'case')}."
    hint = "Add these labels to the list, or make them background in the label maps."
    return [Problem("labels_outside", Severity.ERROR, message, tuple(foreign), hint)]


def _seldom_labels(
    cases: Sequence[CaseFacts], wanted: set[int], split: Split | None, dataset: DataSet
) -> list[Problem]:
    """Say which labels occur nowhere, not where training reads, or in too few subjects."""
    unread = {"labels_missing", "labels_unreadable", "labels_not_whole", "labels_apart"}
    if any(facts.geometry is None or any(t.code in unread for t in facts.troubles) for facts in cases):
        return []  # what cannot be read may hold them
    where: dict[int, set[str]] = {label: set() for label in sorted(wanted)}
    for facts in cases:
        for label in facts.labels:
            where.setdefault(label.label, set()).add(facts.files.case)
    found = []
    absent = [label for label, names in where.items() if not names]
    if absent:
        message = f"No case holds {_labelled(absent, dataset)}."
        found.append(_of_labels("label_absent", Severity.ERROR, message, absent, "Take it out of the list of labels."))
    if split is not None:
        training = set(split.training)
        unseen = [label for label, names in where.items() if names and not names & training]
        if unseen:
            message = f"Only held-back cases hold {_labelled(unseen, dataset)}: it cannot be learned."
            hint = "Choose another seed, or hold back fewer cases."
            found.append(_of_labels("label_unseen", Severity.ERROR, message, unseen, hint))
    subjects = dataset.subjects
    rare = [label for label, names in where.items() if 0 < len({subjects[n] for n in names}) < FEW_SUBJECTS]
    if rare:
        message = f"Fewer than {FEW_SUBJECTS} subjects hold {_labelled(rare, dataset)}."
        hint = "Measured accuracy will say little about it; add subjects that have it."
        found.append(_of_labels("label_rare", Severity.WARNING, message, rare, hint))
    return found


def _same_images(cases: Sequence[CaseFacts]) -> list[Problem]:
    holders: dict[str, dict[str, str]] = {}
    for facts in cases:
        for image in facts.images:
            if image.digest:
                holders.setdefault(image.digest, {})[facts.files.case] = facts.files.subject
    found = []
    for severity in (Severity.ERROR, Severity.WARNING):
        groups: dict[tuple[str, ...], None] = {}
        for names in holders.values():
            apart = len(set(names.values())) > 1
            if len(names) > 1 and apart == (severity is Severity.ERROR):
                groups[tuple(names)] = None
        if not groups:
            continue
        shown = [" = ".join(group[:5]) for group in groups]
        message = f"The same image is there under different names, in {named(shown, 'group')}."
        hint = "Keep one of each group" + (
            ", or name their subject: an image that is on both sides of a split makes the model look better than it is."
            if severity is Severity.ERROR
            else "."
        )
        every = tuple(dict.fromkeys(name for group in groups for name in group))
        found.append(Problem("same_image", severity, message, every, hint))
    return found


def _split(dataset: DataSet, split: Split) -> list[Problem]:
    found = []
    subjects = dataset.subjects
    unknown = sorted({*split.training, *split.held_back} - set(subjects))
    if unknown:
        message = f"The split names what the data set has not: {named(unknown, 'case')}."
        found.append(Problem("split_unknown", Severity.ERROR, message, tuple(unknown), "Use the split's own data set."))
    if not split.training:
        found.append(Problem("split_empty", Severity.ERROR, "The split leaves no case to train on."))
    shared = shared_subjects(split.training, split.held_back, subjects)
    if shared:
        message = f"The same person is trained on and held back: {named(shared, 'subject')}."
        hint = "Put all cases of a subject on one side."
        found.append(Problem("subject_on_both_sides", Severity.ERROR, message, tuple(shared), hint))
    return found


def _of_labels(code: str, severity: Severity, message: str, labels: Sequence[int], hint: str) -> Problem:
    return Problem(code, severity, message, tuple(str(label) for label in labels), hint)


def _labelled(labels: Sequence[int], dataset: DataSet) -> str:
    return named([f"{n} ({dataset.labels[n]})" if n in dataset.labels else str(n) for n in labels], "label")


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(str(n) for n in numbers[:8]) + (" and more" if len(numbers) > 8 else "")
