import statistics
from collections import Counter

import pytest

from noncoder.data.deepsea.deepsea_tasks import MODELS, deepsea_table, deepsea_tasks
from noncoder.data.tasks import check_names


def test_tasks_are_deepseas_in_number_order_and_group() -> None:
    tasks = deepsea_tasks()
    assert Counter(task.group for task in tasks) == {"DNase": 125, "TF": 690, "histone": 104}
    assert [task.group for task in tasks] == ["DNase"] * 125 + ["TF"] * 690 + ["histone"] * 104
    assert (tasks[815].cell, tasks[815].assay) == ("H1-hESC", "H2AK5ac")
    assert (tasks[918].cell, tasks[918].assay) == ("Osteoblasts", "H3K9me3")
    assert (tasks[598].cell, tasks[598].assay) == ("K562", "BRF1")
    assert all((task.assay == "DNase") == (task.group == "DNase") for task in tasks)


def test_names_are_unique_though_experiments_repeat() -> None:
    tasks = deepsea_tasks()
    check_names([task.name for task in tasks])
    assert sum("#" in task.name for task in tasks) > 50
    assert not any(task.treatment == "None" for task in tasks)


@pytest.mark.parametrize("model", MODELS)
def test_published_scores_are_there_for_all_tasks_but_brf1(model: str) -> None:
    table = deepsea_table()
    assert table["index"].to_list() == list(range(919))
    for score in ("auroc", "auprc"):
        column = table[f"{score}_{model}"]
        assert column.is_null().arg_true().to_list() == [598]
        assert column.drop_nulls().is_between(0, 1).all()


def test_published_medians_are_those_of_the_paper() -> None:
    # Zhou & Troyanskaya 2015: median AUROC of TF 0.958, DNase 0.923, histone 0.856 (cut off, not rounded).
    table = deepsea_table()
    medians = {
        group: statistics.median(table.filter(group=group)["auroc_deepsea"].drop_nulls())
        for group in ("TF", "DNase", "histone")
    }
    assert medians == pytest.approx({"TF": 0.958, "DNase": 0.923, "histone": 0.856}, abs=1e-3)
