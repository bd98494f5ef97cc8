"""Tests of interpret/choosing.py: tasks and windows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from noncoder.config import InterpretConfig
from noncoder.data.store import Store
from noncoder.errors import InputError, UnknownNameError
from noncoder.interpret.choosing import (
    NoTaskError,
    choose_tasks,
    held_out_windows,
    positive_windows,
    record_windows,
    region_windows,
    score_split,
)
from noncoder.metrics import average_precision
from noncoder.predictor import Predictor
from noncoder.sequence.encoding import N_CODE, encode
from tests.conftest import make_store, random_genome, write_fasta
from tests.evaluate.made import WINDOW, labelled_store, predictor_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return labelled_store(tmp_path_factory.mktemp("choosing") / "data.zarr")


@pytest.fixture(scope="module")
def predictor(store: Store) -> Predictor:
    return predictor_of(store, order=(3, 1, 4, 0, 2))


class TestTasks:
    def test_the_asked_for_in_their_order_once(self, predictor: Predictor) -> None:
        assert choose_tasks(predictor, ["t0", "t3", "t0"], None) == [3, 0]

    def test_the_best_are_chosen_among_those_with_enough_positives(self, predictor: Predictor, store: Store) -> None:
        scored = score_split(predictor, store, None, 64)
        indices = store.indices("test")
        labels = store.read_labels(indices)[:, [3, 1, 4, 0, 2]]
        known = store.read_known(indices)
        assert known is not None
        scores = average_precision(scored.logits, labels, known[:, [3, 1, 4, 0, 2]])
        assert np.isnan(scores[0])
        chosen = choose_tasks(predictor, (), scored)
        assert chosen == np.argsort(-np.nan_to_num(scores, nan=-1))[:3].tolist()

    def test_thirty_positives_are_enough(self, tmp_path: Path) -> None:
        labels = np.zeros((80, 2), dtype=np.uint8)
        labels[:29, 0], labels[:30, 1] = 1, 1
        genome = random_genome({"a": 80 * WINDOW})
        split = np.full(80, 2, dtype=np.uint8)
        windows = [("a", WINDOW * i) for i in range(80)]
        own = make_store(tmp_path / "s.zarr", genome, windows, labels, window=WINDOW, split=split)
        assert choose_tasks(predictor_of(own), (), score_split(predictor_of(own), own, None, 64)) == [1]

    def test_logits_that_were_computed_before_are_read(
        self, predictor: Predictor, store: Store, tmp_path: Path
    ) -> None:
        fresh = score_split(predictor, store, None, 64)
        np.save(tmp_path / "logits.npy", np.asfortranarray(fresh.logits + 1))
        assert np.array_equal(score_split(predictor, store, tmp_path / "logits.npy", 64).logits, fresh.logits + 1)

    def test_unknown_task(self, predictor: Predictor) -> None:
        with pytest.raises(UnknownNameError, match="did you mean"):
            choose_tasks(predictor, ["T01"], None)

    def test_without_a_split_tasks_have_to_be_named(self, predictor: Predictor) -> None:
        with pytest.raises(NoTaskError, match="no task was named"):
            choose_tasks(predictor, (), None)


class TestPositives:
    def test_all_of_them_where_there_are_few(self, predictor: Predictor, store: Store) -> None:
        found = positive_windows(predictor, store, 1, InterpretConfig(split="valid"))
        wanted = [row for row in store.indices("valid") if store.read_labels([row])[0, 1]]
        assert found.row.tolist() == wanted
        assert np.array_equal(found.codes, store.read_codes(wanted))
        chrom, bins = store.bins(wanted)
        assert found.chrom.tolist() == chrom.tolist()
        assert np.array_equal(found.start, bins - (store.window - store.bin) // 2)
        assert found.on_genome
        assert found.split == "valid"

    def test_the_highest_where_there_are_more(self, predictor: Predictor, store: Store) -> None:
        found = positive_windows(predictor, store, 1, InterpretConfig(windows=9))
        known = store.read_known(store.indices())
        assert known is not None
        rows = np.flatnonzero(store.read_labels(store.indices())[:, 1] & known[:, 1])
        logits = predictor.predict_store(store, rows)[:, 1]
        assert set(found.row) <= set(rows)
        assert len(found) == 9
        half = positive_windows(
            predictor, store, 1, InterpretConfig(windows=rows.size // 2)
        )  # of all, none passed over
        assert half.row.tolist() == sorted(rows[np.argsort(-logits, kind="stable")[: rows.size // 2]])
        assert "the 9 with the highest logit" in found.chosen

    def test_none(self, predictor: Predictor, store: Store) -> None:
        with pytest.raises(InputError, match="no window of the split 'test' is positive for 't3'"):
            positive_windows(predictor, store, 0, InterpretConfig(split="test"))

    def test_held_out_bins_with_labels(self, predictor: Predictor, store: Store) -> None:
        found = held_out_windows(predictor, store, 1)
        assert found is not None
        rows = np.concatenate([store.indices("valid"), store.indices("test")])
        assert found.codes.shape == (rows.size, store.bin)
        assert found.labels.sum() == store.read_labels(rows)[:, 1].sum()


class TestRegions:
    def test_windows_around_their_middles(self, store: Store, tmp_path: Path) -> None:
        bed = tmp_path / "some.bed"
        bed.write_text("a\t100\t110\rb \t0\t4\relsewhere\t5\t6\ra\t9\t9\ra\t-9\t9\rb\t3990\t4000\r")
        found = region_windows(store, bed, 10, WINDOW)
        assert found.chrom.tolist() == ["a", "b", "b"]
        assert found.start.tolist() == [105 - 20, 2 - 20, 3995 - 20]
        assert np.array_equal(found.codes[0], store.read_stretch(0, 85, WINDOW))
        assert (found.codes[1, :18] == N_CODE).all()
        assert (found.codes[1, 18:] != N_CODE).all()
        assert (found.codes[2, 25:] == N_CODE).all()
        assert any("1 of 4 regions" in note for note in found.notes)
        assert any("2 regions were left out" in note for note in found.notes)

    def test_a_middle_past_the_contig_s_last_base_is_outside(self, store: Store, tmp_path: Path) -> None:
        bed = tmp_path / "some.bed"
        bed.write_text("b\t3998\t4000\nb\t3999\t4001\n")
        assert region_windows(store, bed, 3, WINDOW).start.tolist() == [3999 - 20]

    def test_the_first_where_there_are_more(self, store: Store, tmp_path: Path) -> None:
        bed = tmp_path / "some.bed"
        bed.write_text("".join(f"a\t{100 * i}\t{100 * i + 10}\n" for i in range(8)))
        found = region_windows(store, bed, 3, WINDOW)
        assert len(found) == 3
        assert any("first 3 of 8" in note for note in found.notes)

    def test_chromosomes_of_another_genome(self, store: Store, tmp_path: Path) -> None:
        bed = tmp_path / "some.bed"
        bed.write_text("chr7\t100\t110\n")
        with pytest.raises(InputError, match="no chromosome of chr7"):
            region_windows(store, bed, 3, WINDOW)

    def test_a_store_without_coordinates(self, store: Store, tmp_path: Path) -> None:
        bed = tmp_path / "some.bed"
        bed.write_text("a\t100\t110\n")
        other = Store(store.path, store._arrays, replace(store.info, coordinates=False))
        with pytest.raises(InputError, match="genome coordinates"):
            region_windows(other, bed, 3, WINDOW)


def test_records_are_cropped_and_filled_up(tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "some.fa", {"long": "A" * 10 + "C" * 40 + "G" * 10, "short": "ACGT", "unused": "A"})
    found = record_windows(fasta, 2, WINDOW)
    assert found.chrom.tolist() == ["long", "short"]
    assert not found.on_genome
    assert np.array_equal(found.codes[0], encode("C" * 40))
    assert np.array_equal(found.codes[1], encode("N" * 18 + "ACGT" + "N" * 18))
    told = " ".join(found.notes)
    assert "cropped" in told
    assert "padded" in told
    assert "first 2 of 3" in told
