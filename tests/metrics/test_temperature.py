from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from noncoder.errors import InputError
from noncoder.metrics import Columns, Tile, auroc
from noncoder.metrics.temperature import (
    HIGHEST,
    LOWEST,
    Temperatures,
    calibrate,
    check_temperatures,
    fit_temperatures,
)

Floats = NDArray[np.floating]


def simulate(temperatures: list[float], n: int = 3_000, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Logits of which the labels are drawn after they were divided by a temperature; positives are rare."""
    rng = np.random.default_rng(seed)
    true = rng.normal(-1.5, 2.0, (n, len(temperatures)))
    return (true * temperatures).astype(np.float32), (rng.random(true.shape) < expit(true)).astype(np.uint8)


def loss(logits: Floats, labels: NDArray[np.uint8], temperature: Floats | float = 1.0) -> NDArray[np.float64]:
    """The mean log loss a task."""
    scaled = logits.astype(np.float64) / temperature
    each: NDArray[np.float64] = np.logaddexp(0, np.where(labels == 1, -scaled, scaled)).mean(axis=0)
    return each


def search(logits: Floats, labels: NDArray[np.uint8]) -> float:
    found = minimize_scalar(
        lambda inverse: float(loss(logits.ravel(), labels.ravel(), 1 / inverse)),
        bounds=(1 / HIGHEST, 1 / LOWEST), method="bounded", options={"xatol": 1e-12},
    )  # fmt: skip
    return float(1 / found.x)


def test_each_task_has_the_temperature_that_a_search_finds() -> None:
    logits, labels = simulate([0.3, 0.8, 1.0, 2.5, 9.0])
    found = fit_temperatures(Columns(logits, labels))
    assert found.own.all()
    # A search by values alone knows the place of a minimum to half of the digits.
    expected = [search(logits[:, task], labels[:, task]) for task in range(5)]
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)
    assert found.shared == pytest.approx(search(logits, labels), rel=1e-6)
    assert (loss(logits, labels, found.values) <= loss(logits, labels)).all()


def test_the_temperature_of_a_simulation_is_recovered() -> None:
    truth = [0.25, 1.0, 3.0]
    found = fit_temperatures(Columns(*simulate(truth, n=100_000)))
    np.testing.assert_allclose(found.values, truth, rtol=0.03)


def test_all_labels_are_passed_over_a_few_times_only() -> None:
    logits, labels = simulate([0.3, 0.8, 1.0, 2.5])
    passes = 0

    class Counted(Columns):
        def tiles(self, at_a_time: int = 32) -> Iterator[Tile]:
            nonlocal passes
            passes += 1
            return super().tiles(at_a_time)

    fit_temperatures(Counted(logits, labels))
    assert passes <= 7


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1_000), factor=st.floats(0.2, 5), n=st.integers(40, 300))
def test_laws(seed: int, factor: float, n: int) -> None:
    logits, labels = simulate([1.0, 1.5], n, seed)
    found = fit_temperatures(Columns(logits.astype(np.float64), labels), min_positives=1)
    # Nothing is lost by calibration of the labels that it was fitted on.
    own = found.own
    assert (loss(logits, labels, found.values)[own] <= loss(logits, labels)[own] + 1e-12).all()
    assert loss(logits, labels, found.shared).sum() <= loss(logits, labels).sum() + 1e-12
    # Logits times a factor have temperatures times that factor, where bounds are far.
    scaled = fit_temperatures(Columns(logits.astype(np.float64) * factor, labels), min_positives=1)
    far = (found.values > 5.1 * LOWEST) & (found.values < HIGHEST / 5.1)
    np.testing.assert_allclose(scaled.values[far], found.values[far] * factor, rtol=1e-7)


def test_a_task_of_few_positives_takes_the_temperature_of_all() -> None:
    logits, labels = simulate([2.0, 0.5, 0.5, 0.7])
    labels[:, 1], labels[:, 2] = 0, 1
    labels[29:, 3] = 0
    labels[:29, 3] = 1
    found = fit_temperatures(Columns(logits, labels))
    assert found.own.tolist() == [True, False, False, False]
    assert found.values[1:].tolist() == [found.shared] * 3
    assert found.shared == pytest.approx(search(logits, labels), rel=1e-6)
    assert fit_temperatures(Columns(logits, labels), min_positives=29).own.tolist() == [True, False, False, True]


def test_labels_that_say_nothing_leave_logits_as_they_are() -> None:
    logits, labels = simulate([2.0, 0.5], 50)
    nothing = Temperatures(np.ones(2), np.zeros(2, dtype=bool), 1.0)
    for one in (np.zeros_like(labels), np.ones_like(labels)):
        found = fit_temperatures(Columns(logits, one), min_positives=0)
        np.testing.assert_array_equal(found.values, nothing.values)
        assert not found.own.any()
        assert found.shared == 1
    empty = fit_temperatures(Columns(logits[:0], labels[:0]))
    assert (empty.values.tolist(), empty.shared) == ([1, 1], 1)
    assert fit_temperatures(Columns(np.zeros((60, 1)), np.arange(60)[:, None] % 2)).values.tolist() == [1]


def test_separated_and_reversed_tasks_end_at_the_bounds() -> None:
    labels = (np.arange(200)[:, None] % 4 == 0).astype(np.uint8)
    right = (labels * 2.0 - 1) * np.linspace(0.5, 3, 200)[:, None]
    found = fit_temperatures(Columns(np.hstack([right, -right]), np.hstack([labels, labels])))
    assert found.values.tolist() == [LOWEST, HIGHEST]
    huge = fit_temperatures(Columns((right * 1e37).astype(np.float32), labels))
    assert LOWEST <= huge.values[0] <= HIGHEST
    assert fit_temperatures(Columns(right, labels)).shared == LOWEST


def test_unknown_labels_do_not_count(tmp_path: Path) -> None:
    logits, labels = simulate([0.5, 2.0, 1.0], 1_500)
    known = np.random.default_rng(1).random(labels.shape) < 0.6
    known[:, 2] = False
    found = fit_temperatures(Columns(logits, np.where(known, labels, 7), known))
    for task in range(2):
        kept = known[:, task, None]
        alone = fit_temperatures(Columns(logits[:, [task]][kept][:, None], labels[:, [task]][kept][:, None]))
        assert found.values[task] == alone.values[0]
    assert found.own.tolist() == [True, True, False]
    assert found.shared == pytest.approx(search(logits[known], labels[known]), rel=1e-6)


def test_scores_on_disk_give_the_same_as_in_memory(tmp_path: Path) -> None:
    logits, labels = simulate(np.linspace(0.4, 3, 70).tolist(), 400)
    np.save(tmp_path / "logits.npy", np.asfortranarray(logits))
    from_disk, in_memory = (fit_temperatures(Columns(given, labels)) for given in (tmp_path / "logits.npy", logits))
    np.testing.assert_array_equal(from_disk.values, in_memory.values)
    assert from_disk.shared == in_memory.shared


def test_calibrated_logits_rank_as_before_and_want_no_temperature() -> None:
    logits, labels = simulate(np.linspace(0.4, 3, 40).tolist(), 300)
    calibrated = calibrate(logits, fit_temperatures(Columns(logits, labels)).values)
    assert calibrated.dtype == np.float32
    np.testing.assert_allclose(auroc(calibrated, labels), auroc(logits, labels), atol=1e-6)
    np.testing.assert_allclose(fit_temperatures(Columns(calibrated, labels)).values, 1, rtol=1e-5)


def test_temperatures_that_cannot_be_are_told() -> None:
    with pytest.raises(InputError, match=r"shape \(2,\)"):
        calibrate(np.zeros((4, 3)), [1.0, 2.0])
    with pytest.raises(InputError, match=r"temperature -1\.0"):
        check_temperatures(np.array([1.0, -1.0]), 2)
    with pytest.raises(InputError, match="temperature nan"):
        calibrate(np.zeros((4, 1)), [np.nan])
