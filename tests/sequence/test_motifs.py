from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from noncoder.errors import InputError, SequenceError, UnknownNameError
from noncoder.sequence.encoding import encode, encode_batch, reverse_complement
from noncoder.sequence.motifs import Hits, Motif, load_jaspar, read_meme, scan, write_meme

Hit = tuple[int, int, str, float]

GATA = Motif("GATA", np.array([[0.1, 0.9, 0.0, 1.0], [0.2, 0.0, 0.0, 0.0], [0.6, 0.1, 0.0, 0.0], [0.1, 0.0, 1.0, 0.0]]))
BACKGROUND = (0.3, 0.2, 0.2, 0.3)

NAMES = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=12)


@st.composite
def motifs(draw: st.DrawFn, max_width: int = 8) -> Motif:
    width = draw(st.integers(1, max_width))
    counts = draw(arrays(np.int64, (4, width), elements=st.integers(0, 1000)))
    counts[draw(st.integers(0, 3))] += 1
    return Motif(draw(NAMES), counts / counts.sum(axis=0), draw(st.none() | NAMES))


def naive_scan(codes: NDArray[np.uint8], motif: Motif, threshold: float, background: tuple[float, ...]) -> list[Hit]:
    hits: list[Hit] = []
    for row, sequence in enumerate(codes):
        for start in range(len(sequence) - motif.width + 1):
            for strand, oriented in (("+", motif), ("-", motif.reverse_complement())):
                score = 0.0
                for position in range(motif.width):
                    base = sequence[start + position]
                    if base < 4:
                        p, q = oriented.ppm[base, position], background[base]
                        score += np.log2((p + 0.01 * q) / 1.01 / q)
                if score >= threshold:
                    hits.append((row, start, strand, score))
    return hits


class TestMotif:
    def test_properties(self) -> None:
        assert GATA.width == 4
        assert GATA.consensus == "GATA"
        assert GATA.information[2:] == pytest.approx([2, 2])
        assert GATA.total_information == pytest.approx(GATA.information.sum())
        assert GATA.information[1] == pytest.approx(2 + 0.9 * np.log2(0.9) + 0.1 * np.log2(0.1))
        assert Motif("flat", np.full((4, 3), 0.25)).total_information == pytest.approx(0)

    def test_is_a_value(self) -> None:
        same = Motif("GATA", GATA.ppm.copy())
        assert same == GATA
        assert hash(same) == hash(GATA)
        assert Motif("GATA", GATA.ppm, id="MA1") != GATA
        assert GATA != "GATA"

    def test_keeps_a_copy_that_cannot_be_changed(self) -> None:
        ppm = np.full((4, 2), 0.25)
        motif = Motif("flat", ppm)
        ppm[0] = 7
        assert motif.ppm[0, 0] == 0.25
        with pytest.raises(ValueError, match="read-only"):
            motif.ppm[0, 0] = 1

    @pytest.mark.parametrize(
        ("ppm", "says"),
        [
            (np.full((3, 4), 1 / 3), "shape"),
            (np.full(4, 0.25), "shape"),
            (np.zeros((4, 0)), "shape"),
            (np.array([[0.25, 5.0], [0.25, 1.0], [0.25, 1.0], [0.25, 3.0]]), "column 2 is 5, 1, 1, 3"),
            (np.array([[1.5], [-0.5], [0.0], [0.0]]), "column 1"),
            (np.array([[np.nan], [0.5], [0.5], [0.0]]), "column 1"),
        ],
    )
    def test_refuses_what_is_no_matrix_of_probabilities(self, ppm: NDArray[np.float64], says: str) -> None:
        with pytest.raises(InputError, match=says):
            Motif("bad", ppm)

    @pytest.mark.parametrize(("name", "id"), [("", None), ("two words", None), ("fine", ""), ("fine", "a\nb")])
    def test_refuses_names_that_no_motif_file_can_hold(self, name: str, id: str | None) -> None:
        with pytest.raises(InputError, match="motif"):
            Motif(name, GATA.ppm, id)

    @given(motifs())
    def test_reverse_complement_twice_is_the_motif(self, motif: Motif) -> None:
        assert motif.reverse_complement().reverse_complement() == motif

    @given(motifs())
    def test_reverse_complement_keeps_the_information(self, motif: Motif) -> None:
        np.testing.assert_allclose(motif.reverse_complement().information, motif.information[::-1], atol=1e-12)
        assert ((motif.information > -1e-9) & (motif.information < 2 + 1e-9)).all()

    def test_reverse_complement_reads_the_other_strand(self) -> None:
        assert GATA.reverse_complement().consensus == "TATC"

    @given(motifs(), st.floats(0.001, 1))
    def test_pwm_gives_back_the_probabilities(self, motif: Motif, pseudocount: float) -> None:
        q = np.array(BACKGROUND)[:, None]
        mixed = 2 ** motif.pwm(pseudocount, BACKGROUND) * q
        np.testing.assert_allclose(mixed.sum(axis=0), 1)
        np.testing.assert_allclose(mixed * (1 + pseudocount) - pseudocount * q, motif.ppm, atol=1e-9)

    def test_pwm_without_pseudocount(self) -> None:
        pwm = GATA.pwm(pseudocount=0)
        assert pwm[3, 2] == 2
        assert pwm[0, 2] == -np.inf

    @pytest.mark.parametrize("background", [(0.5, 0.5), (0.5, 0.5, 0.0, 0.0), (0.3, 0.3, 0.3, 0.3)])
    def test_pwm_refuses_a_wrong_background(self, background: tuple[float, ...]) -> None:
        with pytest.raises(InputError, match="background"):
            GATA.pwm(background=background)

    def test_pwm_refuses_a_negative_pseudocount(self) -> None:
        with pytest.raises(InputError, match="pseudocount"):
            GATA.pwm(pseudocount=-1)

    def test_sample_follows_the_probabilities(self) -> None:
        codes = GATA.sample(np.random.default_rng(0), 20_000)
        assert codes.shape == (20_000, 4)
        assert codes.dtype == np.uint8
        shares = np.stack([(codes == base).mean(axis=0) for base in range(4)])
        np.testing.assert_allclose(shares, GATA.ppm, atol=0.015)
        assert not shares[GATA.ppm == 0].any()

    def test_sample_of_none(self) -> None:
        assert GATA.sample(np.random.default_rng(0), 0).shape == (0, 4)


class TestJaspar:
    def test_by_id_and_name(self) -> None:
        exact, latest, named = load_jaspar(["MA0139.1", "MA0139", "CTCF"])
        assert (exact.id, exact.name, exact.width) == ("MA0139.1", "CTCF", 19)
        assert latest == named
        assert (latest.id, latest.consensus) == ("MA0139.2", "GCCACCAGGGGGCGC")

    def test_in_either_case_but_the_own_case_first(self) -> None:
        assert load_jaspar(["ctcf", "ma0139.2"]) == load_jaspar(["CTCF", "MA0139.2"])
        mouse, human = load_jaspar(["Spi1", "SPI1"])
        assert (mouse.name, human.name) == ("Spi1", "SPI1")

    def test_a_shared_name_means_the_taxon(self) -> None:
        (vertebrate,), (fungus,) = load_jaspar(["RFX1"]), load_jaspar(["RFX1"], taxon="fungi")
        assert vertebrate.id == "MA0509.3"
        assert fungus.id == "MA0365.2"

    def test_a_lone_name(self) -> None:
        assert load_jaspar("CTCF") == load_jaspar(["CTCF"])

    def test_another_release(self) -> None:
        (motif,) = load_jaspar(["CTCF"], release="JASPAR2020")
        assert motif.id == "MA0139.1"

    def test_a_column_without_counts_prefers_nothing(self) -> None:
        (motif,) = load_jaspar(["UN0498.1"])
        assert motif.ppm[:, motif.information < 1e-9].T.tolist() == [[0.25] * 4]

    def test_unknown_motif_offers_the_nearest(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'Hnf4a'"):
            load_jaspar(["CTCF", "HNF4AA"])

    def test_unknown_release(self) -> None:
        with pytest.raises(UnknownNameError, match="JASPAR2024"):
            load_jaspar(["CTCF"], release="2024")

    def test_is_not_imported_before_it_is_needed(self) -> None:
        code = "import sys, noncoder.sequence.motifs; sys.exit('pyjaspar' in sys.modules or 'Bio' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestMeme:
    @settings(max_examples=50)
    @given(st.lists(motifs(), min_size=1, max_size=4))
    def test_round_trip(self, written: list[Motif]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "motifs.meme"
            write_meme(written, path)
            read = read_meme(path)
        assert [(motif.name, motif.id) for motif in read] == [(motif.name, motif.id) for motif in written]
        for one, other in zip(read, written, strict=True):
            np.testing.assert_allclose(one.ppm, other.ppm, atol=1e-9)

    def test_reads_a_file_of_others(self, tmp_path: Path) -> None:
        path = tmp_path / "hand.meme"
        path.write_text(
            "\nMEME version 5.4.1\n\nALPHABET= ACGT\n\nMOTIF MA0139.2 CTCF (var.2)\n\n"
            "letter-probability matrix: alength=4 w=2 nsites=17 E=4.1e-009\n"
            "  0.333  0.333\t0.333 0.000\n\n  1 0 0 0  \nURL http://jaspar.example/\n\n"
            "MOTIF plain\nletter-probability matrix:  w= 1\n0.25 0.25 0.25 0.25\n"
        )
        first, second = read_meme(path)
        assert (first.id, first.name) == ("MA0139.2", "CTCF_(var.2)")
        np.testing.assert_allclose(first.ppm, np.array([[1 / 3, 1], [1 / 3, 0], [1 / 3, 0], [0, 0]]))
        assert (second.id, second.name, second.width) == (None, "plain", 1)

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "not a MEME file"),
            (b">chr1\nACGT\n", "not a MEME file"),
            (b"\xff\xfe\x00\x80", "not a MEME file"),
            (b"MEME version 4\n\nALPHABET= ACGT\n", "no motif"),
            (b"MEME version 4\nMOTIF x\n", "matrix of 'x' is missing"),
            (b"MEME version 4\nMOTIF x\nletter-probability matrix: alength= 20 w= 1\n", "not DNA"),
            (b"MEME version 4\nMOTIF x\nletter-probability matrix: w= 2\n1 0 0 0\n", "damaged"),
            (b"MEME version 4\nMOTIF x\nletter-probability matrix: w= 2\n1 0 0 0\n1 0 0\n", "damaged"),
            (b"MEME version 4\nMOTIF x\nletter-probability matrix: w= 1\n1 0 0 A\n", "damaged"),
            (b"MEME version 4\nMOTIF x\nletter-probability matrix: w= 1\n7 1 1 1\n", "damaged"),
            (b"MEME version 4\nMOTIF x\nletter-probability matrix: w= 1\nnan 0 0 1\n", "damaged"),
        ],
    )
    def test_refuses(self, tmp_path: Path, content: bytes, says: str) -> None:
        path = tmp_path / "bad.meme"
        path.write_bytes(content)
        with pytest.raises(InputError, match=says) as caught:
            read_meme(path)
        assert "bad.meme" in str(caught.value)

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot read"):
            read_meme(tmp_path / "none.meme")

    def test_nothing_to_write(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no motif"):
            write_meme([], tmp_path / "none.meme")
        assert not list(tmp_path.iterdir())

    def test_unwritable(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot write"):
            write_meme([GATA], tmp_path / "absent" / "motifs.meme")


class TestScan:
    @settings(max_examples=60, deadline=None)
    @given(
        arrays(np.uint8, st.tuples(st.integers(0, 3), st.integers(0, 20)), elements=st.integers(0, 4)),
        motifs(),
        st.floats(-30, 8),
        st.sampled_from([(0.25,) * 4, BACKGROUND, (0.1, 0.2, 0.3, 0.4)]),
    )
    def test_is_the_naive_loop(
        self, codes: NDArray[np.uint8], motif: Motif, threshold: float, background: tuple[float, ...]
    ) -> None:
        everything = naive_scan(codes, motif, -np.inf, background)
        # A score within a rounding error of the threshold may fall on either side.
        if any(abs(hit[3] - threshold) < 1e-9 for hit in everything):
            threshold -= 1e-6
        expected = [hit for hit in everything if hit[3] >= threshold]
        hits = scan(codes, motif, threshold, background)
        assert list(zip(hits.sequence, hits.start, hits.strand, strict=True)) == [hit[:3] for hit in expected]
        np.testing.assert_allclose(hits.score, [hit[3] for hit in expected], atol=1e-9)

    @settings(max_examples=40, deadline=None)
    @given(arrays(np.uint8, (2, 15), elements=st.integers(0, 4)), motifs(), st.floats(-10, 4))
    def test_the_other_strand_has_the_mirrored_hits(
        self, codes: NDArray[np.uint8], motif: Motif, threshold: float
    ) -> None:
        def places(hits: Hits) -> set[tuple[int, int, str]]:
            return set(zip(hits.sequence.tolist(), hits.start.tolist(), hits.strand.tolist(), strict=True))

        scores = scan(codes, motif, -np.inf).score
        if (np.abs(scores - threshold) < 1e-9).any():
            threshold -= 1e-6
        last = codes.shape[1] - motif.width
        mirrored = places(scan(reverse_complement(codes), motif, threshold))
        turned = {(row, last - start, "-" if strand == "+" else "+") for row, start, strand in mirrored}
        assert turned == places(scan(codes, motif, threshold))

    def test_finds_both_strands(self) -> None:
        hits = scan(encode_batch(["CCGATACCC", "CCCCTATCC"]), GATA, 5)
        assert [*zip(hits.sequence, hits.start, hits.strand, strict=True)] == [(0, 2, "+"), (1, 4, "-")]
        assert hits.score[0] == pytest.approx(GATA.pwm().max(axis=0).sum())
        assert hits.score[0] == hits.score[1]

    def test_unknown_bases_score_as_the_background(self) -> None:
        hits = scan(encode("NNNN")[None], GATA, 0)
        assert hits.score.tolist() == [0, 0]

    def test_a_palindrome_is_on_both_strands(self) -> None:
        palindrome = Motif("AT", np.array([[1.0, 0], [0, 0], [0, 0], [0, 1]]))
        assert scan(encode("AT")[None], palindrome, 3).strand.tolist() == ["+", "-"]

    def test_in_blocks_as_in_one_piece(self, monkeypatch: pytest.MonkeyPatch) -> None:
        codes = np.random.default_rng(0).integers(0, 5, (50, 60)).astype(np.uint8)
        whole = scan(codes, GATA, 2)
        monkeypatch.setattr("noncoder.sequence.motifs._BLOCK", 400)
        for one, other in zip(whole, scan(codes, GATA, 2), strict=True):
            np.testing.assert_array_equal(one, other)

    @pytest.mark.parametrize("shape", [(0, 10), (3, 0), (3, 3)])
    def test_nothing_to_find(self, shape: tuple[int, int]) -> None:
        hits = scan(np.zeros(shape, dtype=np.uint8), GATA, -100)
        assert [len(column) for column in hits] == [0, 0, 0, 0]

    @pytest.mark.parametrize("codes", [np.zeros(9, dtype=np.uint8), np.full((1, 9), 5, dtype=np.uint8)])
    def test_refuses_what_are_no_codes(self, codes: NDArray[np.uint8]) -> None:
        with pytest.raises(SequenceError, match="codes"):
            scan(codes, GATA, 0)
