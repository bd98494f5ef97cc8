"""The grammar of networks whose rules are known is found as it is; tangermeme agrees where it does the same."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tangermeme.ablate import ablate as peer_ablate
from tangermeme.ersatz import dinucleotide_shuffle
from tangermeme.marginalize import marginalize as peer_marginalize
from tangermeme.space import space as peer_space

from noncoder.data.loading import one_hot
from noncoder.errors import InputError, SequenceError, UnknownNameError
from noncoder.interpret import grammar
from noncoder.interpret.grammar import Backgrounds, Effects, Inserts, Screening, Sites
from noncoder.interpret.grammar import backgrounds as backgrounds_module
from noncoder.models import create_model
from noncoder.sequence.encoding import N_CODE, decode, encode, reverse_complement
from noncoder.sequence.motifs import Motif
from tests.interpret.grammar.rules import (
    BIN,
    FIRST,
    GAP,
    PAIR,
    SECOND,
    SINGLE,
    WINDOW,
    WITHOUT,
    Rules,
    motif,
    predictor,
    small_network,
    windows,
)

TASKS = [SINGLE, PAIR, WITHOUT]


@pytest.fixture(scope="module")
def plain() -> Backgrounds:
    return grammar.shuffled_backgrounds(windows(), 30, seed=1, avoid=[motif("A", FIRST), motif("B", SECOND)])


def counted(row: NDArray[np.uint8]) -> Counter[tuple[int, int]]:
    return Counter(zip(row[:-1].tolist(), row[1:].tolist(), strict=True))


class TestBackgrounds:
    def test_keep_the_dinucleotides_of_different_windows(self) -> None:
        codes = windows(12)
        made = grammar.shuffled_backgrounds(codes, 10, seed=3)
        assert len(set(made.source.tolist())) == 10
        for row, source in zip(made.codes, made.source, strict=True):
            assert counted(row) == counted(codes[source])
            assert (row != codes[source]).mean() > 0.4

    def test_more_than_windows_are_further_shuffles_of_them(self) -> None:
        made = grammar.shuffled_backgrounds(windows(4), 11, seed=3)
        assert sorted(Counter(made.source.tolist()).values()) == [2, 3, 3, 3]
        assert len(np.unique(made.codes, axis=0)) == 11

    def test_the_seed_decides(self) -> None:
        one, same, other = (grammar.shuffled_backgrounds(windows(9), 9, seed=seed).codes for seed in (5, 5, 6))
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_windows_with_n_are_left_out(self) -> None:
        codes = windows(3)
        codes[[0, 2], 7] = N_CODE
        assert set(grammar.shuffled_backgrounds(codes, 5, seed=0).source.tolist()) == {1}
        with pytest.raises(InputError, match="0 windows without an N"):
            grammar.shuffled_backgrounds(np.full((3, WINDOW), N_CODE, dtype=np.uint8), 5, seed=0)

    def test_avoided_motifs_are_not_there(self) -> None:
        short = motif("short", "GATAC")
        free = grammar.shuffled_backgrounds(windows(60, length=80), 60, seed=2, avoid=[short])
        assert (
            grammar.chance_hits(grammar.shuffled_backgrounds(windows(60, length=80), 60, 2).codes, [short])["short"]
            > 0.1
        )
        assert grammar.chance_hits(free.codes, [short]) == {"short": 0}
        assert free.warnings == ()

    def test_what_cannot_be_avoided_is_said(self) -> None:
        made = grammar.shuffled_backgrounds(windows(5), 5, seed=2, avoid=[motif("A", "A")])
        assert "5 of 5 backgrounds contain a motif" in made.warnings[0]
        (warning,) = backgrounds_module.chance_warnings(made.codes, [motif("A", "A")])
        assert "100% of the backgrounds contain A" in warning


class TestEffects:
    def test_interval_is_students(self) -> None:
        from scipy.stats import ttest_1samp

        values = np.random.default_rng(0).normal(1, 2, (25, 3))
        found = Effects(values, np.arange(25)).summary(0.9)
        for k in range(3):
            expected = ttest_1samp(values[:, k], 0).confidence_interval(0.9)
            assert (found.low[k], found.high[k]) == pytest.approx((expected.low, expected.high))

    def test_shuffles_of_one_window_are_one_unit(self) -> None:
        values = np.random.default_rng(0).normal(0, 1, (8, 2))
        source = np.array([3, 3, 5, 5, 6, 6, 9, 9])
        twice = Effects(values, source).summary()
        once = Effects(values.reshape(4, 2, 2).mean(axis=1), np.arange(4)).summary()
        assert twice.units == 4
        for a, b in zip(twice[:3], once[:3], strict=True):
            assert np.allclose(a, b)
        assert Effects(values, np.zeros(8, dtype=np.int64)).summary().units == 8

    def test_many_comparisons_widen_it_and_one_unit_has_none(self) -> None:
        effects = Effects(np.random.default_rng(0).normal(0, 1, (8, 2)), np.arange(8))
        assert (effects.summary(comparisons=100).low < effects.summary().low).all()
        assert np.isnan(Effects(np.ones((1, 2)), np.arange(1)).summary().low).all()

    def test_holds_for_all_together_as_often_as_said(self) -> None:
        rng, covered = np.random.default_rng(4), 0
        for _ in range(400):
            found = Effects(rng.normal(0, 1, (20, 30)), np.arange(20)).summary(0.9, comparisons=30)
            covered += bool(((found.low < 0) & (found.high > 0)).all())
        assert 0.87 < covered / 400 < 0.95


class TestMarginal:
    def test_known_effects(self, plain: Backgrounds) -> None:
        for strand in "+-":
            one = grammar.marginalize(Rules(), plain, FIRST, TASKS, inserts=Inserts(strand=strand))
            assert one.starts == ((WINDOW - 8) // 2,)
            assert np.allclose(one.effects.summary().mean, [[4, 0, 4]])
        assert np.allclose(grammar.marginalize(Rules(), plain, SECOND, TASKS).effects.values, [0, 0, -3])

    def test_position_scan_shows_the_bin(self, plain: Backgrounds) -> None:
        found = grammar.scan_positions(Rules(), plain, motif("A", FIRST), [SINGLE], step=4)
        starts, mean = np.array(found.starts), found.effects.summary().mean[:, 0]
        inside = (starts >= 40) & (starts + 8 <= 120)
        assert (WINDOW - 8) // 2 in found.starts
        assert np.allclose(mean, np.where(inside, 4, 0))

    def test_n_keeps_what_is_there(self, plain: Backgrounds) -> None:
        spaced = "GATTNCAG"
        found = grammar.marginalize(Rules(), plain, spaced, [SINGLE])
        is_a = plain.codes[:, found.starts[0] + 4] == 0
        assert np.array_equal(found.effects.values[:, 0, 0] > 0, is_a)

    def test_sampled_instances_are_the_motifs(self, plain: Backgrounds) -> None:
        loose = motif("A", FIRST, certain=0.9)
        draw = Inserts("sampled", seed=8)
        one = grammar.marginalize(Rules(), plain, loose, [SINGLE], [60, 70], draw).effects.values[..., 0]
        whole = (loose.sample(np.random.default_rng(8), len(plain)) == encode(FIRST)).all(axis=1)
        assert 0 < whole.sum() < len(plain)
        assert np.array_equal(one > 0, np.repeat(whole[:, None], 2, axis=1))

    @pytest.mark.parametrize("start", [None, 17])
    def test_agrees_with_tangermeme(self, plain: Backgrounds, start: int | None) -> None:
        model = small_network()
        before, after = peer_marginalize(
            model, one_hot(torch.from_numpy(plain.codes)), FIRST, start=start, device="cpu"
        )
        ours = grammar.marginalize(
            model, plain, FIRST, TASKS, None if start is None else [start], Inserts(batch_size=7)
        )
        assert np.allclose(ours.without, before, atol=1e-5)
        assert np.allclose(ours.effects.values[:, 0], after - before, atol=1e-5)

    def test_leaves_the_model_as_it_was(self, plain: Backgrounds) -> None:
        model = small_network().train()
        grammar.marginalize(model, plain, FIRST, TASKS)
        assert model.training
        assert all(p.grad is None and p.requires_grad for p in model.parameters())

    def test_what_does_not_fit(self, plain: Backgrounds) -> None:
        with pytest.raises(InputError, match=f"from {WINDOW - 7} to {WINDOW + 1}"):
            grammar.marginalize(Rules(), plain, FIRST, TASKS, [WINDOW - 7])
        with pytest.raises(SequenceError, match="k-mer GAX"):
            grammar.marginalize(Rules(), plain, "GAX", TASKS)
        with pytest.raises(InputError, match="without a base"):
            grammar.marginalize(Rules(), plain, "NN", TASKS)
        with pytest.raises(InputError, match="the model's window, 50 bp"):
            grammar.marginalize(create_model("compact", 1, 50), plain, FIRST, [0])
        with pytest.raises(InputError, match="a step of 0"):
            grammar.scan_positions(Rules(), plain, FIRST, TASKS, 0)


class TestSpacing:
    def test_known_pair(self, plain: Backgrounds) -> None:
        distances = range(0, 24, 2)
        found = grammar.scan_spacing(Rules(), plain, (FIRST, SECOND), TASKS, distances)
        joint, interaction = found.joint.summary().mean, found.interaction.summary().mean
        near = np.array([6.0 if distance <= GAP else 0 for distance in distances])
        assert joint.shape == (4, len(distances), 3)
        assert np.allclose(joint[:, :, PAIR], near)
        assert np.allclose(interaction[:, :, PAIR], near)
        assert np.allclose(joint[:, :, SINGLE], 4)
        assert np.allclose(joint[:, :, WITHOUT], 1)
        assert np.allclose(interaction[:, :, [SINGLE, WITHOUT]], 0, atol=1e-6)

    @pytest.mark.parametrize("start", [None, 33])
    def test_agrees_with_tangermeme(self, plain: Backgrounds, start: int | None) -> None:
        model, distances = small_network(), [0, 3, 10]
        both = [FIRST, decode(reverse_complement(encode(SECOND)))]
        x = one_hot(torch.from_numpy(plain.codes))
        before, after = peer_space(model, x, both, [[d] for d in distances], start=start, device="cpu")
        ours = grammar.scan_spacing(model, plain, (FIRST, SECOND), TASKS, distances, start)
        assert np.allclose(ours.joint.values[:, 1], after - before[:, None], atol=1e-5)

    def test_interaction_is_joint_less_singles(self, plain: Backgrounds) -> None:
        model = small_network()
        found = grammar.scan_spacing(model, plain, (FIRST, SECOND), [1], [5], start=40)
        for i, strands in enumerate(grammar.ORIENTATIONS):
            one = grammar.marginalize(model, plain, FIRST, [1], [40], Inserts(strand=strands[0])).effects.values
            two = grammar.marginalize(model, plain, SECOND, [1], [53], Inserts(strand=strands[1])).effects.values
            expected = found.joint.values[:, i] - one - two
            assert np.allclose(found.interaction.values[:, i], expected, atol=1e-5)

    @pytest.mark.parametrize("distances", [[], [-1], [WINDOW]])
    def test_impossible_distances(self, plain: Backgrounds, distances: list[int]) -> None:
        with pytest.raises(InputError, match=r"distances|bp apart"):
            grammar.scan_spacing(Rules(), plain, (FIRST, SECOND), TASKS, distances)


class TestAblation:
    def with_sites(self) -> tuple[NDArray[np.uint8], Sites]:
        codes = windows(20, seed=5)
        codes[:, 70:78] = encode(FIRST)
        codes[10:, 100:108] = reverse_complement(encode(SECOND))
        return codes, grammar.motif_sites(codes, motif("A", FIRST))

    @pytest.mark.parametrize("replacement", ["window", "n"])
    def test_known_contributions(self, replacement: grammar.ablation.Replacement) -> None:
        codes, sites = self.with_sites()
        assert sites.window.tolist() == list(range(20))
        assert set(sites.start.tolist()) == {70}
        found = grammar.ablate(Rules(), codes, sites, TASKS, draws=3, replacement=replacement)
        assert np.allclose(found.values, [4, 0, 4], atol=1e-6)
        veto = grammar.motif_sites(codes, motif("B", SECOND))
        veto = Sites(*(part[veto.start == 100] for part in veto))
        assert np.allclose(grammar.ablate(Rules(), codes, veto, TASKS, 3).summary().mean, [0, 0, -3])

    def test_agrees_with_tangermeme(self) -> None:
        codes, sites = self.with_sites()
        model, draws = small_network(), 300
        one = Sites(*(part[:3] for part in sites))
        x = one_hot(torch.from_numpy(codes[:3]))
        before, after = peer_ablate(
            model, x, 70, 78, draws, shuffle_fn=dinucleotide_shuffle, random_state=0, device="cpu"
        )
        ours = grammar.ablate(model, codes, one, TASKS, draws, "site").site_summary(0.9999)
        expected = before.numpy() - after.mean(dim=1).numpy()
        assert ((ours.low <= expected) & (expected <= ours.high)).all()
        assert (ours.high - ours.low).max() < 0.2 * np.abs(before.numpy()).max()

    @pytest.mark.parametrize("replacement", ["window", "site", "n"])
    def test_what_lies_beside_a_site_stays(self, replacement: grammar.ablation.Replacement) -> None:
        codes, _ = self.with_sites()  # FIRST lies from 70 to 78
        beside = Sites(np.array([0, 0]), np.array([62, 78]), np.array([70, 86]))
        assert not grammar.ablate(Rules(), codes, beside, [SINGLE], 5, replacement).values.any()
        within = Sites(np.array([0, 0]), np.array([62, 77]), np.array([71, 86]))
        assert np.allclose(grammar.ablate(Rules(), codes, within, [SINGLE], 1, "n").values, 4)

    def test_sites_of_one_window_are_one_unit(self) -> None:
        codes, _ = self.with_sites()
        sites = Sites(np.array([0, 0, 4]), np.array([5, 70, 70]), np.array([9, 78, 78]))
        found = grammar.ablate(Rules(), codes, sites, [SINGLE], 2)
        assert found.summary().units == 2
        assert found.summary().mean[0] == pytest.approx((2 + 4) / 2)

    def test_wrong_sites(self) -> None:
        codes, sites = self.with_sites()
        for wrong in (sites._replace(end=sites.start), sites._replace(window=sites.window + 1)):
            with pytest.raises(InputError, match="outside its window"):
                grammar.ablate(Rules(), codes, wrong, TASKS)
        with pytest.raises(UnknownNameError, match="did you mean 'window'"):
            grammar.ablate(Rules(), codes, sites, TASKS, replacement="windows")  # type: ignore[arg-type]


class TestImportance:
    def test_strands_are_joined(self) -> None:
        assert [len(grammar.list_kmers(k)) for k in (1, 2, 3, 4, 6)] == [2, 10, 32, 136, 2080]
        with pytest.raises(InputError, match="1 to 8"):
            grammar.list_kmers(9)

    def test_finds_what_matters(self, plain: Backgrounds) -> None:
        words = ["AAAAAAAA", FIRST.lower(), SECOND, "TTTTTTTT", "ACGTACGT"]
        found = grammar.kmer_importance(Rules(), plain, words, TASKS)
        assert found.kmers[found.ranked(SINGLE)[0]] == FIRST
        assert np.allclose(found.summary().mean[1], [4, 0, 4])
        assert np.allclose(found.summary().mean[2], [0, 0, -3])

    def test_first_look_keeps_the_best_and_is_not_reported(self, plain: Backgrounds) -> None:
        words = [*grammar.list_kmers(2), FIRST, SECOND]
        found = grammar.kmer_importance(Rules(), plain, words, TASKS, Screening(backgrounds=6, keep=2))
        assert found.kmers == (FIRST, SECOND)
        assert found.screened == 12
        assert found.effects.values.shape == (24, 2, 3)
        assert np.array_equal(found.effects.source, plain.source[6:])

    def test_impossible(self, plain: Backgrounds) -> None:
        with pytest.raises(InputError, match="no k-mer"):
            grammar.kmer_importance(Rules(), plain, [], TASKS)
        with pytest.raises(InputError, match="a screening in 30 of 30"):
            grammar.kmer_importance(Rules(), plain, ["A", "C"], TASKS, Screening(30, 1))


class TestExplore:
    def test_whole_grammar_and_back(self) -> None:
        codes = windows(20, seed=7)
        codes[:, 70:78] = encode(FIRST)
        motifs: list[Motif | str] = [motif("A", FIRST), motif("B", SECOND), "ACGTNACG"]
        settings = grammar.GrammarConfig(backgrounds=8, longest_distance=12, distance_step=6, kmer=2, kmers_kept=3)
        found = grammar.explore_grammar(predictor(), "pair", motifs, codes, settings)
        assert [record.motif for record in found.marginal] == ["A", "B", "ACGTNACG"]
        assert [(record.first, record.second) for record in found.spacing] == [
            ("A", "B"),
            ("A", "ACGTNACG"),
            ("B", "ACGTNACG"),
        ]
        assert np.allclose(found.spacing[0].joint.mean, [6, 6, 0])
        assert [record.motif for record in found.ablation] == ["A"]
        assert found.ablation[0].sites["start"] == [70] * 20
        assert found.importance is not None
        assert (found.importance.screened, len(found.importance.kmers)) == (10, 3)
        written = json.dumps(found.to_dict(), allow_nan=False)
        assert grammar.Grammar.from_dict(json.loads(written)).to_dict() == found.to_dict()
        assert (found.window, found.bin, found.backgrounds.n) == (WINDOW, BIN, 8)

    def test_parts_can_be_left_out(self) -> None:
        settings = grammar.GrammarConfig(backgrounds=2, position_step=0, longest_distance=-1, ablation_windows=0)
        found = grammar.explore_grammar(predictor(), "single", [motif("A", FIRST), FIRST], windows(3), settings)
        assert (found.positions, found.spacing, found.ablation, found.importance) == ([], [], [], None)

    def test_bad_input(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'single'"):
            grammar.explore_grammar(predictor(), "singel", [FIRST], windows(3))
        with pytest.raises(InputError, match=f"codes \\(N, {WINDOW}\\)"):
            grammar.explore_grammar(predictor(), "single", [FIRST], windows(3, length=99))
        with pytest.raises(InputError, match="format 2"):
            grammar.Grammar.from_dict({"format": 2})
        with pytest.raises(InputError, match="damaged"):
            grammar.Grammar.from_dict({"format": 1, "task": "x"})
