"""Splits and folds: by subject, from the seed alone, and as the shipped model was split."""

import json

import pytest

from medai.core.errors import InputError, SettingsError
from medai.segment.training.dataset import CaseFiles, open_dataset
from medai.segment.training.folds import Split, fold_subjects, split_subjects


def cases(count=50, each=1):
    return [CaseFiles(f"c{n}-{m}", f"s{n}" if each > 1 else f"c{n}-{m}", ()) for n in range(count) for m in range(each)]


def test_the_split_is_fixed_by_the_seed_and_leaves_no_case_out():
    some = cases()
    first = split_subjects(some, 10, 1)
    assert len(first.held_back) == 10
    assert sorted(first.training + first.held_back) == sorted(c.case for c in some)
    assert split_subjects(some[::-1], 10, 1) == first
    assert split_subjects(some, 10, 2).held_back != first.held_back
    assert split_subjects(some, 0, 1).held_back == ()


def test_cases_of_a_subject_stay_together():
    some = cases(20, each=3)
    found = split_subjects(some, 5, 3)
    assert len(found.held_back) == 15
    assert not {found.subjects[c] for c in found.training} & {found.subjects[c] for c in found.held_back}
    assert split_subjects(sorted(some, key=lambda c: c.case[::-1]), 5, 3) == found


def test_too_many_held_back():
    with pytest.raises(InputError, match=r"50 of 50 cases.*none is left"):
        split_subjects(cases(), 50, 1)
    with pytest.raises(InputError, match="20 of 20 subjects"):
        split_subjects(cases(20, 2), 20, 1)
    with pytest.raises(InputError, match="same name"):
        split_subjects([*cases(3), *cases(2)], 1, 1)


def test_each_subject_is_held_back_in_one_fold():
    some = cases(13, each=2)
    folds = fold_subjects(some, 5, 7)
    assert fold_subjects(some[::-1], 5, 7) == folds
    assert fold_subjects(some, 5, 8) != folds
    assert sorted(c for fold in folds for c in fold.held_back) == sorted(c.case for c in some)
    assert sorted(len(fold.held_back) for fold in folds) == [4, 4, 6, 6, 6]
    for fold in folds:
        assert sorted(fold.training + fold.held_back) == sorted(c.case for c in some)
        assert not {fold.subjects[c] for c in fold.training} & {fold.subjects[c] for c in fold.held_back}


@pytest.mark.parametrize("folds", [1, 4])
def test_folds_that_cannot_be_made(folds):
    with pytest.raises(InputError, match=f"3 subjects cannot be divided into {folds} folds"):
        fold_subjects(cases(3, 4), folds, 1)


def test_a_split_is_stored_and_read(tmp_path):
    found = split_subjects(cases(9, 2), 3, 5)
    found.write(tmp_path / "split.json")
    assert Split.read(tmp_path / "split.json") == found
    assert Split.read(tmp_path) == found
    (tmp_path / "split.json").write_text('{"training": ["a"], "held_back": ["b"]}', "utf-8")
    assert Split.read(tmp_path) == Split(training=("a",), held_back=("b",))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"training": ["a", "b"], "held_back": ["b"]}, "1 cases are in training and held back, such as 'b'"),
        ({"training": ["a"], "held_back": ["b"], "subjects": {"a": "s", "b": "s"}}, "1 subjects.*such as 's'"),
        ({"training": ["a"], "held_back": ["b"], "subjects": {"a": "b"}}, "1 subjects.*such as 'b'"),
        ({"training": ["a", "a"]}, "twice"),
    ],
)
def test_a_stored_split_that_mixes_its_sides_is_refused(tmp_path, values, match):
    (tmp_path / "split.json").write_text(json.dumps(values), "utf-8")
    with pytest.raises(SettingsError, match=match):
        Split.read(tmp_path)


def test_the_shipped_models_split_comes_out_again(repo, data_dir):
    """The split that the model was trained with, by an earlier version of this code, from the same files."""
    stored = Split.read(repo / "MedAISegment/Resources/MedAISegmentModels/hippocampus")
    found = open_dataset(data_dir / "msd_hippocampus")
    again = split_subjects(found.cases, 40, 20261122)
    assert again.held_back == stored.held_back
    assert again.training == stored.training
    assert len(again.held_back) == 40
