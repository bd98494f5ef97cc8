from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noncoder.data.tasks import Task, check_names, find_tasks, group_columns
from noncoder.errors import InputError, UnknownNameError

NAMES = st.lists(st.text("abc", min_size=1, max_size=2), max_size=8)
TASKS = (Task("Reb1", "TF"), Task("H3K4me3", "histone"), Task("Abf1", "TF"), Task("input"))


@settings(deadline=None, max_examples=60)
@given(NAMES)
def test_names_are_each_their_own(names: list[str]) -> None:
    if len(set(names)) == len(names):
        check_names(names)
    else:
        with pytest.raises(InputError, match="is named twice"):
            check_names(names)


def test_both_places_of_a_name_are_told() -> None:
    with pytest.raises(InputError, match="the task 'b' is named twice, as number 2 and 4") as caught:
        check_names(["a", "b", "c", "b"])
    assert "--tasks" in caught.value.hint


def test_an_empty_name() -> None:
    with pytest.raises(InputError, match="task 2 has no name"):
        check_names(["a", ""])


def test_find_tasks() -> None:
    assert find_tasks(["Abf1", "Reb1", "Abf1"], TASKS) == [2, 0, 2]
    assert find_tasks([], TASKS) == []
    with pytest.raises(UnknownNameError, match="did you mean 'Abf1'") as caught:
        find_tasks(["Reb1", "Afb1"], TASKS)
    assert "no task is called 'Afb1'" in str(caught.value)


def test_group_columns() -> None:
    assert group_columns(TASKS) == {"TF": [0, 2], "histone": [1]}
    assert group_columns([]) == {}


def test_to_dict_round_trip() -> None:
    task = Task("a", "TF", "K562", "ChIP-seq", "none")
    assert Task(**task.to_dict()) == task
