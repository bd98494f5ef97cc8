from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from noncoder.config import SimulateConfig
from noncoder.data import planting, simulate
from noncoder.data.simulate import (
    MAX_GAP,
    MOTIF_IDS,
    list_rules,
    motifs_path,
    read_truth,
    simulate_store,
    truth_path,
)
from noncoder.data.store import Store, open_store
from noncoder.data.tasks import Task
from noncoder.data.writer import StoreWriter
from noncoder.errors import ConfigError, InputError, StoreError
from noncoder.sequence.encoding import reverse_complement
from noncoder.sequence.genome import Genome
from noncoder.sequence.motifs import Motif, load_jaspar, read_meme, scan

CONFIG = SimulateConfig(windows=1500, tasks=18, label_noise=0, seed=3)
SMALL = SimulateConfig(windows=40, tasks=6, chromosomes=4, seed=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return simulate_store(CONFIG, tmp_path_factory.mktemp("simulated") / "demo.zarr")


@pytest.fixture(scope="module")
def truth(store: Store) -> pl.DataFrame:
    return read_truth(store.path)


@pytest.fixture(scope="module")
def motifs() -> dict[str, Motif]:
    return {motif.name: motif for motif in load_jaspar(MOTIF_IDS)}


def bin_codes(store: Store) -> NDArray[np.uint8]:
    flank = (store.window - store.bin) // 2
    return store.read_codes(store.indices())[:, flank : flank + store.bin]


def holds(name: str, kind: str, sites: list[dict[str, Any]]) -> bool:
    present = {site["motif"] for site in sites}
    if kind == "single":
        return name in present
    if kind == "without":
        motif, veto = name.split("-")
        return motif in present and veto not in present
    first, second = name.split("+")
    return any(
        0 <= max(one["start"], two["start"]) - min(one["end"], two["end"]) <= MAX_GAP
        for one in sites
        for two in sites
        if (one["motif"], two["motif"]) == (first, second)
    )


def naive_labels(tasks: Sequence[Task], truth: pl.DataFrame, n: int) -> NDArray[np.uint8]:
    by_bin: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for site in truth.iter_rows(named=True):
        by_bin[site["bin"]].append(site)
    return np.array([[holds(task.name, task.group, by_bin[row]) for task in tasks] for row in range(n)], np.uint8)


class TestRules:
    def test_the_kinds_take_turns(self) -> None:
        rules = list_rules(18)
        assert [rule.kind for rule in rules] == ["single", "pair", "without"] * 6
        used = [part for rule in rules[:12] for part in rule.parts if part >= 0]
        assert sorted(used) == list(range(len(MOTIF_IDS))), "the first four turns use each motif once"

    def test_every_rule_once(self, motifs: dict[str, Motif]) -> None:
        n = len(MOTIF_IDS)
        rules = list_rules(n + n * (n - 1) // 2 + n * (n - 1))
        assert len({rule.task(list(motifs.values())).name for rule in rules}) == len(rules)
        assert len({frozenset(rule.parts) for rule in rules if rule.kind == "pair"}) == n * (n - 1) // 2
        assert all(rule.motif != rule.other for rule in rules)

    def test_no_more_than_there_are(self) -> None:
        with pytest.raises(ConfigError, match="at most 590"):
            list_rules(591)

    def test_the_motifs_are_rich_and_have_names_of_their_own(self, motifs: dict[str, Motif]) -> None:
        assert len(motifs) == len(MOTIF_IDS)
        assert all(motif.total_information > 13.5 for motif in motifs.values())
        assert not any(mark in name for name in motifs for mark in "+-")


class TestStore:
    def test_says_what_it_is(self, store: Store) -> None:
        store.check()
        assert (store.window, store.bin, len(store)) == (1000, 200, 1500)
        assert [(task.name, task.group) for task in store.tasks[:3]] == [
            ("CTCF", "single"), ("GATA3+SPI1", "pair"), ("REST-NRF1", "without"),
        ]  # fmt: skip
        assert (store.info.label_rule, store.info.genome) == ("planted", "simulated-3")
        assert store.info.dropped == ()
        assert [source["name"] for source in store.info.sources] == ["planted sites"]

    @pytest.mark.parametrize(("windows", "chromosomes"), [(10, 10), (23, 3)])
    def test_splits(self, tmp_path: Path, windows: int, chromosomes: int) -> None:
        config = CONFIG.model_copy(update={"windows": windows, "chromosomes": chromosomes, "tasks": 3})
        store = simulate_store(config, tmp_path / "demo.zarr")
        names, _, lengths = store.contigs
        assert list(names) == [f"sim{i + 1}" for i in range(chromosomes)]
        assert lengths.sum() == windows * 200
        assert lengths.max() - lengths.min() <= 200
        for split, expected in (("test", {names[-1]}), ("valid", {names[-2]}), ("train", set(names[:-2]))):
            chroms, _ = store.bins(store.indices(split))
            assert set(chroms) == expected

    def test_bins_tile_the_chromosomes(self, store: Store) -> None:
        chroms, starts = store.bins(store.indices())
        for name, length in zip(store.contigs[0], store.contigs[2], strict=True):
            assert starts[chroms == name].tolist() == list(range(0, length, 200))

    def test_flanks_past_the_ends_are_unknown(self, store: Store) -> None:
        first = store.read_codes([0])[0]
        assert (first[:400] == 4).all()
        assert (first[400:] < 4).all()

    def test_positives_are_near_the_rate(self, store: Store) -> None:
        share = store.positives() / len(store)
        assert (share > 0.06).all()
        assert (share < 0.25).all()

    def test_gc_drifts_between_its_bounds(self, tmp_path: Path) -> None:
        config = SimulateConfig(windows=1200, tasks=1, chromosomes=3, positive_rate=1e-9, gc=(0.2, 0.8))
        codes = bin_codes(simulate_store(config, tmp_path / "demo.zarr"))
        gc = np.isin(codes, (1, 2)).mean(axis=1)
        smooth = gc.reshape(-1, 10).mean(axis=1)
        assert 0.15 < smooth.min() < 0.3
        assert 0.7 < smooth.max() < 0.85
        assert np.abs(np.diff(smooth[:40])).mean() < 0.1
        assert np.bincount(codes.ravel(), minlength=5)[4] == 0


class TestTruth:
    def test_columns(self, truth: pl.DataFrame) -> None:
        assert truth.columns == ["chrom", "start", "end", "strand", "motif", "motif_id", "role", "task", "bin"]
        assert set(truth["role"]) == {"rule", "decoy"}
        assert set(truth["strand"]) == {"+", "-"}

    def test_sites_lie_within_their_bins_and_overlap_nowhere(self, store: Store, truth: pl.DataFrame) -> None:
        chroms, starts = store.bins(truth["bin"].to_numpy())
        assert (truth["chrom"].to_numpy() == chroms).all()
        assert (truth["start"].to_numpy() >= starts).all()
        assert (truth["end"].to_numpy() <= starts + store.bin).all()
        same = truth["chrom"][1:] == truth["chrom"][:-1]
        assert (truth["start"][1:] >= truth["end"][:-1]).filter(same).all()

    def test_the_genome_spells_the_motifs_there(
        self, store: Store, truth: pl.DataFrame, motifs: dict[str, Motif]
    ) -> None:
        codes = bin_codes(store)
        _, starts = store.bins(truth["bin"].to_numpy())
        sites = truth.with_columns(within=truth["start"] - pl.Series(starts))
        for (name,), group in sites.group_by("motif"):
            motif = motifs[str(name)]
            assert set(group["motif_id"]) == {motif.id}
            assert (group["end"] - group["start"] == motif.width).all()
            at = group["within"].to_numpy()[:, None] + np.arange(motif.width)
            text = codes[group["bin"].to_numpy()[:, None], at]
            reverse = (group["strand"] == "-").to_numpy()
            text[reverse] = reverse_complement(text[reverse])
            shares = np.stack([(text == base).mean(axis=0) for base in range(4)])
            assert not shares[motif.ppm == 0].any()
            np.testing.assert_allclose(shares, motif.ppm, atol=6 * 0.5 / len(text) ** 0.5)

    def test_labels_follow_the_rules(self, store: Store, truth: pl.DataFrame) -> None:
        np.testing.assert_array_equal(store.read_labels(store.indices()), naive_labels(store.tasks, truth, len(store)))

    def test_each_rule_is_planted_in_its_share_of_the_bins(self, store: Store, truth: pl.DataFrame) -> None:
        whole = truth.filter(pl.col("role") == "rule")
        for task in store.tasks:
            sites = whole.filter(pl.col("task") == task.name)
            assert sites["bin"].n_unique() / len(store) == pytest.approx(CONFIG.positive_rate, abs=0.005)
            assert len(sites) == sites["bin"].n_unique() * (2 if task.group == "pair" else 1)

    def test_decoys_are_parts_without_the_whole(self, store: Store, truth: pl.DataFrame) -> None:
        decoys = truth.filter(pl.col("role") == "decoy")
        assert len(decoys) / len(store) == pytest.approx(CONFIG.decoys, abs=0.05)
        groups = {task.name: task.group for task in store.tasks}
        assert {groups[name] for name in decoys["task"]} == {"pair", "without"}
        for name in decoys["task"].unique():
            mine = decoys.filter(pl.col("task") == name)
            assert set(mine["motif"]) == set(name.replace("-", "+").split("+"))
            # What is left of a rule's two motifs stands alone, or, of a pair, out of each other's reach.
            both = [sites.sort("start") for _, sites in mine.group_by("bin") if len(sites) == 2]
            gaps = [sites["start"][1] - sites["end"][0] for sites in both if sites["motif"].n_unique() == 2]
            if groups[name] == "pair":
                assert np.mean(np.array(gaps) >= 2 * MAX_GAP) > 0.8
        labels = store.read_labels(store.indices())
        names = [task.name for task in store.tasks]
        negative = [labels[bin, names.index(task)] == 0 for task, bin in decoys.select("task", "bin").iter_rows()]
        assert np.mean(negative) > 0.7

    def test_motifs_are_kept(self, store: Store, motifs: dict[str, Motif]) -> None:
        kept = read_meme(motifs_path(store.path))
        assert [(motif.id, motif.name) for motif in kept] == [(motif.id, motif.name) for motif in motifs.values()]

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match=r"demo\.truth\.parquet does not exist"):
            read_truth(tmp_path / "demo.zarr")

    def test_damaged(self, tmp_path: Path) -> None:
        truth_path(tmp_path / "demo.zarr").write_bytes(b"PAR1 and nothing more")
        with pytest.raises(StoreError, match="damaged"):
            read_truth(tmp_path / "demo.zarr")


class TestSignal:
    def test_the_true_motif_finds_the_positives(self, store: Store, motifs: dict[str, Motif]) -> None:
        codes, labels = bin_codes(store), store.read_labels(store.indices())
        for column, task in enumerate(store.tasks):
            if task.group != "single":
                continue
            hits = scan(codes, motifs[task.name], -np.inf)
            best = np.full(len(store), -np.inf)
            np.maximum.at(best, hits.sequence, hits.score)
            positive, negative = best[labels[:, column] == 1], best[labels[:, column] == 0]
            auroc = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
            assert auroc > 0.93, task.name

    def test_the_parts_alone_do_not_decide(self, store: Store, truth: pl.DataFrame) -> None:
        labels = store.read_labels(store.indices())
        with_motif = {str(name): set(sites["bin"]) for (name,), sites in truth.group_by("motif")}
        for column, task in enumerate(store.tasks):
            if task.group == "without":
                first, veto = task.name.split("-")
                vetoed = [*(with_motif[first] & with_motif[veto])]
                assert vetoed
                assert not labels[vetoed, column].any()
            elif task.group == "pair":
                first, second = task.name.split("+")
                assert (labels[[*with_motif[first]], column] == 0).any()
                assert (labels[[*(with_motif[first] & with_motif[second])], column] == 0).any()


class TestNoise:
    def test_flips_a_share_of_the_positives_and_as_many_negatives(self, store: Store, tmp_path: Path) -> None:
        noisy = simulate_store(CONFIG.model_copy(update={"label_noise": 0.2}), tmp_path / "noisy.zarr")
        clean, seen = store.read_labels(store.indices()), noisy.read_labels(noisy.indices())
        np.testing.assert_array_equal(bin_codes(store), bin_codes(noisy))
        assert read_truth(noisy.path).equals(read_truth(store.path))
        np.testing.assert_array_equal(seen.sum(axis=0), clean.sum(axis=0))
        lost = ((clean == 1) & (seen == 0)).sum(axis=0)
        np.testing.assert_array_equal(lost, np.round(0.2 * clean.sum(axis=0)))

    @given(st.integers(0, 30), st.integers(1, 40), st.floats(0, 0.49), st.integers(0, 5))
    def test_keeps_the_prevalence(self, positives: int, n: int, noise: float, seed: int) -> None:
        labels = np.arange(n)[:, None] < positives
        flipped = labels.copy()
        planting.flip_labels(flipped, noise, np.random.default_rng(seed))
        assert flipped.sum() == labels.sum()


class TestSeed:
    def test_the_same_seed_makes_the_same_store(self, tmp_path: Path) -> None:
        one, two = simulate_store(SMALL, tmp_path / "a.zarr"), simulate_store(SMALL, tmp_path / "b.zarr")
        assert one.digest == two.digest
        assert read_truth(one.path).equals(read_truth(two.path))

    def test_another_seed_makes_another(self, tmp_path: Path) -> None:
        one, two = (simulate_store(SMALL.model_copy(update={"seed": i}), tmp_path / f"{i}.zarr") for i in (1, 2))
        assert not np.array_equal(bin_codes(one), bin_codes(two))
        assert not read_truth(one.path).equals(read_truth(two.path))

    def test_blocks_do_not_show(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(planting, "_BLOCK", 7)
        config = CONFIG.model_copy(update={"windows": 300})
        store = simulate_store(config, tmp_path / "blocks.zarr")
        truth = read_truth(store.path)
        np.testing.assert_array_equal(store.read_labels(store.indices()), naive_labels(store.tasks, truth, len(store)))
        share = truth.filter((pl.col("role") == "rule") & (pl.col("task") == "CTCF")).height / len(store)
        assert share == pytest.approx(config.positive_rate, abs=0.04)


class TestAnyConfig:
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        windows=st.integers(10, 60),
        tasks=st.integers(1, 15),
        bin=st.integers(40, 150),
        rate=st.floats(0.001, 0.15),
        decoys=st.floats(0, 2),
        seed=st.integers(0, 2**40),
    )
    def test_plants_soundly_or_says_why_not(
        self, motifs: dict[str, Motif], windows: int, tasks: int, bin: int, rate: float, decoys: float, seed: int
    ) -> None:
        config = SimulateConfig(
            windows=windows, tasks=tasks, bin=bin, window=bin + 100, chromosomes=4, positive_rate=rate, decoys=decoys
        )
        design = planting.SimulationDesign(config, list_rules(tasks), list(motifs.values()))
        rng = np.random.default_rng(seed)
        codes = planting.draw_genome(design, rng)
        try:
            sites, labels = planting.plant(codes, design, rng)
        except ConfigError as error:
            assert "no room" in str(error)  # noqa: PT017
            return
        truth = simulate._truth(sites, design)
        assert codes.shape == (windows * bin,)
        np.testing.assert_array_equal(labels, naive_labels(design.tasks, truth, windows))
        assert (sites["start"] >= 0).all()
        end = sites["start"] + design.widths[sites["motif"]]
        assert (end <= bin).all()
        same = sites["bin"][1:] == sites["bin"][:-1]
        assert (sites["start"][1:] >= end[:-1])[same].all()


class TestFiles:
    def test_names(self) -> None:
        assert truth_path("a/demo.zarr") == Path("a/demo.truth.parquet")
        assert motifs_path(Path("a/demo.v2")) == Path("a/demo.v2.motifs.meme")

    def test_fasta(self, tmp_path: Path) -> None:
        fasta = tmp_path / "genomes" / "demo.fa"
        store = simulate_store(SMALL, tmp_path / "demo.zarr", fasta=fasta)
        chroms, starts = store.bins(store.indices())
        with Genome(fasta) as genome:
            assert list(genome.lengths) == list(store.contigs[0])
            for row, (interval, codes) in enumerate(
                zip(store.intervals(store.indices()), bin_codes(store), strict=True)
            ):
                assert (interval.chrom, interval.start) == (chroms[row], starts[row])
                np.testing.assert_array_equal(genome.fetch(interval), codes)

    def test_no_fasta_unless_asked(self, tmp_path: Path) -> None:
        simulate_store(SMALL, tmp_path / "demo.zarr")
        assert {path.name for path in tmp_path.iterdir()} == {"demo.zarr", "demo.truth.parquet", "demo.motifs.meme"}

    @pytest.mark.parametrize("there", ["demo.zarr", "demo.truth.parquet", "demo.motifs.meme", "demo.fa"])
    def test_overwrites_nothing_unless_forced(self, tmp_path: Path, there: str) -> None:
        (tmp_path / there).write_text("mine")
        with pytest.raises(InputError, match=f"{there} already exists"):
            simulate_store(SMALL, tmp_path / "demo.zarr", fasta=tmp_path / "demo.fa")
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "mine")]

    def test_overwrites_if_forced(self, tmp_path: Path) -> None:
        for name in ("demo.truth.parquet", "demo.motifs.meme", "demo.fa"):
            (tmp_path / name).write_text("mine")
        simulate_store(SMALL.model_copy(update={"windows": 50}), tmp_path / "demo.zarr", force=True)
        simulate_store(SMALL, tmp_path / "demo.zarr", force=True, fasta=tmp_path / "demo.fa")
        assert len(open_store(tmp_path / "demo.zarr")) == 40
        assert len(list(tmp_path.iterdir())) == 4

    @pytest.mark.parametrize(("raised", "seen"), [(KeyboardInterrupt, KeyboardInterrupt), (OSError, InputError)])
    def test_a_failure_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException], seen: type[BaseException]
    ) -> None:
        def fail(*_: object) -> str:
            raise raised() if raised is not OSError else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(StoreWriter, "finish", fail)
        with pytest.raises(seen):
            simulate_store(SMALL, tmp_path / "demo.zarr", fasta=tmp_path / "demo.fa")
        assert not list(tmp_path.iterdir())

    def test_a_failure_leaves_what_was_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = simulate_store(SMALL, tmp_path / "demo.zarr").digest
        truth = read_truth(tmp_path / "demo.zarr")
        monkeypatch.setattr(simulate, "_write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            simulate_store(SMALL.model_copy(update={"seed": 9}), tmp_path / "demo.zarr", force=True)
        assert open_store(tmp_path / "demo.zarr").digest == before
        assert read_truth(tmp_path / "demo.zarr").equals(truth)
        assert len(list(tmp_path.iterdir())) == 3

    def test_unwritable_fasta(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match=r"cannot write .*genome\.fa"):
            simulate_store(SMALL, tmp_path / "demo.zarr", fasta=tmp_path / "file" / "genome.fa")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"window": 501}, "window 501 and bin 200"),
        ({"window": 100}, "window 100 and bin 200"),
        ({"bin": 20, "window": 100}, "bin 20"),
        ({"gc": (0.6, 0.4)}, "gc"),
        ({"gc": (0.2, 1.4)}, "gc"),
        ({"windows": 10, "chromosomes": 11}, "a window for each chromosome"),
        ({"seed": -1}, "seed -1"),
        ({"tasks": 1000}, "at most"),
        ({"windows": 200, "tasks": 60, "positive_rate": 0.4}, "no room"),
    ],
)
def test_what_cannot_be_made_is_said(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        simulate_store(CONFIG.model_copy(update=changed), tmp_path / "demo.zarr")
    assert not list(tmp_path.iterdir())
