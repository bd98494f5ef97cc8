"""Motifs as position probability matrices: from JASPAR, to and from MEME files, drawn from, and found in sequences.

Matrices are (4, w) with the rows A, C, G, T.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from noncoder.errors import InputError, SequenceError, UnknownNameError
from noncoder.sequence.encoding import N_CODE, decode

JASPAR_RELEASE = "JASPAR2026"
UNIFORM = (0.25, 0.25, 0.25, 0.25)

_BLOCK = 1 << 21  # scores held at once while scanning, so that memory does not grow with the sequences
_STRANDS = np.array(["+", "-"])


@dataclass(frozen=True, eq=False)
class Motif:
    """A binding preference; one whose columns are no probabilities cannot be built.

    Args:
        name: What it is called, without spaces, e.g. "CTCF".
        ppm: Probability of A, C, G and T (rows) at each position, (4, w); columns sum to 1. Kept as a read-only copy.
        id: Where it comes from, e.g. JASPAR's "MA0139.2".

    Raises:
        InputError: The name or id is empty or has a space in it, or `ppm` is no such matrix.
    """

    name: str
    ppm: NDArray[np.float64]
    id: str | None = None

    def __post_init__(self) -> None:
        for label, text in (("name", self.name), ("id", self.id)):
            if text is not None and (not text or re.search(r"\s", text)):
                raise InputError(f"{text!r} as the {label} of a motif", expected="text without spaces")
        ppm = np.array(self.ppm, dtype=np.float64)
        if ppm.ndim != 2 or ppm.shape[0] != 4 or ppm.shape[1] == 0:
            raise InputError(
                f"motif {self.name}: a matrix of shape {ppm.shape}", expected="(4, w) with rows A, C, G, T"
            )
        # Written so that NaN fails too.
        wrong = np.flatnonzero(~((ppm >= 0).all(axis=0) & (np.abs(ppm.sum(axis=0) - 1) < 1e-6)))
        if wrong.size:
            column = ", ".join(f"{value:g}" for value in ppm[:, wrong[0]])
            raise InputError(
                f"motif {self.name}: column {wrong[0] + 1} is {column}",
                expected="four probabilities that sum to 1",
                hint="divide counts by their column sums",
            )
        ppm.flags.writeable = False
        object.__setattr__(self, "ppm", ppm)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Motif):
            return NotImplemented
        return (self.name, self.id) == (other.name, other.id) and np.array_equal(self.ppm, other.ppm)

    def __hash__(self) -> int:
        return hash((self.name, self.id, self.width))

    @property
    def width(self) -> int:
        """How many bp it covers."""
        return int(self.ppm.shape[1])

    @property
    def consensus(self) -> str:
        """The most probable base of each position."""
        return decode(self.ppm.argmax(axis=0).astype(np.uint8))

    @property
    def information(self) -> NDArray[np.float64]:
        """Information content of each position against equal base frequencies, bits, (w,): 0 to 2."""
        logs = np.log2(self.ppm, out=np.zeros_like(self.ppm), where=self.ppm > 0)
        return np.asarray(2 + (self.ppm * logs).sum(axis=0))

    @property
    def total_information(self) -> float:
        """Information content of all positions together, bits."""
        return float(self.information.sum())

    def reverse_complement(self) -> Motif:
        """The same motif, read from the other strand."""
        return Motif(self.name, self.ppm[::-1, ::-1], self.id)

    def pwm(self, pseudocount: float = 0.01, background: Sequence[float] = UNIFORM) -> NDArray[np.float64]:
        """Log-odds against a background, bits, (4, w).

        Args:
            pseudocount: Weight of the background that is mixed into each column of weight 1; with 0, a base that a
                position never has scores minus infinity.
            background: Frequencies of A, C, G and T.

        Raises:
            InputError: The pseudocount is negative, or the background is not four positive numbers that sum to 1.
        """
        expected = np.asarray(background, dtype=np.float64)
        if expected.shape != (4,) or not (expected > 0).all() or abs(expected.sum() - 1) > 1e-6:
            raise InputError(f"the background {background}", expected="four positive frequencies that sum to 1")
        if not pseudocount >= 0:
            raise InputError(f"a pseudocount of {pseudocount}", expected="0 or more")
        expected = expected[:, None]
        with np.errstate(divide="ignore"):
            return np.asarray(np.log2((self.ppm + pseudocount * expected) / (1 + pseudocount) / expected))

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.uint8]:
        """Draws n instances, each position by its probabilities: codes, uint8 (n, w)."""
        bounds = np.cumsum(self.ppm, axis=0)[:3]
        codes: NDArray[np.uint8] = (rng.random((n, 1, self.width)) >= bounds).sum(axis=1, dtype=np.uint8)
        return codes


def load_jaspar(names: Iterable[str], release: str = JASPAR_RELEASE, taxon: str = "vertebrates") -> list[Motif]:
    """Looks motifs up in the JASPAR release that pyjaspar brings along; nothing is downloaded.

    Several matrices share a name where a factor has variants or orthologues. Then CORE comes before the other
    collections, `taxon` before other taxa, and the lowest matrix number before later ones; an id is unambiguous.

    Args:
        names: Matrix ids with a version ("MA0139.2") or without (the latest), or factors' names ("CTCF").
        release: E.g. "JASPAR2024".
        taxon: JASPAR's taxonomic group that a shared name means, e.g. "vertebrates" or "fungi".

    Raises:
        UnknownNameError: There is no such motif or release.
    """
    import pyjaspar  # reads Biopython, which is slow to import and needed here alone

    names = [names] if isinstance(names, str) else list(names)
    if release not in pyjaspar.jaspar_releases:
        raise UnknownNameError("JASPAR release", release, pyjaspar.jaspar_releases)
    database = pyjaspar.jaspardb(release=release)
    with closing(database.conn) as connection:
        exact, folded = _jaspar_index(connection, taxon)
        for name in names:
            if name not in exact and name.casefold() not in folded:
                raise UnknownNameError(f"motif of {release}", name, exact)
        ids = [exact.get(name) or folded[name.casefold()] for name in names]
        return [_from_jaspar(database.fetch_motif_by_id(matrix)) for matrix in ids]


def load_jaspar_collection(release: str = JASPAR_RELEASE, taxon: str = "vertebrates") -> list[Motif]:
    """All motifs of JASPAR's CORE collection of a taxon, the latest version of each, ordered by id.

    Args:
        release: E.g. "JASPAR2016", which has 519 of vertebrates.
        taxon: JASPAR's taxonomic group.

    Raises:
        UnknownNameError: There is no such release or taxon.
    """
    import pyjaspar  # reads Biopython, which is slow to import and needed here alone

    if release not in pyjaspar.jaspar_releases:
        raise UnknownNameError("JASPAR release", release, pyjaspar.jaspar_releases)
    database = pyjaspar.jaspardb(release=release)
    with closing(database.conn) as connection:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is none is told below
            records = database.fetch_motifs(collection="CORE", tax_group=[taxon])
        if not records:
            taxa = connection.execute("SELECT DISTINCT VAL FROM MATRIX_ANNOTATION WHERE TAG = 'tax_group'")
            raise UnknownNameError("taxonomic group", taxon, [value for (value,) in taxa])
        return sorted(map(_from_jaspar, records), key=lambda motif: motif.id or "")


def _jaspar_index(connection: Any, taxon: str) -> tuple[dict[str, str], dict[str, str]]:
    """Full matrix ids by id, base id and name: as written, and in folded case."""
    rows = connection.execute(
        "SELECT m.BASE_ID, m.VERSION, m.NAME, m.COLLECTION = 'CORE', COALESCE(a.VAL, '') = ? FROM MATRIX m "
        "LEFT JOIN MATRIX_ANNOTATION a ON a.ID = m.ID AND a.TAG = 'tax_group' ORDER BY 4, 5, m.BASE_ID DESC, m.VERSION",
        (taxon,),
    )
    # The preferred row comes last and so overwrites the others of its name.
    exact = {key: f"{base}.{version}" for base, version, name, *_ in rows for key in (name, base, f"{base}.{version}")}
    folded: dict[str, str] = {}
    for key, matrix in exact.items():
        folded.setdefault(key.casefold(), matrix)
    return exact, folded


def _from_jaspar(record: Any) -> Motif:
    counts = np.array([record.counts[base] for base in "ACGT"], dtype=np.float64)
    total = counts.sum(axis=0)
    # A few matrices have a column without counts: it prefers nothing.
    ppm = np.divide(counts, total, out=np.full_like(counts, 0.25), where=total > 0)
    return Motif("_".join(record.name.split()), ppm, record.matrix_id)


def read_meme(path: str | Path) -> list[Motif]:
    """Reads a file in MEME's minimal motif format.

    A motif line of two words gives id and name, one of one word the name alone. Columns are rescaled to sum to 1.

    Raises:
        InputError: The file is missing or no such file, or a matrix in it is not of DNA or damaged.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", expected="a MEME motif file") from error
    except UnicodeDecodeError:
        lines = []
    if not next((line for line in lines if line.strip()), "").startswith("MEME version"):
        raise InputError(f"{path} is no MEME file", expected="a file that begins with 'MEME version'")
    _, *sections = re.split(r"^MOTIF\s", "\n".join(lines), flags=re.MULTILINE)
    if not sections:
        raise InputError(f"there is no motif in {path}", expected="a line that begins with 'MOTIF' for each")
    return [_from_meme(section, path) for section in sections]


def _from_meme(section: str, path: Path) -> Motif:
    heading, _, body = section.partition("\n")
    first, *rest = heading.split() or ["motif"]
    name, id = ("_".join(rest), first) if rest else (first, None)
    header, _, table = body.partition("letter-probability matrix:")[2].partition("\n")
    fields = dict(re.findall(r"(\w+)\s*=\s*(\S+)", header))
    width = fields.get("w", "")
    if fields.get("alength", "4") != "4" or not width.isdecimal() or width == "0":
        raise InputError(
            f"{path}: the matrix of {heading.strip()!r} is missing or not one of DNA",
            expected="a line 'letter-probability matrix: alength= 4 w= WIDTH'",
        )
    lines = [line for line in table.splitlines() if line.strip()][: int(width)]
    try:
        ppm = np.array([line.split() for line in lines], dtype=np.float64)
    except ValueError:
        ppm = np.empty(0)
    # Files round to few digits, so that their rows sum to 1 only nearly.
    if ppm.shape != (int(width), 4) or not (np.abs(ppm.sum(axis=1) - 1) < 0.02).all():
        raise InputError(
            f"{path}: the matrix of {heading.strip()!r} is damaged",
            expected=f"{width} rows of four probabilities that sum to 1",
        )
    return Motif(name, (ppm / ppm.sum(axis=1, keepdims=True)).T, id)


def write_meme(motifs: Iterable[Motif], path: str | Path) -> None:
    """Writes motifs in MEME's minimal motif format, ten digits a probability.

    Raises:
        InputError: There is no motif, or the file cannot be written.
    """
    text = ["MEME version 4", "", "ALPHABET= ACGT", "", "strands: + -", "", "Background letter frequencies",
            "A 0.25 C 0.25 G 0.25 T 0.25", ""]  # fmt: skip
    header = len(text)
    for motif in motifs:
        # The format asks for a number of sites, which probabilities have lost; 20 is what its readers assume.
        text += [f"MOTIF {motif.id} {motif.name}" if motif.id else f"MOTIF {motif.name}"]
        text += [f"letter-probability matrix: alength= 4 w= {motif.width} nsites= 20 E= 0"]
        text += [" ".join(f"{value:.10f}" for value in column) for column in motif.ppm.T] + [""]
    if len(text) == header:
        raise InputError("no motif was given to write", expected="at least one")
    try:
        Path(path).write_text("\n".join(text), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", expected="a folder that can be written") from error


class Hits(NamedTuple):
    """Where a motif was found: one entry a hit, ordered by sequence, start and strand.

    Attributes:
        sequence: Row of the scanned codes, (n,).
        start: First base of the hit on the forward strand, 0-based, (n,).
        strand: "+" or "-", (n,).
        score: Log-odds, bits, (n,).
    """

    sequence: NDArray[np.int64]
    start: NDArray[np.int64]
    strand: NDArray[np.str_]
    score: NDArray[np.float64]


def best_scores(codes: NDArray[np.uint8], motif: Motif, background: Sequence[float] = UNIFORM) -> NDArray[np.float64]:
    """The highest score of a motif in each sequence, on either strand, bits, (N,); minus infinity where none fits.

    Args:
        codes: Sequences, uint8 (N, L). An N scores as the background does: 0.
        motif: What to look for; it scores by its `pwm`.
        background: Frequencies of A, C, G and T on the forward strand.

    Raises:
        SequenceError: `codes` is not of two dimensions, or holds something else than 0 to 4.
        InputError: The background is not four positive numbers that sum to 1.
    """
    _check_codes(codes)
    n, length = codes.shape
    best = np.full(n, -np.inf)
    step = max(1, _BLOCK // max(1, length))
    for oriented in (motif, motif.reverse_complement()):
        pwm = np.vstack([oriented.pwm(background=background), np.zeros(motif.width)])
        for first in range(0, n if length >= motif.width else 0, step):
            block = slice(first, first + step)
            best[block] = np.maximum(best[block], _scores(codes[block], pwm).max(axis=1))
    return best


def scan(codes: NDArray[np.uint8], motif: Motif, threshold: float, background: Sequence[float] = UNIFORM) -> Hits:
    """Finds a motif on both strands; overlapping hits are all reported, and a palindrome on both strands.

    Args:
        codes: Sequences, uint8 (N, L). An N scores as the background does: 0.
        motif: What to look for; it scores by its `pwm`.
        threshold: Lowest score of a hit, bits.
        background: Frequencies of A, C, G and T on the forward strand.

    Raises:
        SequenceError: `codes` is not of two dimensions, or holds something else than 0 to 4.
        InputError: The background is not four positive numbers that sum to 1.
    """
    _check_codes(codes)
    n, length = codes.shape
    step = max(1, _BLOCK // max(1, length))
    found = [(np.zeros(0, dtype=np.int64),) * 3 + (np.zeros(0),)]
    for is_reverse, oriented in enumerate((motif, motif.reverse_complement())):
        pwm = np.vstack([oriented.pwm(background=background), np.zeros(motif.width)])
        for first in range(0, n if length >= motif.width else 0, step):
            scores = _scores(codes[first : first + step], pwm)
            sequence, start = np.nonzero(scores >= threshold)
            found.append((sequence + first, start, np.full(start.size, is_reverse), scores[sequence, start]))
    sequence, start, strand, score = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((strand, start, sequence))
    return Hits(sequence[order], start[order], _STRANDS[strand[order]], score[order])


def _check_codes(codes: NDArray[np.uint8]) -> None:
    if codes.ndim != 2 or (codes.size and codes.max() > N_CODE):
        raise SequenceError(f"an array of shape {codes.shape} to scan", expected="codes (N, L) with values from 0 to 4")


def _scores(codes: NDArray[np.uint8], pwm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The score at every start, (n, L - w + 1); `pwm` has a fifth row for N."""
    width = pwm.shape[1]
    places = codes.shape[1] - width + 1
    scores = np.zeros((len(codes), places))
    for j in range(width):
        scores += pwm[:, j][codes[:, j : j + places]]
    return scores
