"""Proper scores and calibration against the plain way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from numpy.typing import NDArray

from noncoder.errors import InputError
from noncoder.metrics import Columns, PackedBits, calibrate_columns, calibration
from noncoder.metrics.probabilities import ECE_BINS
from tests.metrics.cases import LAW, Drawn, cases


def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-np.logaddexp(0, -z))


class TestCalibration:
    @LAW
    @given(cases())
    def test_against_the_definitions(self, drawn: Drawn) -> None:
        logits, labels, known = drawn
        found = calibration(*drawn)
        for task in range(logits.shape[1]):
            z, y = logits[known[:, task], task].astype(np.float64), labels[known[:, task], task].astype(float)
            assert found.known[task] == y.size
            if not y.size:
                assert all(np.isnan(part[task]) for part in (found.log_loss, found.brier, found.ece, found.accuracy))
                continue
            p = sigmoid(z)
            assert found.log_loss[task] == pytest.approx(np.mean(np.logaddexp(0, z) - y * z), abs=1e-12)
            assert found.brier[task] == pytest.approx(np.mean((p - y) ** 2), abs=1e-12)
            assert found.accuracy[task] == pytest.approx(np.mean((z > 0) == (y == 1)), abs=1e-12)
            bins = np.minimum((p * ECE_BINS).astype(int), ECE_BINS - 1)
            gaps = [abs(p[bins == b].mean() - y[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
            assert found.ece[task] == pytest.approx(sum(gaps), abs=1e-12)

    @LAW
    @given(cases())
    def test_the_mean_over_labels_is_the_loss_of_training(self, drawn: Drawn) -> None:
        logits, labels, known = (torch.from_numpy(part) for part in drawn)
        found = calibration(*drawn).mean_log_loss
        if not known.any():
            assert np.isnan(found)
            return
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits.double(), labels.double(), known.double(), reduction="sum"
        )
        assert found == pytest.approx(float(loss / known.sum()), abs=1e-12)

    @LAW
    @given(cases())
    def test_the_bins_hold_every_window_once(self, drawn: Drawn) -> None:
        found = calibration(*drawn)
        assert np.array_equal(found.reliability.windows.sum(axis=1), found.known)
        positives = np.nansum(found.reliability.observed * found.reliability.windows, axis=1)
        assert positives == pytest.approx((drawn[1].astype(bool) & drawn[2]).sum(axis=0), abs=1e-9)
        empty = found.reliability.windows == 0
        assert np.array_equal(np.isnan(found.reliability.predicted), empty)
        assert np.array_equal(np.isnan(found.reliability.observed), empty)

    def test_true_probabilities_lie_on_the_diagonal(self) -> None:
        rng = np.random.default_rng(0)
        z = rng.normal(-3, 2, (200_000, 1))
        found = calibration(z, rng.random(z.shape) < sigmoid(z))
        count = found.reliability.windows[0]
        predicted, observed = found.reliability.predicted[0], found.reliability.observed[0]
        many = count > 200
        error = np.sqrt(predicted[many] * (1 - predicted[many]) / count[many])
        assert many.sum() > 12
        assert (np.abs(observed[many] - predicted[many]) < 4 * error).all()
        assert found.ece[0] < 0.003
        assert calibration(3 * z, rng.random(z.shape) < sigmoid(z)).ece[0] > 0.02

    def test_temperatures_divide_the_logits(self) -> None:
        rng = np.random.default_rng(1)
        z, y = rng.normal(size=(500, 3)), rng.random((500, 3)) < 0.2
        hot = calibration(z, y, temperatures=[2.0, 0.5, 1.0])
        for one, other in zip(hot[:4], calibration(z / [2.0, 0.5, 1.0], y)[:4], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-12)

    @pytest.mark.parametrize("wrong", [[1.0, 2.0], [1.0, 2.0, 0.0], [1.0, 2.0, np.nan]])
    def test_temperatures_that_cannot_be(self, wrong: list[float]) -> None:
        with pytest.raises(InputError, match="temperature"):
            calibration(np.zeros((4, 3)), np.zeros((4, 3)), temperatures=wrong)

    def test_many_sure_windows_lose_no_digits(self) -> None:
        z = np.full((100_000, 1), 1e-3)
        assert calibration(z, np.ones_like(z)).log_loss[0] == pytest.approx(np.log1p(np.exp(-1e-3)), abs=1e-13)

    def test_from_packed_bits_on_disk(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(2)
        z, y = rng.normal(size=(70, 5)).astype(np.float32), rng.random((70, 5)) < 0.2
        path = tmp_path / "z.npy"
        np.save(path, np.asfortranarray(z))
        found = calibrate_columns(Columns(path, PackedBits(np.packbits(y[:, ::-1], axis=1), [4, 3, 2, 1, 0])))
        np.testing.assert_array_equal(found.log_loss, calibration(z, y).log_loss)
