"""Public datasets: addresses, citations, licences, and known content.

No file below has a published digest. The content is compared, not the archive: GitHub repacks archives at any time, and
releases of a genome need not have identical bytes.
"""

from __future__ import annotations

import textwrap
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noncoder.data.remote.contents import Contigs, PeakFacts, Shapes
from noncoder.data.remote.partial_download import Copy
from noncoder.errors import UnknownNameError


@dataclass(frozen=True)
class RemoteFile:
    """A file that may be available at several addresses.

    Args:
        copies: Copies, tried in this order unless one is already partly downloaded.
        about: Approximate bytes to download.
    """

    copies: tuple[Copy, ...]
    about: int


@dataclass(frozen=True, kw_only=True)
class Dataset(ABC):
    """A public dataset.

    Args:
        name: Name for `noncoder data fetch`.
        title: Description.
        citation: Citation.
        licence: Licence or terms of use.
        files: Files to download.
        unpacked: Approximate bytes of the result.
        checks: What is compared with known content.
        notes: Further remarks for users.
    """

    name: str
    title: str
    citation: str
    licence: str
    files: Mapping[str, RemoteFile]
    unpacked: int
    checks: str
    notes: str = ""

    @property
    def about(self) -> int:
        """Approximate bytes to download."""
        return sum(file.about for file in self.files.values())

    def to_dict(self) -> dict[str, Any]:
        """Returns the output of `noncoder data fetch --list --json`."""
        return {
            "name": self.name,
            "title": self.title,
            "makes": self.makes,
            "download_bytes_about": self.about,
            "made_bytes_about": self.unpacked,
            "licence": self.licence,
            "citation": self.citation,
            "checks": self.checks,
            "notes": self.notes,
            "files": {
                role: [{"name": copy.name, "address": copy.address, "digest": copy.digest} for copy in file.copies]
                for role, file in self.files.items()
            },
        }

    @property
    @abstractmethod
    def makes(self) -> str:
        """The result, in words."""

    @property
    @abstractmethod
    def out(self) -> Path:
        """Default path of the result."""


@dataclass(frozen=True, kw_only=True)
class PeakDataset(Dataset):
    """A genome and peak files, from which a store is built; `files` has `genome` and `peaks`.

    Args:
        contigs: Known contigs of the genome.
        peaks: Known content of the peak files.
        build: Settings of `noncoder data build`, except the two sources.
        recipe: Recipe that trains on the store.
    """

    contigs: Contigs
    peaks: PeakFacts
    build: Mapping[str, Any]
    recipe: str

    @property
    def folder(self) -> Path:
        """Folder from which its recipes read the genome and, in `peaks`, the peak files."""
        return Path("data") / self.name

    @property
    def makes(self) -> str:
        """The result, in words."""
        return "a store"

    @property
    def out(self) -> Path:
        """Default path of the result."""
        return Path(f"{self.name}.zarr")


@dataclass(frozen=True, kw_only=True)
class MatDataset(Dataset):
    """DeepSEA's .mat files, for `noncoder data pack --deepsea`; `files` has `bundle`.

    Args:
        mats: Variables of each file, with their shapes in the file.
    """

    mats: Mapping[str, Shapes]

    @property
    def makes(self) -> str:
        """The result, in words."""
        return f"a folder with {', '.join(self.mats)}"

    @property
    def out(self) -> Path:
        """Default path of the result."""
        return Path(self.name)


def find_dataset(name: str) -> Dataset:
    """Looks up a dataset.

    Raises:
        UnknownNameError: There is no such dataset.
    """
    if name not in CATALOG:
        raise UnknownNameError("dataset", name, CATALOG)
    return CATALOG[name]


def catalog_text() -> str:
    """All datasets for a reader."""
    return "\n\n".join(map(_entry, CATALOG.values()))


def _entry(dataset: Dataset) -> str:
    lines = [
        dataset.name,
        _row("", dataset.title),
        _row("makes", f"{dataset.makes}, about {_size(dataset.unpacked)}"),
        _row("loads", f"about {_size(dataset.about)} from"),
    ]
    for file in dataset.files.values():
        lines += [f"{'or' if i else '':>10} {copy.address}" for i, copy in enumerate(file.copies)]
    lines += [_row("licence", dataset.licence), _row("cite", dataset.citation), _row("checked", dataset.checks)]
    return "\n".join(lines + ([_row("note", dataset.notes)] if dataset.notes else []))


def _row(word: str, text: str) -> str:
    indent = f"  {word:<9}" if word else "  "
    return textwrap.fill(text, 110, initial_indent=indent, subsequent_indent=" " * len(indent), break_on_hyphens=False)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.3g} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.3g} MB"


def _copies(name: str, *addresses: str) -> tuple[Copy, ...]:
    return tuple(Copy(name, address) for address in addresses)


_DEEPSEA = MatDataset(
    name="deepsea",
    title="DeepSEA's training, validation and test data: 1,000-bp windows of hg19, 919 chromatin features",
    citation="Zhou & Troyanskaya 2015, Nature Methods 12:931, doi:10.1038/nmeth.3547",
    licence="none stated with the data: ask the authors before any use beyond research",
    files={
        "bundle": RemoteFile(
            (
                Copy(
                    "deepsea_train_bundle.v0.9.tar.gz",
                    "http://deepsea.princeton.edu/media/code/deepsea_train_bundle.v0.9.tar.gz",
                ),
                # Repacked by Selene's authors, with names of the features.
                Copy("DeepSEA_data.tar.gz", "https://zenodo.org/record/2214970/files/DeepSEA_data.tar.gz"),
            ),
            about=3_700_000_000,
        )
    },
    unpacked=17_000_000_000,
    checks="names and shapes in the headers of the three files (4,400,000, 8,000 and 455,024 rows of (4, 1000) and "
    "919 labels), gzip's checksum; the authors publish no digest",
    mats={
        # HDF5 files of MATLAB have reversed axes.
        "train.mat": {"trainxdata": (1000, 4, 4_400_000), "traindata": (919, 4_400_000)},
        "valid.mat": {"validxdata": (8_000, 4, 1000), "validdata": (8_000, 919)},
        "test.mat": {"testxdata": (455_024, 4, 1000), "testdata": (455_024, 919)},
    },
)

_ROSSI = "650fd9e7fa4142580b31440323de5d3748c9e71b"
_R64 = "fasta/saccharomyces_cerevisiae/dna/Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz"

_YEAST = PeakDataset(
    name="yeast-rossi2021",
    title="where some 400 proteins bind the genome of budding yeast (ChIP-exo peaks); 257 tasks of 100 peaks or more",
    citation="Rossi et al. 2021, Nature 592:309, doi:10.1038/s41586-021-03314-8; the genome: Engel et al. 2014, "
    "G3 4:389, doi:10.1534/g3.113.008995, from Ensembl",
    licence="peaks: MIT (Pugh Laboratory); genome: Ensembl restricts neither access nor use",
    files={
        "peaks": RemoteFile(
            _copies(
                f"2021-Rossi_Nature-{_ROSSI}.tar.gz",
                f"https://github.com/CEGRcode/2021-Rossi_Nature/archive/{_ROSSI}.tar.gz",
                f"https://codeload.github.com/CEGRcode/2021-Rossi_Nature/tar.gz/{_ROSSI}",
            ),
            about=20_000_000,
        ),
        "genome": RemoteFile(
            _copies(
                _R64.rpartition("/")[2],
                f"https://ftp.ensembl.org/pub/release-110/{_R64}",
                f"https://ftp.ebi.ac.uk/ensemblorg/pub/release-110/{_R64}",
                f"https://ftp.ensemblgenomes.ebi.ac.uk/pub/fungi/release-57/{_R64}",
            ),
            about=3_800_000,
        ),
    },
    unpacked=3_300_000,
    checks="399 peak files, 188,489 peaks, one SHA-256 over all of them; 17 contigs, the length and MD5 of each",
    notes="15 of the 399 files are named by experiment, such as 17039_MOT1_chexmix_filtered_new; 14 of these repeat a "
    "file named by protein, so that Mot1 is two of the 257 tasks",
    contigs={
        "I": (230218, "6681ac2f62509cfc220d78751b8dc524"),
        "II": (813184, "97a317c689cbdd7e92a5c159acd290d2"),
        "III": (316620, "54f4a74aa6392d9e19b82c38aa8ab345"),
        "IV": (1531933, "74180788027e20df3de53dcb2367d9e3"),
        "V": (576874, "d2787193198c8d260f58f2097f9e1e39"),
        "VI": (270161, "b7ebc601f9a7df2e1ec5863deeae88a3"),
        "VII": (1090940, "a308c7ebf0b67c4926bc190dc4ba8ed8"),
        "VIII": (562643, "f66a4f8eef89fc3c3a393fe0210169f1"),
        "IX": (439888, "4eae53ae7b2029b7e1075461c3eb9aac"),
        "X": (745751, "6757b8c7d9cca2c56401e2484cf5e2fb"),
        "XI": (666816, "e72df2471be793f8aa06850348a896fa"),
        "XII": (1078177, "77945d734ab92ad527d8920c9d78ac1c"),
        "XIII": (924431, "073f9ff1c599c1a6867de2c7e4355394"),
        "XIV": (784333, "188bca5110182a786cd42686ec6882c6"),
        "XV": (1091291, "7e02090a38f05459102d1a9a83703534"),
        "XVI": (948066, "232475e9a61a5e07f9cb2df4a2dad757"),
        "Mito": (85779, "71c39cf065b8d574f636b654c274cf1b"),
    },
    peaks=PeakFacts(
        "04_ChExMix_Peaks", 399, 188_489, "810e95a0d648d03030be8d8c9e63c31e72eb3aad41a1845fc2c65205b0af284e"
    ),
    # As in the recipe, so that the store is the same.
    build={"label": "summit", "keep": "all", "min_positives": 100, "valid": ("VII", "IX"), "test": ("IV", "XI")},
    recipe="recipes/yeast.yaml",
)

CATALOG: dict[str, Dataset] = {dataset.name: dataset for dataset in (_DEEPSEA, _YEAST)}
