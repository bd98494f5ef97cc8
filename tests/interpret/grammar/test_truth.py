"""What a trained network was taught is what its grammar shows."""

import numpy as np
import pytest

from noncoder.data.simulate import MAX_GAP
from noncoder.interpret.grammar import Backgrounds, marginalize, scan_positions, scan_spacing, shuffled_backgrounds
from tests.interpret.design.trained import BIN, WINDOW, trained

SINGLE, PAIR, WITHOUT = 0, 1, 2


@pytest.fixture(scope="module")
def plain() -> Backgrounds:
    return shuffled_backgrounds(trained().codes, 40, seed=0, avoid=list(trained().motifs.values()))


def test_a_motif_drives_its_own_tasks(plain: Backgrounds) -> None:
    drives = {"CTCF": SINGLE, "GATA3": PAIR, "SPI1": PAIR, "REST": WITHOUT}
    for name, task in drives.items():
        found = marginalize(trained().predictor.model, plain, trained().motifs[name], [SINGLE, PAIR, WITHOUT])
        summary = found.effects.summary()
        assert summary.mean[0].argmax() == task
        assert summary.low[0, task] > 1


def test_a_veto_lowers_what_the_motif_raises(plain: Backgrounds) -> None:
    motifs, model = trained().motifs, trained().predictor.model
    veto = marginalize(model, plain, motifs["NRF1"], [WITHOUT]).effects.summary()
    assert veto.high[0, 0] < -1
    both = scan_spacing(model, plain, (motifs["REST"], motifs["NRF1"]), [WITHOUT], [20, 40])
    assert (both.interaction.summary().high < 0).all()


def test_a_pair_falls_beyond_its_longest_gap(plain: Backgrounds) -> None:
    motifs = trained().motifs
    near, far = (0, 10, 20), (2 * MAX_GAP, 2 * MAX_GAP + 10)
    found = scan_spacing(
        trained().predictor.model, plain, (motifs["GATA3"], motifs["SPI1"]), [PAIR], [*near, *far]
    ).interaction.summary()
    assert found.low[:, : len(near)].min() > found.high[:, len(near) :].max()


def test_only_the_bin_decides(plain: Backgrounds) -> None:
    motif = trained().motifs["CTCF"]
    found = scan_positions(trained().predictor.model, plain, motif, [SINGLE], step=10)
    middles, mean = np.array(found.starts) + motif.width / 2, found.effects.summary().mean[:, 0]
    away = np.abs(middles - WINDOW / 2) - BIN / 2
    assert mean[away < -motif.width].min() > 5 * np.abs(mean[away > 3 * motif.width]).max()
