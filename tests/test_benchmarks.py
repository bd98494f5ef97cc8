"""The published numbers are those of their sources, and ours stand beside them with what they are."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import fsolve

from noncoder.benchmarks import (
    GROUPS,
    MODELS,
    NOT_COMPARABLE,
    TEST_WINDOWS,
    ModelScores,
    compare_with_published,
    model_means,
    published,
    published_text,
    task_differences,
    task_scores,
)
from noncoder.benchmarks.task_scores import FROM_ONE, STEPS, column, in_group
from noncoder.errors import InputError, UnknownNameError

FACTS = Path(__file__).parents[1] / ".." / "shared" / "data" / "deepsea-facts"
TASKS = task_scores()["task"].to_list()
POSITIVES = task_scores()["test_positives"].to_numpy()
UNDEFINED = TASKS.index("K562|BRF1|None")

# AUROC and PR AUC of all, TF, DNase, histone, as published or computed by others from the same tables.
MEANS = {
    "DeepSEA": ((0.93260, 0.94783, 0.91549, 0.85225), (0.34253, 0.3203, 0.4443, 0.3676)),
    "DanQ": ((0.93837, 0.95346, 0.92077, 0.85957), (0.37089, 0.3520, 0.4636, 0.3850)),
    "DanQ-JASPAR": ((0.94174, 0.95686, 0.92461, 0.86215), (0.37936, 0.3606, 0.4752, 0.3883)),
    "DeepATT (focal)": ((0.94519, 0.96108, 0.92607, 0.86292), (0.39522, 0.3805, 0.4797, 0.3911)),
    "DeepATT (BCE)": ((0.94486, 0.96087, 0.92629, 0.86117), (0.39619, 0.3827, 0.4788, 0.3864)),
    "DanQ trained by DeepATT's authors": ((0.93399, 0.94976, 0.91651, 0.85051), (0.35921, 0.3415, 0.4479, 0.3700)),
    "ChromDL": ((0.94758, 0.96427, 0.92990, 0.85833), (0.40135, 0.3876, 0.4930, 0.3821)),
}
MEDIANS = {
    "DeepSEA": (0.9577, 0.9237, 0.8556),
    "DanQ": (0.9625, 0.9281, 0.8638),
    "DanQ-JASPAR": (0.9649, 0.9321, 0.8678),
    "DeepATT (focal)": (0.9688, 0.9331, 0.8702),
    "ChromDL": (0.9703, 0.9369, 0.8648),
}


def rounds_to(value: float | None, given: float) -> bool:
    """Whether a number is another one, to as many digits as that was given with."""
    digits = len(str(given).split(".")[1])
    return value is not None and abs(value - given) <= 0.5001 * 10**-digits


def entry(model: str) -> Any:
    return next(one for one in published() if one.model == model)


def measured(like: str = "DanQ-JASPAR", **changed: Any) -> ModelScores:
    """A published model as if it were ours."""
    scores = {name: column(like, "pr_auc") for name in ("average_precision", "pr_auc_trapezoid")}
    given: dict[str, Any] = {"tasks": TASKS, "auroc": column(like, "auroc"), **scores, "windows": TEST_WINDOWS,
                             "strands": "both", "positives": POSITIVES}  # fmt: skip
    return ModelScores(**(given | changed))


def compared(ours: ModelScores) -> dict[str, Any]:
    comparison = compare_with_published(ours)
    assert comparison is not None
    return comparison


class TestTheTable:
    def test_is_in_the_order_of_danqs_and_holds_its_numbers(self) -> None:
        if not FACTS.exists():
            pytest.skip("the facts of DeepSEA are not beside the repository (../shared/data)")
        with (FACTS / "danq_aucs.txt").open() as file:
            _, *rows = csv.reader(file, delimiter="\t")
        assert len(rows) == len(TASKS) == 919
        for i, (cell, assay, treatment, *scores) in enumerate(rows):
            written = "|".join(part.strip("\xa0 ") for part in (cell, assay, treatment))
            assert TASKS[i].split("#")[0] == written
            ours = [column(model, measure)[i] for measure in ("auroc", "pr_auc") for model in list(MODELS)[:3]]
            theirs = [np.nan if score.startswith("NA") else float(score) for score in scores]
            np.testing.assert_array_equal(ours, theirs)

    def test_positives_are_those_of_the_metadata(self) -> None:
        if not FACTS.exists():
            pytest.skip("the facts of DeepSEA are not beside the repository (../shared/data)")
        with (FACTS / "deepsea_metadata.tsv").open() as file:
            shares = [row["AUPRC Baseline"] for row in csv.DictReader(file, delimiter="\t")]
        for share, positives in zip(shares, POSITIVES, strict=True):
            # Nine of them were rounded to three digits.
            digits = 3e-3 if "E-0" in share else 1e-9
            assert float(share.replace(",", ".")) * TEST_WINDOWS == pytest.approx(positives, rel=digits)

    @pytest.mark.parametrize("model", MODELS)
    def test_lacks_the_one_task_without_positives(self, model: str) -> None:
        for measure in Literal["auroc"], Literal["pr_auc"]:
            scores = column(model, measure.__args__[0])  # type: ignore[attr-defined]
            assert np.flatnonzero(np.isnan(scores)).tolist() == [UNDEFINED]
            assert (scores[~np.isnan(scores)] > 0).all()
            assert (scores[~np.isnan(scores)] <= 1).all()
        assert POSITIVES[UNDEFINED] == 0

    @pytest.mark.parametrize("model", MODELS)
    def test_an_auroc_is_a_share_of_the_pairs_which_tells_how_many_windows_were_ranked(self, model: str) -> None:
        few = (POSITIVES > 0) & (POSITIVES < 300)
        pairs = POSITIVES[few] * (TEST_WINDOWS - POSITIVES[few])

        def whole(windows_each: int) -> float:
            """How many AUROCs are a whole or half number of pairs; one in twelve would be by chance."""
            wins = 2 * column(model, "auroc")[few] * pairs * windows_each**2
            return float((np.abs(wins - wins.round()) < 0.04).mean())

        averaged = entry(model).strands_averaged
        # DeepSEA's have nine decimals, too few for some tasks.
        assert whole(1 if averaged else 2) > (0.85 if model == "DeepSEA" else 0.98)
        if not averaged:
            assert whole(1) < 0.4

    def test_one_positive_tells_how_the_pr_auc_was_taken(self) -> None:
        (only,) = np.flatnonzero(POSITIVES == 1).tolist()
        for model, (_, by) in MODELS.items():
            wins = column(model, "auroc")[only] * (TEST_WINDOWS - 1)
            rank = TEST_WINDOWS - wins
            expected = {FROM_ONE: 0.5 / rank, STEPS: 1 / rank}[by]
            if entry(model).strands_averaged:
                # To the three digits that these have in DanQ's table.
                assert column(model, "pr_auc")[only] == pytest.approx(expected, rel=5e-3), model

    def test_danqs_table_begins_its_curves_at_precision_one(self) -> None:
        if not FACTS.exists():
            pytest.skip("the facts of DeepSEA are not beside the repository (../shared/data)")
        with (FACTS / "deepsea_metadata.tsv").open() as file:
            own = [float(row["AUPRC"].replace(",", ".")) for row in csv.DictReader(file, delimiter="\t")]
        more = (column("DeepSEA", "pr_auc") - own) * POSITIVES
        more = more[(POSITIVES > 100) & ~np.isnan(more)]
        assert (np.minimum(np.abs(more), np.abs(more - 1)) < 0.02).all()
        assert 0.6 < (more > 0.5).mean() < 0.9


class TestPublished:
    @pytest.mark.parametrize("model", MEANS)
    def test_means_are_the_published_ones(self, model: str) -> None:
        found = entry(model).mean
        for group, auroc, pr_auc in zip(GROUPS, *MEANS[model], strict=True):
            assert rounds_to(found[group].auroc, auroc), group
            assert rounds_to(found[group].pr_auc, pr_auc), group

    @pytest.mark.parametrize("model", MEDIANS)
    def test_medians_are_the_published_ones(self, model: str) -> None:
        found = [entry(model).median[group].auroc for group in ("TF", "DNase", "histone")]
        # One of DeepSEA's is .92365, which was rounded up.
        np.testing.assert_allclose(found, MEDIANS[model], atol=6e-5)

    def test_medians_of_all_tasks_of_chromdl(self) -> None:
        assert np.round(entry("ChromDL").median["all"], 4).tolist() == [0.9607, 0.4021]

    def test_weighted_by_test_positives(self) -> None:
        expected = {"DanQ": (0.9108, 0.4724), "DanQ-JASPAR": (0.9140, 0.4811), "DeepATT (focal)": (0.9158, 0.4887),
                    "ChromDL": (0.9175, 0.4941)}  # fmt: skip
        for model, scores in expected.items():
            assert np.round(entry(model).weighted_by_test, 4).tolist() == list(scores)

    def test_weighted_as_the_report_gives_them_is_near_to_the_weights_of_the_test_set(self) -> None:
        given = {model: entry(model).weighted for model in ("DeepSEA", "DanQ", "DanQ-JASPAR")}
        assert given == {"DeepSEA": (0.9046, 0.4463), "DanQ": (0.9109, 0.4698), "DanQ-JASPAR": (0.9140, 0.4783)}
        for model, score in given.items():
            np.testing.assert_allclose(score, entry(model).weighted_by_test, atol=3e-3)

    def test_ncnet_is_danq_times_a_gain_and_no_bar(self) -> None:
        danq = np.array(entry("DanQ").weighted)
        for model, gains in {"NCNet-bRR": (1.0364, 1.1405), "NCNet-RbR": (1.0437, 1.1748)}.items():
            np.testing.assert_allclose(entry(model).weighted, danq * gains, atol=6e-5)
            assert "never measured" in entry(model).why_not
            assert all(f"{gain:.2%}" in entry(model).why_not for gain in gains)
            assert not entry(model).mean

    def test_what_reads_more_sequence_is_set_apart(self) -> None:
        assert [one.model for one in published() if "8,000 bp" in one.why_not] == ["BigBird", "HyenaDNA, 8,000 bp"]

    def test_every_number_has_a_source(self) -> None:
        entries = published()
        assert len({one.model for one in entries}) == len(entries)
        assert set(MODELS) <= {one.model for one in entries}
        for one in entries:
            assert one.source
            assert one.certainty
            assert one.mean or one.median or one.weighted
            assert (one.strands_averaged is None) == (one.strands_certainty == "unknown")
        assert len({one.name for one in NOT_COMPARABLE}) == len(NOT_COMPARABLE) > 8


class TestComparison:
    def test_nothing_of_deepsea_is_no_comparison(self) -> None:
        nothing = ModelScores(["Reb1"], [0.9], [0.1], [0.1], 10, "both")
        assert compare_with_published(nothing) is None

    def test_the_whole_test_set_is_comparable_in_any_order(self) -> None:
        order = np.random.default_rng(0).permutation(919)
        scores = column("DanQ", "auroc")[order], column("DanQ", "pr_auc")[order], column("DanQ", "pr_auc")[order]
        shuffled = ModelScores([TASKS[i] for i in order], *scores, 227_512, "both", None, POSITIVES[order])
        comparison = compared(shuffled)
        assert comparison["comparable"]
        assert not comparison["why"]
        ours = [row for row in comparison["rows"] if row["ours"] and row["table"] == "field"]
        theirs = next(row for row in comparison["rows"] if row["model"] == "DanQ" and row["table"] == "field")
        assert [row["pr_auc_by"] for row in ours] == ["trapezoid from precision 0", "average precision"]
        for row in ours:
            assert row["mean"]["TF"]["auroc"] == pytest.approx(theirs["mean"]["TF"]["auroc"], abs=1e-12)
            assert row["median"]["all"]["pr_auc"] == pytest.approx(theirs["median"]["all"]["pr_auc"], abs=1e-12)

    def test_both_strands_as_windows_of_their_own_are_comparable(self) -> None:
        both = measured(windows=455_024, positives=2 * POSITIVES, strands="forward")
        comparison = compared(both)
        assert comparison["comparable"]
        assert [row["strands_averaged"] for row in comparison["rows"] if row["ours"]] == [False] * 4

    def test_our_weighted_means_are_the_callers(self) -> None:
        weighted = {"auroc": 0.91, "average_precision": 0.47, "pr_auc_trapezoid": 0.46}
        rows = compared(measured(weighted=weighted))["rows"]
        ours = [row for row in rows if row["ours"] and row["table"] == "report"]
        assert [(row["auroc"], row["pr_auc"]) for row in ours] == [(0.91, 0.46), (0.91, 0.47)]
        assert all("training positives" in row["definition"] for row in ours)
        tested = [row for row in rows if row["ours"] and row["table"] == "report_test"]
        assert [round(row["pr_auc"], 4) for row in tested] == [0.4811, 0.4811]

    def test_other_training_positives_make_the_weighted_means_another_thing(self) -> None:
        """Weights that give DanQ what the report has of it pass for the bundle's; the test set's do not."""
        weighted = {"auroc": 0.91, "average_precision": 0.47, "pr_auc_trapezoid": 0.46}
        scores = np.nan_to_num([column("DanQ", name) for name in ("auroc", "pr_auc")])
        groups = task_scores()["group"].to_numpy()

        def off(factors: NDArray[np.float64]) -> NDArray[np.float64]:
            weights = POSITIVES * np.where(groups == "TF", factors[0], np.where(groups == "histone", factors[1], 1))
            return np.asarray(scores @ weights / weights.sum() - [0.9109, 0.4698])

        factors = fsolve(off, [1.0, 1.0])
        like = POSITIVES * np.where(groups == "TF", factors[0], np.where(groups == "histone", factors[1], 1))
        for train_positives, same in ((like, True), (POSITIVES, False)):
            rows = compared(measured(weighted=weighted, train_positives=train_positives))["rows"]
            ours = {row["table"]: row for row in rows if row["ours"]}
            assert ours["field"]["comparable"]
            assert ours["report"]["comparable"] == same
            assert any("they weigh DanQ's scores to 0.9108 and 0.4724" in why for why in ours["report"]["why"]) != same

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"windows": 100}, "100 windows; the test set has 227,512"),
            ({"positives": POSITIVES + (np.arange(919) == 3)}, f"in 1 of the tasks: {TASKS[3]}"),
            ({"positives": POSITIVES + (np.arange(919) < 9)}, f"in 9 of the tasks: {', '.join(TASKS[:3])}, …"),
            ({"tasks": [f"{TASKS[0]} of ours", *TASKS[1:]]}, "918 of DeepSEA's 919 tasks"),
            ({"tasks": [f"{TASKS[0]} of ours", *TASKS[1:]]}, "1 other task, left out here"),
        ],
    )  # fmt: skip
    def test_every_reason_is_told(self, changed: dict[str, Any], reason: str) -> None:
        comparison = compared(measured(**changed))
        assert not comparison["comparable"]
        assert any(reason in why for why in comparison["why"])
        for row in comparison["rows"]:
            if row["ours"]:
                assert not row["comparable"]
                assert row["why"] == comparison["why"]

    def test_few_tasks_have_means_of_what_is_there(self) -> None:
        scores = column("DanQ", "auroc")[:12]
        rows = compared(ModelScores(TASKS[:12], scores, scores, scores, 100, "both"))["rows"]
        ours = [row for row in rows if row["ours"]]
        assert {row["table"] for row in ours} == {"report_test", "field"}
        assert ours[-1]["mean"]["DNase"]["auroc"] == pytest.approx(scores.mean())
        assert ours[-1]["mean"]["TF"] == {"auroc": None, "pr_auc": None}

    def test_tasks_that_cannot_be_scored_leave_no_mean(self) -> None:
        nothing = np.full(919, np.nan)
        rows = compared(measured(auroc=nothing, average_precision=nothing, pr_auc_trapezoid=nothing))["rows"]
        assert all(row["mean"]["all"]["auroc"] is None for row in rows if row["ours"] and row["table"] == "field")

    def test_it_goes_into_json(self) -> None:
        comparison = compared(measured())
        assert json.loads(json.dumps(comparison, allow_nan=False)) == comparison

    def test_arrays_of_different_length(self) -> None:
        with pytest.raises(InputError, match="arrays of 919, 919, 919, 919, 918 values"):
            measured(positives=POSITIVES[1:])

    def test_the_arrays_of_the_figure(self) -> None:
        comparison = compared(measured(windows=100, model="mine"))
        means = model_means(comparison, "mean", "auroc")
        assert means.values.shape == (len(means.models), 4)
        assert (means.models[-1], means.ours.sum(), means.comparable[-1]) == ("mine", 1, False)
        assert np.isnan(means.values[means.models.index("OTKE")]).tolist() == [False, True, True, True]
        areas = model_means(comparison, "mean", "pr_auc")
        assert areas.models[-2:] == ["mine, trapezoid from precision 0", "mine, average precision"]
        assert "BigBird" in model_means(comparison, "median", "auroc").models
        assert "BigBird" not in means.models


class TestDifferences:
    @pytest.mark.parametrize("model", MODELS)
    def test_a_model_does_not_differ_from_itself(self, model: str) -> None:
        told = task_differences(measured(model), model)
        assert len(told["tasks"]) == 918
        for group in GROUPS:
            assert told["groups"][group]["auroc"]["mean"] == 0
            assert told["groups"][group]["pr_auc"]["better"] == 0

    def test_the_area_is_taken_as_the_models_was(self) -> None:
        ours = measured(average_precision=np.full(919, 0.5), pr_auc_trapezoid=np.full(919, 0.4))
        assert task_differences(ours, "DanQ")["tasks"][0]["pr_auc"]["ours"] == 0.4
        assert task_differences(ours, "ChromDL")["tasks"][0]["pr_auc"]["ours"] == 0.5

    def test_the_movers_of_each_group(self) -> None:
        told = task_differences(measured("DanQ-JASPAR"), "DeepSEA", top=3)
        moved = column("DanQ-JASPAR", "auroc") - column("DeepSEA", "auroc")
        for group in GROUPS:
            there = np.flatnonzero(in_group(group) & ~np.isnan(moved))
            order = there[np.argsort(moved[there])]
            auroc = told["groups"][group]["auroc"]
            assert [one["task"] for one in auroc["worst"]] == [TASKS[i] for i in order[:3]]
            assert [one["task"] for one in auroc["best"]] == [TASKS[i] for i in order[:-4:-1]]
            assert auroc["tasks"] == there.size
            assert auroc["better"] == (moved[there] > 0).sum()
        assert json.dumps(told, allow_nan=False)

    @given(st.lists(st.integers(0, 918), min_size=1, max_size=20, unique=True), st.floats(-0.2, 0.2))
    def test_some_tasks_in_any_order(self, chosen: list[int], shift: float) -> None:
        scores = column("DanQ", "auroc")[chosen] + shift
        told = task_differences(ModelScores([TASKS[i] for i in chosen], scores, scores, scores, 5, "both"), "DanQ")
        scored = [i for i in sorted(chosen) if i != UNDEFINED]
        assert [one["task"] for one in told["tasks"]] == [TASKS[i] for i in scored]
        assert all(one["auroc"]["difference"] == pytest.approx(shift, abs=1e-12) for one in told["tasks"])

    def test_a_model_without_scores_of_each_task(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'DanQ'"):
            task_differences(measured(), "danq2")


class TestText:
    def test_columns_are_aligned_and_ours_is_marked(self) -> None:
        weighted = {"auroc": 0.914, "average_precision": 0.48, "pr_auc_trapezoid": None}
        text = published_text(compared(measured(weighted=weighted, model="mine")))
        tables = [block.splitlines() for block in text.split("\n\n")]
        assert len(tables) == 5
        assert max(map(len, text.splitlines())) <= 125
        for table in tables[:-1]:
            rows = [line for line in table if "0." in line]
            assert len({line.rindex("  ") for line in rows}) == 1
            assert [line for line in rows if line.startswith(">")] == rows[-2:]
        assert ">  mine                                0.9140       -  trap. 0  yes" in tables[0]

    def test_what_cannot_be_compared_has_its_reason_below(self) -> None:
        lines = published_text(compared(measured(windows=100))).splitlines()
        assert sum(line.split()[:3] == ["~", "NCNet-RbR", "[2]"] for line in lines) == 1
        assert sum(line.startswith(">~  ours [3]") for line in lines) == 6
        assert [line.split("]")[0] for line in lines[-4:]] == ["[1", "[2", "[3", "[4"]
        assert "[3] 100 windows; the test set has 227,512" in lines


class TestTheDocument:
    TEXT = (Path(__file__).parents[1] / "docs" / "reference" / "published-results.md").read_text()

    def rows(self, heading: str) -> dict[str, list[str]]:
        """The first table below a heading: the cells of each row by its first one."""
        below = self.TEXT.split(f"## {heading}")[1].split("\n## ")[0]
        lines = [line for line in below.splitlines() if line.startswith("| ")][1:]
        cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        return {first: rest for first, *rest in cells}

    @staticmethod
    def cell(value: float | None) -> str:
        return "" if value is None else f"{value:.4f}".lstrip("0")

    @pytest.mark.parametrize(("heading", "statistic"), [("Unweighted means over", "mean"), ("Medians over", "median")])
    def test_means_of_groups(self, heading: str, statistic: str) -> None:
        expected = {}
        for one in published():
            scores = getattr(one, statistic)
            line = [
                self.cell(getattr(scores.get(group), measure, None))
                for measure in ("auroc", "pr_auc")
                for group in GROUPS
            ]
            if scores:
                expected[one.model + "*" * bool(one.why_not)] = line
        assert self.rows(heading) == expected

    @pytest.mark.parametrize(
        ("heading", "name"),
        [("The 2020 report's metric", "weighted"), ("Means weighted by the test", "weighted_by_test")],
    )
    def test_weighted_means(self, heading: str, name: str) -> None:
        expected = {
            one.model + "*" * bool(one.why_not): [self.cell(score) for score in getattr(one, name)]
            for one in published()
            if getattr(one, name)
        }
        assert self.rows(heading) == expected

    def test_what_the_numbers_are(self) -> None:
        found = self.rows("What the numbers are")
        assert list(found) == [one.model for one in published()]
        for one in published():
            size = "" if one.parameters is None else f"{one.parameters / 1e6:.3g} M"
            strands = {True: "yes", False: "no", None: "?"}[one.strands_averaged]
            assert found[one.model] == [str(one.year), size, one.pr_auc_by, strands, one.source, one.certainty]

    def test_what_is_not_comparable(self) -> None:
        expected = {one.name: [one.claim, one.why, one.certainty] for one in NOT_COMPARABLE}
        assert self.rows("Not comparable") == expected
