"""Files of motifs in MEME's format, as others write them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noncoder.config import InterpretConfig
from noncoder.errors import InputError
from noncoder.pipeline.interpreting import read_motifs
from noncoder.sequence.motifs import MemeMotifs, Motif, read_meme
from tests.fuzzing import fuzzed
from tests.sequence.fastas import mutations

ROWS = ("0.9 0.03 0.03 0.04", "0.1 0.7 0.1 0.1", "0.0 0.0 1.0 0.0")
PPM = np.array([[0.9, 0.1, 0.0], [0.03, 0.7, 0.0], [0.03, 0.1, 1.0], [0.04, 0.1, 0.0]])
HEAD = (
    "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\nBackground letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n"
)
MATRIX = "letter-probability matrix: alength= 4 w= 3 nsites= 20 E= 4.1e-009\n" + "\n".join(ROWS) + "\n"
# As MEME 4 and 5 write: comments, sites and two further matrices around the one that counts.
OWN_TEXT = """\
********************************************************************************
MEME - Motif discovery tool
********************************************************************************
MEME version 5.4.1 (Release date: Sat Aug 21 19:23:23 2021 -0700)

This file may be used as input to the MAST algorithm for searching sequence databases for matches to groups of
motif widths.

PRIMARY SEQUENCES= crp0.fna
ALPHABET= ACGT

********************************************************************************
MOTIF AGC MEME-1	width =   3  sites =  17  llr = 182  E-value = 4.1e-009
********************************************************************************
	Motif AGC MEME-1 Description
--------------------------------------------------------------------------------
Simplified        A  91:
pos.-specific     C  :7:

	Motif AGC MEME-1 position-specific scoring matrix
--------------------------------------------------------------------------------
log-odds matrix: alength= 4 w= 3 n= 1584 bayes= 6.5 E= 4.1e-009
   -52     16    113    -77
   -20     39    -52     55
   -20     39    -52     55
--------------------------------------------------------------------------------

	Motif AGC MEME-1 position-specific probability matrix
--------------------------------------------------------------------------------
letter-probability matrix: alength= 4 w= 3 nsites= 17 E= 4.1e-009
 0.900000  0.030000  0.030000  0.040000
 0.100000  0.700000  0.100000  0.100000
 0.000000  0.000000  1.000000  0.000000
--------------------------------------------------------------------------------

Time  0.33 secs.

********************************************************************************
SUMMARY OF MOTIFS
********************************************************************************
"""


def read(folder: Path, text: str | bytes) -> MemeMotifs:
    path = folder / "m.meme"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_meme(path)


def refused(folder: Path, text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, text)
    assert "m.meme" in caught.value.found
    return str(caught.value)


class TestReadsWhatIsValid:
    @pytest.mark.parametrize(
        "header",
        ["letter-probability matrix:", "letter-probability matrix", "letter-probability matrix: alength= 4",
         "letter-probability matrix: w= 3", "letter-probability matrix: alength=4 w=03",
         "Letter-Probability Matrix: W= 3",
         "letter-probability matrix: alength= 4 w= 3 nsites= 20 E= 0", "letter-probability matrix: nsites= 20 P= 1e-12",
         "  letter-probability  matrix:  alength = 4  w = 3"],
    )  # fmt: skip
    @pytest.mark.parametrize(
        "after", ["", "\nURL http://x\n", "\n\nURL http://x 1 2\n", "\n\nMOTIF n\nletter-probability matrix:\n1 0 0 0"]
    )
    def test_headers_of_matrices(self, tmp_path: Path, header: str, after: str) -> None:
        motifs = read(tmp_path, f"{HEAD}\nMOTIF m1\n{header}\n" + "\n".join(ROWS) + after)
        assert [motif.name for motif in motifs] == ["m1", "n"][: len(motifs)]
        assert len(motifs) == 1 + ("MOTIF" in after)
        np.testing.assert_allclose(motifs[0].ppm, PPM, atol=1e-12)

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_line_ends_and_a_mark_of_byte_order(self, tmp_path: Path, mark: str, end: str) -> None:
        (motif,) = read(tmp_path, mark + (HEAD + "MOTIF m1 TF\n" + MATRIX).replace("\n", end))
        assert (motif.id, motif.name) == ("m1", "TF")
        np.testing.assert_allclose(motif.ppm, PPM, atol=1e-12)

    @pytest.mark.parametrize(
        "head",
        ["", "MEME version 4\n", "meme VERSION 5.5.5\n\n", "\n\nMEME version 4\nALPHABET= acgt\n",
         "MEME version 4\nALPHABET= ACGU\n",
         'MEME version 5\nALPHABET "DNA" DNA-LIKE\nA "Adenine" CC0000 ~ T "Thymine" 008000\nEND ALPHABET\n'],
    )  # fmt: skip
    def test_heads_of_files(self, tmp_path: Path, head: str) -> None:
        (motif,) = read(tmp_path, head + "MOTIF m1\n" + MATRIX)
        np.testing.assert_allclose(motif.ppm, PPM, atol=1e-12)

    @pytest.mark.parametrize(
        ("between", "header"), [("\n", " w= 3"), ("\n\n", ""), ("\n \t\n", ""), ("\t\n  ", " w= 3")]
    )
    def test_blank_between_rows(self, tmp_path: Path, between: str, header: str) -> None:
        (motif,) = read(tmp_path, f"{HEAD}MOTIF m1\nletter-probability matrix:{header}\n\n{between.join(ROWS)}")
        np.testing.assert_allclose(motif.ppm, PPM, atol=1e-12)

    def test_the_text_that_meme_writes(self, tmp_path: Path) -> None:
        motifs = read(tmp_path, OWN_TEXT)
        assert [(motif.id, motif.name) for motif in motifs] == [("AGC", "MEME-1")]
        np.testing.assert_allclose(motifs[0].ppm, PPM, atol=1e-12)

    def test_keywords_in_lower_case(self, tmp_path: Path) -> None:
        (motif,) = read(tmp_path, HEAD.lower() + "motif m1\n" + MATRIX)
        assert motif.name == "m1"

    def test_a_motif_without_a_matrix_is_left_out_and_noted(self, tmp_path: Path) -> None:
        odds = "log-odds matrix: alength= 4 w= 1 n= 9 bayes= 1 E= 1\n-5 3 1 -7\n"
        motifs = read(tmp_path, f"{HEAD}MOTIF a\n\nMOTIF m1 TF\n{MATRIX}\nMOTIF b\n{odds}\nMOTIF m2\n{MATRIX}MOTIF\n")
        assert [motif.name for motif in motifs] == ["TF", "m2"]
        assert motifs.left_out == (
            "the matrix of 'a' is missing in m.meme",
            "the matrix of 'b' is missing in m.meme; it has only log-odds",
            "the matrix of 'motif5' is missing in m.meme",
        )
        np.testing.assert_allclose(motifs[1].ppm, PPM, atol=1e-12)

    def test_rounded_rows_are_rescaled(self, tmp_path: Path) -> None:
        (motif,) = read(
            tmp_path, f"{HEAD}MOTIF a\nletter-probability matrix:\n0.333 0.333 0.333 0\n0.25 0.25 0.26 0.25\n"
        )
        np.testing.assert_allclose(motif.ppm.sum(axis=0), 1, atol=1e-15)


class TestRefuses:
    @pytest.mark.parametrize(
        ("rows", "found"),
        [
            ("1 0 0 0\n0.5 0.5 0.5 0.5", "'m1' is damaged: row 2 is 0.5 0.5 0.5 0.5"),
            ("4 10 2 4", "divide counts by their sums"),
            ("1 0 0 0\n1 0 0", "row 2 is '1 0 0'"),
            ("1 0 0 0\n1 0 0 0 0", "row 2 is '1 0 0 0 0'"),
            ("1 0 0 A", "row 1 is '1 0 0 A'"),
            ("1 0 0 0\nA 0 0 1", "row 2 is 'A 0 0 1'"),
            ("0,25 0,25 0,25 0,25", "has 0 rows"),
            ("-0.5 0.5 0.5 0.5", "row 1"),
            ("nan 0 0 1", "row 1"),
            ("inf 0 0 0", "row 1"),
            ("0 0 0 0", "row 1"),
            ("1_0 0 0 0", "row 1"),
            ("", "has 0 rows"),
        ],
    )
    @pytest.mark.parametrize("width", ["", " w= {}"])
    def test_damaged_matrices(self, tmp_path: Path, rows: str, found: str, width: str) -> None:
        header = "letter-probability matrix: alength= 4" + width.format(rows.count("\n") + 1)
        assert found in refused(tmp_path, f"{HEAD}MOTIF ok\n{MATRIX}MOTIF m1\n{header}\n{rows}\n")

    @pytest.mark.parametrize("width", ["2", "4", "0", "-3", "three", "3.0"])
    def test_another_width_than_rows(self, tmp_path: Path, width: str) -> None:
        says = refused(tmp_path, HEAD + "MOTIF m1\n" + MATRIX.replace("w= 3", f"w= {width}"))
        assert f"'m1' is damaged: it has 3 rows, and w= {width}" in says

    @pytest.mark.parametrize("alphabet", ["ACDEFGHIKLMNPQRSTVWY", "TGCA", "ACGTN", "PROTEIN", '"x" PROTEIN-LIKE'])
    def test_other_alphabets(self, tmp_path: Path, alphabet: str) -> None:
        text = HEAD.replace("= ACGT", f" {alphabet}" if '"' in alphabet else f"= {alphabet}") + "MOTIF m1\n" + MATRIX
        assert "m.meme: the alphabet is" in refused(tmp_path, text)

    def test_a_matrix_of_a_protein(self, tmp_path: Path) -> None:
        text = "MEME version 4\nMOTIF m1\n" + MATRIX.replace("alength= 4", "alength= 20")
        assert "the matrix of 'm1' has 20 letters and is not DNA" in refused(tmp_path, text)

    @pytest.mark.parametrize(
        ("text", "known"),
        [
            (">MA0004.1\tArnt\nA  [ 4 19 0 ]\nC  [ 16 0 20 ]\n", ": it looks like a JASPAR file of motifs"),
            (">MA0004.1 Arnt\n4 19 0\n16 0 20\n0 1 0\n0 0 0\n", ": it looks like a JASPAR file of motifs"),
            (
                ">ASTTCCTCTT\t1-ASTTCCTCTT\t8.059752\t-23791.5\t0\n0.5\t0.2\t0.2\t0.1\n",
                ": it looks like a HOMER file of motifs",
            ),
            ("AC M00001\nXX\nID V$MYOD_01\n", ": it looks like a TRANSFAC file"),
            ("ID any\nBF species\nP0 A C G T\n", ": it looks like a TRANSFAC file"),
            ("<html><body>404</body></html>\n", ": it looks like a web page"),
            (HEAD.encode("utf-16"), ": it looks like UTF-16 text"),
            (b"PK\x03\x04\xff\xfe", ": it looks like a zip archive"),
            (b"\xff\x00\x80", ""),
            ("", ""),
            ("\n\n", ""),
        ],
    )
    def test_other_files(self, tmp_path: Path, text: str | bytes, known: str) -> None:
        assert f"m.meme is not a MEME file{known}" in refused(tmp_path, text)

    def test_no_matrix_at_all(self, tmp_path: Path) -> None:
        assert "the matrix of 'a' is missing in m.meme, and so for all 2" in refused(
            tmp_path, HEAD + "MOTIF a\nMOTIF b\n"
        )

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot read"):
            read_meme(tmp_path)


@pytest.mark.parametrize("line", ["0,9 0,1 0 0", "# comment", "---", "N A N A"])
def test_a_matrix_without_a_width_is_not_cut_short(tmp_path: Path, line: str) -> None:
    path = tmp_path / "m.meme"
    path.write_text(f"{HEAD}MOTIF a X\nletter-probability matrix: alength= 4\n0.9 0.1 0 0\n{line}\n0 1 0 0\n")
    with pytest.raises(InputError, match=f"'a X' is damaged: row 1 is followed by '{line}'"):
        read_meme(path)


def test_gzipped_and_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "m.meme.gz"
    path.write_bytes(gzip.compress((HEAD + "MOTIF m1 TF\n" + MATRIX).encode()))
    assert [motif.name for motif in read_meme(path)] == ["TF"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="truncated or damaged"):
        read_meme(path)
    path.write_bytes(f"{HEAD}MOTIF m1 caf\u00e9\n{MATRIX}".encode("latin-1"))
    with pytest.raises(InputError, match=r"has the byte 0xE9 in line \d+\nexpected: UTF-8 text"):
        read_meme(path)


@pytest.mark.parametrize("name", ["m.meme", "m.txt"])
def test_what_grammar_reads_says_what_was_left_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(f"{HEAD}MOTIF a\n\nMOTIF m1 TF\n{MATRIX}")
    motifs, notes = read_motifs(str(tmp_path / name), InterpretConfig())
    assert [motif.name for motif in motifs if isinstance(motif, Motif)] == ["TF"]
    assert notes == (f"the matrix of 'a' is missing in {name}",)


@fuzzed
@given(st.data())
def test_changed_files_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    text = data.draw(
        st.sampled_from([OWN_TEXT, HEAD + "MOTIF m1 TF\n" + MATRIX + "MOTIF b\nletter-probability matrix:\n1 0 0 0\n"])
    )
    path = tmp_path / "m.meme"
    path.write_bytes(data.draw(mutations(data.draw(mutations(text.encode())))))
    for motif in _motifs_or_none(path):
        np.testing.assert_allclose(motif.ppm.sum(axis=0), 1, atol=1e-9)


def _motifs_or_none(path: Path) -> MemeMotifs:
    try:
        return read_meme(path)
    except InputError as error:
        return MemeMotifs() if "m.meme" in error.found or "motif" in error.found else read_meme(path)
