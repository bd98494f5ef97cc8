"""Mutagenesis of every model, compared with sequences mutated and predicted one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.interpret.mutagenesis import Mutations, Strategy, families, incremental, mutate
from noncoder.interpret.mutagenesis.trunk import Trunk
from noncoder.models import SequenceModel, list_models
from tests.interpret.mutagenesis.reference import TASKS, effects_of, random_codes, small_model

WINDOW = 163
RECURRENT = ("chromdl", "ncnet-rbr")


def close(ours: NDArray[np.float32] | None, plain: NDArray[np.float64], most: float = 2e-7) -> None:
    """Effects are stored as float32; the reference is float64."""
    assert ours is not None
    np.testing.assert_allclose(ours, plain, rtol=0, atol=most * max(1, np.abs(plain).max()))


@pytest.mark.parametrize("name", list_models())
def test_effects_equal_those_of_sequences_mutated_one_by_one(name: str) -> None:
    model, codes = small_model(name, WINDOW), random_codes(1, WINDOW)
    substitutions, deletions, insertions = effects_of(model, codes)
    assert np.abs(substitutions).max() > 1e-4  # effects of zero would pass every comparison
    strategies: tuple[Strategy, ...] = ("auto", "brute")
    for strategy in strategies:
        found = mutate(model, codes, deletions=True, insertions=True, strategy=strategy)
        close(found.substitutions, substitutions)
        close(found.deletions, deletions)
        close(found.insertions, insertions)
        incremental = strategy == "auto" and name not in RECURRENT
        assert found.strategy.startswith("incremental" if incremental else "brute force")
        if not incremental and strategy == "auto":
            break  # "auto" was brute force already


@pytest.mark.parametrize("window", [163, 165, 170, 171, 186, 191])
def test_windows_that_no_stride_divides(window: int) -> None:
    for name in ("deepsea", "compact", "ncnet-brr"):
        model, codes = small_model(name, window), random_codes(1, window, unknown=False)
        plain = mutate(model, codes, deletions=True, insertions=True, strategy="brute")
        ours = mutate(model, codes, deletions=True, insertions=True, strategy="incremental")
        same(ours, plain)


def same(ours: Mutations, plain: Mutations) -> None:
    for mine, theirs in (
        (ours.substitutions, plain.substitutions),
        (ours.deletions, plain.deletions),
        (ours.insertions, plain.insertions),
        (ours.reference, plain.reference),
    ):
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=2e-7 * max(1.0, float(np.nanmax(np.abs(theirs)))))


@pytest.mark.parametrize("strategy", ["incremental", "brute"])
def test_regions_tasks_and_batches_select_from_all_effects(strategy: Strategy, monkeypatch: pytest.MonkeyPatch) -> None:
    model, codes = small_model("danq", WINDOW), random_codes(3, WINDOW)
    whole = mutate(model, codes, deletions=True, insertions=True, strategy=strategy)
    monkeypatch.setattr(incremental, "_BYTES", 20_000)
    part = mutate(model, codes, [3, 1, 3], True, True, strategy, region=(37, 60), batch_size=7)
    assert part.tasks == (3, 1, 3)
    assert part.region == (37, 60)
    np.testing.assert_allclose(part.reference, whole.reference[:, [3, 1, 3]], atol=1e-6)
    assert whole.deletions is not None
    assert whole.insertions is not None
    assert part.deletions is not None
    assert part.insertions is not None
    for mine, all_of_it in (
        (part.substitutions, whole.substitutions),
        (part.insertions, whole.insertions),
        (part.deletions[:, None], whole.deletions[:, None]),
    ):
        np.testing.assert_allclose(mine[:, :, 37:60], all_of_it[:, :, 37:60, [3, 1, 3]], atol=1e-6)
        assert np.isnan(mine[:, :, :37]).all()
        assert np.isnan(mine[:, :, 60:]).all()


def test_the_present_base_has_no_effect_and_all_four_bases_replace_an_n() -> None:
    codes = random_codes(1, WINDOW)
    found = mutate(small_model("compact", WINDOW), codes)
    known = np.flatnonzero(codes[0] < 4)
    assert (found.substitutions[0, codes[0, known], known] == 0).all()
    assert (found.substitutions[0, :, codes[0] == 4] != 0).all()


def test_hypothetical_is_centred_and_importance_is_the_mean_of_the_others() -> None:
    codes = random_codes(2, WINDOW)
    found = mutate(small_model("deepsea", WINDOW), codes, [0, 2])
    assert found.hypothetical.shape == (2, 4, WINDOW, 2)
    np.testing.assert_allclose(found.hypothetical.mean(axis=1), 0, atol=1e-7)
    assert found.importance.shape == (2, WINDOW, 2)
    known = np.flatnonzero(codes[0] < 4)
    for at in known[:9]:
        others = [base for base in range(4) if base != codes[0, at]]
        np.testing.assert_allclose(found.importance[0, at], -found.substitutions[0, others, at].mean(axis=0), atol=1e-7)
    assert known.size < WINDOW
    assert (found.importance[codes == 4] == 0).all()
    part = mutate(small_model("deepsea", WINDOW), codes, [0], region=(5, 9)).importance
    np.testing.assert_array_equal(part[:, 5:9, 0], found.importance[:, 5:9, 0])
    assert np.isnan(part[:, 9:]).all()


def test_float32_is_within_a_hundred_thousandth_of_brute_force() -> None:
    for name in ("deepsea", "compact", "danq", "wideresnet-txl"):
        model, codes = small_model(name, 400).float(), random_codes(1, 400)
        plain, ours = mutate(model, codes, strategy="brute"), mutate(model, codes, strategy="incremental")
        assert np.abs(plain.substitutions - ours.substitutions).max() < 1e-5
        assert np.abs(plain.substitutions).max() > 1e-3


def test_the_model_is_unchanged() -> None:
    model, codes = small_model("compact", WINDOW), random_codes(1, WINDOW)
    model.train()
    model.get_submodule("blocks").eval()
    before = {name: part.training for name, part in model.named_modules()}
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    mutate(model, codes, region=(10, 12))
    with pytest.raises(InputError):
        mutate(model, codes[:, :-1])
    assert {name: part.training for name, part in model.named_modules()} == before
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    assert not model._forward_hooks
    assert torch.is_grad_enabled()


def test_dropout_and_batch_statistics_have_no_effect() -> None:
    model, codes = small_model("deepsea", WINDOW), random_codes(1, WINDOW)
    evaluated = mutate(model, codes, region=(80, 84)).substitutions
    np.testing.assert_array_equal(mutate(model.train(), codes, region=(80, 84)).substitutions, evaluated)


def test_a_wrong_description_falls_back_to_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: SequenceModel) -> Trunk:
        trunk = families._compact(model)  # type: ignore[arg-type]
        del trunk.nodes[-1], trunk.strides[-1]
        return trunk

    model, codes = small_model("compact", WINDOW), random_codes(1, WINDOW)
    monkeypatch.setitem(families._FAMILIES, type(model), wrong)
    with pytest.warns(UserWarning, match="falls back to brute force"):
        found = mutate(model, codes)
    assert "differed by" in found.strategy
    close(found.substitutions, effects_of(model, codes)[0])


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_first_layers_need_brute_force(name: str) -> None:
    model, codes = small_model(name, WINDOW), random_codes(1, WINDOW)
    assert mutate(model, codes, region=(0, 1)).strategy.startswith("brute force: ")
    with pytest.raises(InputError, match="brute"):
        mutate(model, codes, strategy="incremental")


def test_no_sequences_give_no_effects() -> None:
    found = mutate(small_model("danq", WINDOW), np.empty((0, WINDOW), dtype=np.uint8), deletions=True)
    assert found.substitutions.shape == (0, 4, WINDOW, TASKS)
    assert found.deletions is not None
    assert found.deletions.shape == (0, WINDOW, TASKS)


def test_wrong_input_is_refused() -> None:
    model, codes = small_model("danq", WINDOW), random_codes(1, WINDOW)
    with pytest.raises(InputError, match="shape"):
        mutate(model, codes[0])
    with pytest.raises(InputError, match="0 to 4"):
        mutate(model, codes + 1)
    with pytest.raises(InputError, match="task 5"):
        mutate(model, codes, [0, 5])
    with pytest.raises(InputError, match="no task"):
        mutate(model, codes, [])
    with pytest.raises(InputError, match="region"):
        mutate(model, codes, region=(10, 10))
    with pytest.raises(InputError, match="batches"):
        mutate(model, codes, batch_size=0)
    with pytest.raises(InputError, match="strategy"):
        mutate(model, codes, strategy="fast")  # type: ignore[arg-type]
