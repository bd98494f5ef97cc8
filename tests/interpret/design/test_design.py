"""Designed sequences please the task, keep to what they may do, and hold what the network was taught."""

import json

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from noncoder.config.design_config import Method
from noncoder.errors import InputError, UnknownNameError
from noncoder.interpret.design import Design, DesignConfig, Objective, Problem, design_sequences
from noncoder.interpret.design.making import _warnings
from noncoder.interpret.grammar import shuffled_backgrounds
from noncoder.sequence.encoding import N_CODE, reverse_complement
from noncoder.sequence.motifs import Motif, scan
from tests.interpret.design.trained import BIN, WINDOW, trained

METHODS: tuple[Method, ...] = ("guided", "straight-through", "gumbel", "greedy", "sampled")
FLANK = (WINDOW - BIN) // 2
CENTRE = ((WINDOW - 20) // 2, (WINDOW + 20) // 2)


def starts(n: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 4, (n, WINDOW), dtype=np.uint8)


def share_of_gc(design: Design, start: bool = False) -> NDArray[np.float64]:
    texts = design.starts if start else design.sequences
    return np.array([(text.count("G") + text.count("C")) / len(text) for text in texts])


def column(design: Design, name: str, task: str) -> NDArray[np.float64]:
    return np.array(design.logits[name])[:, design.tasks.index(task)]


@pytest.mark.parametrize("method", METHODS)
class TestMethods:
    def design(self, method: Method, **changes: object) -> Design:
        settings = {"method": method, "evaluations": 160, "change": [CENTRE], **changes}
        return design_sequences(trained().predictor, "CTCF", DesignConfig.model_validate(settings), starts=starts())

    def test_gets_better_within_its_limits(self, method: Method) -> None:
        design = self.design(method, most_edits=6)
        first, last = design.score["before"], design.score["after"]
        assert np.mean(last) > np.mean(first) + 0.5
        assert max(design.edits) <= 6
        assert design.evaluations <= 160
        best = np.array(design.history["best"])
        assert (np.diff(best, axis=0) >= 0).all()
        assert np.array_equal(best[0], first)
        assert np.array_equal(best[-1], last)
        assert np.allclose(column(design, "after", "CTCF"), last, atol=1e-4)
        assert np.allclose(column(design, "before", "CTCF"), first, atol=1e-4)

    def test_changes_what_it_may_alone(self, method: Method) -> None:
        given = starts()
        given[:, CENTRE[0] + 4] = N_CODE
        settings = DesignConfig(method=method, evaluations=160, change=(CENTRE,))
        made = design_sequences(trained().predictor, "CTCF", settings, starts=given)
        before = np.stack([["ACGTN".index(base) for base in text] for text in made.starts])
        changed = (made.codes != before).any(axis=0)
        assert not changed[: CENTRE[0]].any()
        assert not changed[CENTRE[1] :].any()
        assert (made.codes[:, CENTRE[0] + 4] == N_CODE).all()
        assert changed.any()

    def test_seed_decides_and_the_model_is_left_alone(self, method: Method) -> None:
        model = trained().predictor.model
        before = [parameter.clone() for parameter in model.parameters()]
        model.train()
        try:
            one, same = (self.design(method, evaluations=90) for _ in range(2))
            assert model.training
        finally:
            model.eval()
        assert one.sequences == same.sequences
        assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(("task", "wanted", "unwanted"), [
    ("CTCF", ["CTCF"], []), ("GATA3+SPI1", ["GATA3", "SPI1"], []), ("REST-NRF1", ["REST"], ["NRF1"]),
])  # fmt: skip
@pytest.mark.parametrize("method", ["guided", "gumbel"])
def test_designs_hold_what_was_planted(method: Method, task: str, wanted: list[str], unwanted: list[str]) -> None:
    motifs = list(trained().motifs.values())
    settings = DesignConfig(method=method, evaluations=400, sequences=4)
    made = design_sequences(trained().predictor, task, settings, windows=trained().codes, motifs=motifs)
    assert made.reference is not None
    assert min(made.reference["share_below"]) > 0.999
    assert made.reference["windows"] == len(trained().codes)
    for name in wanted:
        motif = trained().motifs[name]
        by_chance = np.quantile(best_score(shuffled_backgrounds(trained().codes, 300, 0).codes, motif), 0.99)
        assert (best_score(made.codes, motif) > by_chance).sum() >= 3, name
    assert not any(hit["motif"] in unwanted for hit in made.hits)


def best_score(codes: NDArray[np.uint8], motif: Motif) -> NDArray[np.float64]:
    """Of the motif anywhere near the bin on any strand, (n,)."""
    hits = scan(codes[:, FLANK - motif.width : WINDOW - FLANK + motif.width], motif, -1e9)
    best = np.full(len(codes), -np.inf)
    np.maximum.at(best, hits.sequence, hits.score)
    return best


def test_two_tasks() -> None:
    few = {"evaluations": 200, "sequences": 3}
    alone = design_sequences(trained().predictor, "GATA3+SPI1", DesignConfig.model_validate(few))
    contrast, hold = (
        design_sequences(
            trained().predictor, "GATA3+SPI1", DesignConfig.model_validate({**few, "mode": mode, "weight": 2}), "CTCF"
        )
        for mode in ("contrast", "hold")
    )
    assert column(contrast, "after", "CTCF").mean() < column(alone, "after", "CTCF").mean() - 1
    moved = np.abs(column(hold, "after", "CTCF") - column(hold, "before", "CTCF"))
    assert moved.max() < 0.5
    for made in (contrast, hold):
        assert (column(made, "after", "GATA3+SPI1") > column(made, "before", "GATA3+SPI1") + 3).all()
    expected = column(contrast, "after", "GATA3+SPI1") - 2 * column(contrast, "after", "CTCF")
    assert np.allclose(contrast.score["after"], expected, atol=1e-3)


@pytest.mark.parametrize("method", ["guided", "straight-through"])
def test_regularisers_cost_and_hold_back(method: Method) -> None:
    plain, dear, kept = (
        design_sequences(
            trained().predictor,
            "CTCF",
            DesignConfig.model_validate({"method": method, "evaluations": 150, **weight}),
            starts=starts(),
        )
        for weight in ({}, {"edit_weight": 0.5}, {"gc_weight": 2.0})
    )
    assert max(dear.edits) < min(plain.edits)
    assert np.allclose(dear.score["after"], column(dear, "after", "CTCF") - 0.5 * np.array(dear.edits), atol=1e-3)
    drift, held = (np.abs(share_of_gc(made) - share_of_gc(made, start=True)) for made in (plain, kept))
    assert held.max() <= 0.02 < drift.max()


def test_both_strands_cost_twice_and_are_the_mean_of_their_probabilities() -> None:
    settings = DesignConfig(strands="both", evaluations=100, sequences=2)
    made = design_sequences(trained().predictor, "CTCF", settings)
    forward, reverse = column(made, "after", "CTCF"), np.array(made.reverse_logits)[:, 0]
    both = trained().predictor.predict_logits(made.codes)[:, made.tasks.index("CTCF")]
    assert np.allclose(made.score["after"], both, atol=1e-3)
    assert np.abs(both - (forward + reverse) / 2).max() > 0.1, "the mean of the logits would be the same here"
    other = trained().predictor.predict_logits(reverse_complement(made.codes), "forward")
    assert np.allclose(made.reverse_logits, other, atol=1e-4)
    assert made.evaluations <= 100


def test_one_sided_designs_are_pointed_out() -> None:
    made = design_sequences(trained().predictor, "CTCF", DesignConfig(evaluations=100, sequences=2))
    assert made.warnings == []
    before, after, other = (np.array(values, dtype=np.float32)[:, None] for values in ([0, 0], [6, 6], [5, 1]))
    assert "1 of 2 sequences" in _warnings({"before": before, "after": after}, other, 0)[0]


def test_best_come_first_and_json_holds_all() -> None:
    made = design_sequences(
        trained().predictor, "CTCF", DesignConfig(evaluations=60, sequences=4), motifs=[trained().motifs["CTCF"]]
    )
    assert made.score["after"] == sorted(made.score["after"], reverse=True)
    written = json.dumps(made.to_dict(), allow_nan=False)
    assert Design.from_dict(json.loads(written)) == made
    assert made.summary()["sequences"] == 4
    with pytest.raises(InputError, match="format 7"):
        Design.from_dict({"format": 7})
    with pytest.raises(InputError, match="against is missing"):
        Design.from_dict({"format": 1, "task": "CTCF"})


def test_too_many_edits_go_back_least_worth_first() -> None:
    codes = torch.zeros((1, WINDOW), dtype=torch.uint8)
    problem = Problem(
        trained().predictor.model, Objective(0), codes, torch.ones_like(codes, dtype=torch.bool), 2, 10, 8,
        torch.Generator(),
    )  # fmt: skip
    edited = codes.clone()
    edited[0, [3, 5, 9, 11]] = 2
    worth = torch.arange(WINDOW, dtype=torch.float)[None]
    assert problem.trim(edited, problem.rows, worth).nonzero()[:, 1].tolist() == [9, 11]


def test_bad_input() -> None:
    predictor = trained().predictor
    with pytest.raises(UnknownNameError, match="did you mean 'CTCF'"):
        design_sequences(predictor, "CTFC")
    with pytest.raises(UnknownNameError, match="NOPE"):
        design_sequences(predictor, "CTCF", against="NOPE")
    with pytest.raises(InputError, match=f"codes \\(R, {WINDOW}\\)"):
        design_sequences(predictor, "CTCF", starts=starts()[:, 1:])
    with pytest.raises(InputError, match="inside the window"):
        design_sequences(predictor, "CTCF", DesignConfig(change=((5, WINDOW + 1),)))
    with pytest.raises(InputError, match="N wherever it may change"):
        design_sequences(predictor, "CTCF", starts=np.full((2, WINDOW), N_CODE, dtype=np.uint8))
