from __future__ import annotations

import numpy as np
import pytest

from noncoder.errors import InputError
from noncoder.interpret.motifs import load_database, match_motifs
from noncoder.interpret.motifs.tomtom import compare_motifs
from noncoder.sequence.motifs import Motif, load_jaspar

DATABASE = load_database("JASPAR2026", "fungi")


def test_the_database_is_cached() -> None:
    assert load_database("JASPAR2026", "fungi") is DATABASE
    assert len(DATABASE) > 100


def test_a_motif_matches_itself_on_both_strands_at_the_right_offset() -> None:
    reb1 = load_jaspar(["REB1"], taxon="fungi")[0]
    pad = np.full((4, 2), 0.25)
    whole = Motif("whole", reb1.ppm)
    shorter = Motif("shorter", reb1.ppm[:, 1:])
    wider = Motif("wider", np.hstack([pad, reb1.ppm]))
    turned = Motif("turned", reb1.reverse_complement().ppm[:, 1:])
    found = match_motifs([whole, shorter, wider, turned], DATABASE)
    best = [next(match for match in matches if match.id == reb1.id) for matches in found]
    assert [(match.offset, match.strand, match.overlap - reb1.width) for match in best] == [
        (0, "+", 0), (1, "+", -1), (-2, "+", 0), (1, "-", -1),
    ]  # fmt: skip
    assert all(match.name == "REB1" and match.p < 1e-6 and match.q < 0.01 for match in best)
    assert found[0][0].id == reb1.id
    assert found[0][0].to_json()["name"] == "REB1"


def test_p_values_are_uniform_for_independent_columns() -> None:
    rng = np.random.default_rng(0)
    columns = np.concatenate([motif.ppm for motif in DATABASE], axis=1)
    drawn = [
        Motif(f"m{i}", columns[:, rng.integers(0, columns.shape[1], int(rng.integers(6, 16)))]) for i in range(2000)
    ]
    p = compare_motifs(DATABASE[:40], drawn).p
    assert (p < 0.1).mean() == pytest.approx(0.1, rel=0.3)
    assert (p < 0.01).mean() == pytest.approx(0.01, rel=0.3)


def test_q_is_the_larger_of_both_corrections() -> None:
    rng = np.random.default_rng(0)
    noise = [Motif(f"n{i}", rng.dirichlet(np.ones(4) * 5, 8).T) for i in range(30)]
    alone = compare_motifs(noise[:1], DATABASE)
    among = compare_motifs(noise, DATABASE)
    np.testing.assert_allclose(alone.p[0], among.p[0], rtol=1e-6)
    assert (among.q[0] >= alone.q[0] - 1e-9).all()
    assert (among.q >= among.p).all()


def test_noise_and_low_complexity_have_no_matches() -> None:
    rng = np.random.default_rng(1)
    noise = [Motif(f"n{i}", rng.dirichlet(np.ones(4), int(rng.integers(6, 30))).T) for i in range(40)]
    flat = Motif("flat", np.tile([[0.3], [0.25], [0.25], [0.2]], 40))
    repeat = Motif("repeat", np.tile([[0.85], [0.05], [0.05], [0.05]], 20))
    found = match_motifs([*noise, flat, repeat], DATABASE)
    assert sum(bool(matches) for matches in found) == 0


def test_short_queries_and_small_databases_are_refused() -> None:
    short = Motif("short", np.full((4, 3), 0.25))
    with pytest.raises(InputError, match="short has 3 bp"):
        match_motifs([short], DATABASE)
    with pytest.raises(InputError, match="complete one"):
        match_motifs([DATABASE[0]], DATABASE[:10])
    assert match_motifs([], DATABASE) == []
