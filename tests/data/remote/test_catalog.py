"""From a name to a dataset: the catalogue's entries, the checks of what came, and what is made of it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from noncoder.cli import main
from noncoder.config import BuildConfig, read_recipe
from noncoder.data.peaks import build_store
from noncoder.data.remote import catalog
from noncoder.data.remote.catalog import CATALOG, MatDataset, PeakDataset, RemoteFile, catalog_text, find_dataset
from noncoder.data.remote.contents import PeakFacts, check_genome, check_mat, read_peak_archive
from noncoder.data.remote.fetch import Shelf, cache_folder, discard, fetch
from noncoder.data.remote.partial_download import Copy, Patience
from noncoder.data.store import open_store
from noncoder.errors import DownloadError, InputError, UnknownNameError
from tests.conftest import listing, random_genome, write_fasta
from tests.data.remote.web import Reply, Web, serving

QUICK = Patience(connect=1, read=0.25, attempts=2, backoff=0.001, longest=0.01)
SHARED = Path(__file__).parents[3] / ".." / "shared" / "data" / "yeast-rossi2021"
GENOME = random_genome({"I": 3_000, "II": 2_000, "IV": 4_000, "Mito": 900})
PEAKS = {
    f"{name}_CX.bed": "".join(f"chr{c}\t{at}\t{at + 1}\tpeak\t1\t.\n" for c in (1, 2, 4) for at in range(i, 2_000, 90))
    for i, name in enumerate(("Reb1", "Abf1", "Rap1"), start=1)
} | {"Empty_CX.bed": ""}
MATS = {
    "train.mat": {"trainxdata": (10, 4, 12), "traindata": (9, 12)},
    "valid.mat": {"validxdata": (4, 4, 10), "validdata": (4, 9)},
    "test.mat": {"testxdata": (6, 4, 10), "testdata": (6, 9)},
}

Run = Callable[..., tuple[int, str, str]]


def pack(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def peak_archive(peaks: Mapping[str, str | bytes] = PEAKS) -> bytes:
    """As GitHub packs it: one folder around all, and other things beside the peaks."""
    top = "2021-Rossi_Nature-650fd9e"
    other = {f"{top}/README.md": b"#", f"{top}/04_ChExMix_Peaks/00_README.rtf": b"{", f"{top}/00_Files/x.bed": b"x\n"}
    bytes_of = {name: text.encode() if isinstance(text, str) else text for name, text in peaks.items()}
    return pack(other | {f"{top}/04_ChExMix_Peaks/{name}": content for name, content in bytes_of.items()})


def packed_genome(folder: Path, records: Mapping[str, str]) -> bytes:
    return gzip.compress(write_fasta(folder / "genome.fa", records).read_bytes(), mtime=0)


def small_peaks(peaks: Mapping[str, str] = PEAKS) -> PeakDataset:
    """The yeast entry with made-up facts of the same kind."""
    listed = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in sorted(peaks.items()))
    facts = PeakFacts(
        "04_ChExMix_Peaks",
        len(peaks),
        sum(text.count("\n") for text in peaks.values()),
        hashlib.sha256(listed.encode()).hexdigest(),
    )
    entry = CATALOG["yeast-rossi2021"]
    assert isinstance(entry, PeakDataset)
    return replace(
        entry,
        peaks=facts,
        contigs={name: (len(text), hashlib.md5(text.encode()).hexdigest()) for name, text in GENOME.items()},
        build=dict(entry.build) | {"min_positives": 5, "valid": ("II",), "test": ("I",)},
    )


def small_mats() -> MatDataset:
    entry = CATALOG["deepsea"]
    assert isinstance(entry, MatDataset)
    return replace(entry, mats=MATS, unpacked=10_000, files={"bundle": replace(entry.files["bundle"], about=10_000)})


def mat_files(folder: Path) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / "train.mat", "w") as file:
        for name, shape in MATS["train.mat"].items():
            file[name] = np.zeros(shape, dtype=np.uint8)
    for part in ("valid.mat", "test.mat"):
        variables = {name: np.zeros(shape, dtype=np.uint8) for name, shape in MATS[part].items()}
        savemat(folder / part, variables, do_compression=True)
    return {name: (folder / name).read_bytes() for name in MATS}


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NONCODER_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture
def web(server: Web, tmp_path: Path) -> Web:
    """Has the files of the two small datasets, under their names."""
    server.replies.clear()
    server.asked.clear()
    (archive,) = {copy.name for copy in small_peaks().files["peaks"].copies}
    (genome,) = {copy.name for copy in small_peaks().files["genome"].copies}
    made = tmp_path / "made"
    made.mkdir()
    server.put(f"/{archive}", peak_archive())
    server.put(f"/{genome}", packed_genome(made, GENOME))
    bundle = {f"deepsea_train/{name}": content for name, content in mat_files(made).items()}
    server.put("/deepsea_train_bundle.v0.9.tar.gz", pack({"deepsea_train/readme": b"Jian"} | bundle))
    return server


@pytest.fixture
def shelf(web: Web, tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "cache" / "set", mirror=web.address + "/", patience=QUICK)


@pytest.fixture
def noncoder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the command line in an empty folder, with small datasets in the catalogue."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(catalog, "CATALOG", {"yeast-rossi2021": small_peaks(), "deepsea": small_mats()})

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["noncoder", "data", "fetch", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        printed = capsys.readouterr()
        return int(done.value.code or 0), printed.out, printed.err

    return run


class TestEntries:
    def test_say_what_a_user_needs(self) -> None:
        assert set(CATALOG) == {"deepsea", "yeast-rossi2021"}
        text = catalog_text()
        for name, dataset in CATALOG.items():
            assert find_dataset(name) is dataset
            assert dataset.name == name
            assert "doi:" in dataset.citation
            assert dataset.licence
            assert dataset.checks
            for file in dataset.files.values():
                assert all(copy.address in text for copy in file.copies)
                assert all(copy.address.startswith("https://") for copy in file.copies[1:])
            assert json.loads(json.dumps(dataset.to_dict()))["name"] == name
        assert max(map(len, text.splitlines())) < 170

    def test_unknown(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'yeast-rossi2021'"):
            find_dataset("yeast-rosi2021")

    def test_yeast_is_built_as_its_recipe_builds_it(self) -> None:
        entry = CATALOG["yeast-rossi2021"]
        assert isinstance(entry, PeakDataset)
        recipe = read_recipe(Path(__file__).parents[3] / entry.recipe).data.build
        assert recipe is not None
        assert BuildConfig(genome=recipe.genome, peaks=recipe.peaks, **entry.build) == recipe
        assert recipe.genome.name == entry.files["genome"].copies[0].name

    def test_deepsea_is_of_the_documented_shapes(self, tmp_path: Path) -> None:
        entry = CATALOG["deepsea"]
        assert isinstance(entry, MatDataset)
        rows = {name: max(shape[0], shape[-1]) for mat in entry.mats.values() for name, shape in mat.items()}
        assert {rows["trainxdata"], rows["traindata"]} == {4_400_000}
        assert {rows["validxdata"], rows["validdata"]} == {8_000}
        assert {rows["testxdata"], rows["testdata"]} == {455_024}
        assert sorted(entry.mats["test.mat"]["testxdata"]) == [4, 1000, 455_024]
        with h5py.File(tmp_path / "train.mat", "w", userblock_size=512) as file:  # of full size, but never filled
            for name, shape in entry.mats["train.mat"].items():
                file.create_dataset(name, shape, dtype=np.uint8)
        assert (tmp_path / "train.mat").stat().st_size < 10_000
        check_mat(tmp_path / "train.mat", entry.mats["train.mat"])

    def test_where_the_cache_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NONCODER_CACHE", "~/mine")
        assert cache_folder() == Path.home() / "mine"
        monkeypatch.delenv("NONCODER_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
        assert cache_folder() == Path("/xdg/noncoder")
        monkeypatch.setenv("XDG_CACHE_HOME", "")
        assert cache_folder() == Path.home() / ".cache" / "noncoder"


class TestPeaks:
    def test_end_in_the_store_that_build_makes(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        fetched = fetch(small_peaks(), tmp_path / "yeast.zarr", shelf)
        store = open_store(fetched.out)
        store.check()
        assert [task.name for task in store.tasks] == ["Abf1", "Rap1", "Reb1"]
        assert fetched.store == store.summary()
        assert fetched.next.startswith("noncoder run recipes/yeast.yaml data.store=")
        assert len(listing(shelf.folder / "peaks")) == len(PEAKS)

        (tmp_path / "by hand").mkdir()
        for name, text in PEAKS.items():
            (tmp_path / "by hand" / name).write_text(text)
        config = BuildConfig(
            genome=next(shelf.folder.glob("*.fa.gz")),
            peaks=(str(tmp_path / "by hand" / "*.bed"),),
            **small_peaks().build,
        )
        assert build_store(config, tmp_path / "same.zarr").digest == store.digest

    def test_a_second_time_nothing_is_downloaded(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        fetch(small_peaks(), tmp_path / "a.zarr", shelf)
        asked = len(web.asked)
        assert asked == 2
        fetch(small_peaks(), tmp_path / "b.zarr", replace(shelf, offline=True))
        fetch(small_peaks(), tmp_path / "b.zarr", shelf, force=True)
        assert len(web.asked) == asked

    def test_goes_on_where_it_was_cut_off(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        path, replies = next((path, replies) for path, replies in web.replies.items() if path.endswith(".fa.gz"))
        whole = replies[0]
        web.put(path, replace(whole, cut=1_000), replace(whole, cut=0))
        with pytest.raises(DownloadError, match="2 times in a row"):
            fetch(small_peaks(), tmp_path / "y.zarr", shelf)
        assert not (tmp_path / "y.zarr").exists()
        web.put(path, whole)
        web.asked.clear()
        fetch(small_peaks(), tmp_path / "y.zarr", shelf)
        assert web.sent() == [len(whole.content) - 1_000]  # and the peaks not at all

    def test_from_the_second_address(self, web: Web, tmp_path: Path) -> None:
        entry = small_peaks()
        page = Reply(b"<html>gone", headers={"Content-Type": "text/html"})
        wrong = gzip.compress(b">I\nACGT\n")
        files = {}
        for role, file in entry.files.items():
            name = file.copies[0].name
            places = [web.put(f"/1/{role}", page), web.put(f"/2/{role}", wrong), f"{web.address}/{name}"]
            files[role] = RemoteFile(tuple(Copy(name, place) for place in places), 1_000)
        shelf = Shelf(tmp_path / "cache", patience=QUICK)
        fetch(replace(entry, files=files), tmp_path / "y.zarr", shelf)
        assert [asked.path[:3] for asked in web.asked] == ["/1/", "/2/", "/20", "/1/", "/2/", "/Sa"]

        files = {role: replace(file, copies=file.copies[:2]) for role, file in files.items()}
        with pytest.raises(DownloadError, match="no address has 2021-Rossi") as caught:
            fetch(replace(entry, files=files), tmp_path / "z.zarr", replace(shelf, folder=tmp_path / "other"))
        message = str(caught.value)
        assert "/1/peaks answers with a web page" in message
        assert "/2/peaks: 2021-Rossi_Nature-" in message
        assert f"by hand to {tmp_path / 'other'}" in message

    def test_what_was_put_there_by_hand(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        offline = replace(shelf, offline=True)
        with pytest.raises(InputError, match=r"lacks 2021-Rossi_.* and Saccharomyces_.*") as caught:
            fetch(small_peaks(), tmp_path / "y.zarr", offline)
        assert "download https://github.com/" in caught.value.hint
        assert "download https://ftp.ensembl.org/" in caught.value.hint
        assert str(shelf.folder / "Saccharomyces_cerevisiae") in caught.value.hint
        for path, (reply,) in web.replies.items():
            shelf.folder.mkdir(parents=True, exist_ok=True)
            (shelf.folder / path[1:]).write_bytes(reply.content)
        fetch(small_peaks(), tmp_path / "y.zarr", offline)
        assert web.asked == []

    def test_a_folder_of_peaks_put_there_by_hand(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        (shelf.folder / "peaks").mkdir(parents=True)
        for name, text in PEAKS.items():
            (shelf.folder / "peaks" / name).write_text(text)
        (shelf.folder / "peaks" / "._Reb1_CX.bed").write_text("of a Macintosh")
        fetch(small_peaks(), tmp_path / "y.zarr", shelf)
        assert len(web.asked) == 1
        (shelf.folder / "peaks" / "Reb1_CX.bed").write_text(PEAKS["Reb1_CX.bed"].replace("\t1\t.", "\t2\t."))
        with pytest.raises(InputError, match=r"peaks is wrong: .* have the digest") as caught:
            fetch(small_peaks(), tmp_path / "z.zarr", shelf)
        assert "remove it" in caught.value.hint

    def test_a_wrong_file_put_there_by_hand(self, shelf: Shelf, tmp_path: Path) -> None:
        shelf.folder.mkdir(parents=True)
        for file in small_peaks().files.values():
            path = shelf.folder / file.copies[0].name
            path.write_bytes(b"<html>")
            with pytest.raises(InputError, match=r"is wrong: .*<") as caught:
                fetch(small_peaks(), tmp_path / "y.zarr", shelf)
            assert str(path) in caught.value.found
            assert path.exists()
            path.unlink()

    def test_a_taken_name_is_told_before_anything_else(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        (tmp_path / "y.zarr").mkdir()
        with pytest.raises(InputError, match="already exists"):
            fetch(small_peaks(), tmp_path / "y.zarr", shelf)
        assert web.asked == []

    def test_no_room(self, web: Web, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
        with pytest.raises(InputError, match=r"needs 0\.09 GB"):
            fetch(small_peaks(), tmp_path / "y.zarr", shelf)
        assert web.asked == []

    def test_discarded(self, shelf: Shelf, tmp_path: Path) -> None:
        fetch(small_peaks(), tmp_path / "y.zarr", shelf)
        (shelf.folder / "mine.txt").touch()
        discard(small_peaks(), shelf)
        assert listing(shelf.folder) == [".lock", "mine.txt"]

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"More_CX.bed": "chr1\t1\t2\n"}, "has 5 peak files in 04_ChExMix_Peaks\nexpected: 4"),
            ({"Reb1_CX.bed": PEAKS["Reb1_CX.bed"] * 2}, "lines\nexpected: 2"),
            ({"Reb1_CX.bed": PEAKS["Rap1_CX.bed"]}, "have the digest"),
            ({"Reb1_CX.bed": PEAKS["Reb1_CX.bed"].replace("\n", "\r\n")}, "have the digest"),
        ],
    )
    def test_other_peaks(self, tmp_path: Path, changed: dict[str, str], message: str) -> None:
        (tmp_path / "p.tar.gz").write_bytes(peak_archive(PEAKS | changed))
        with pytest.raises(DownloadError) as caught:
            read_peak_archive(tmp_path / "p.tar.gz", small_peaks().peaks)
        assert message in str(caught.value)

    def test_no_whole_archive(self, tmp_path: Path) -> None:
        whole = peak_archive()
        damaged = bytearray(whole)
        damaged[-8] ^= 1  # of the checksum, which stands after all files
        for content in (
            whole[:-4],
            whole[: len(whole) // 2],
            bytes(damaged),
            gzip.compress(b"no tar" * 200),
            b"\x1f\x8b",
        ):
            (tmp_path / "p.tar.gz.part").write_bytes(content)
            with pytest.raises(DownloadError, match=r"^p\.tar\.gz is truncated or damaged"):
                read_peak_archive(tmp_path / "p.tar.gz.part", small_peaks().peaks)
        (tmp_path / "p.tar.gz").write_bytes(b"")
        with pytest.raises(DownloadError, match="is not a gzip file"):
            read_peak_archive(tmp_path / "p.tar.gz", small_peaks().peaks)

    def test_an_archive_that_reaches_out(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for i, (name, text) in enumerate(PEAKS.items()):
                # Members that lead elsewhere are peaks of that name; links are nothing at all.
                member = tarfile.TarInfo(("../../04_ChExMix_Peaks/", "/etc/04_ChExMix_Peaks/")[i % 2] + name)
                member.size, member.mode = len(text), 0o4777
                tar.addfile(member, io.BytesIO(text.encode()))
                link = tarfile.TarInfo(f"x/04_ChExMix_Peaks/Link{i}.bed")
                link.type, link.linkname = (tarfile.SYMTYPE, tarfile.LNKTYPE)[i % 2], "/etc/passwd"
                tar.addfile(link)
        path = next(path for path in web.replies if path.endswith("tar.gz") and "Rossi" in path)
        web.put(path, file.getvalue())
        before = set(tmp_path.iterdir())
        fetch(small_peaks(), tmp_path / "y.zarr", shelf)
        assert listing(shelf.folder / "peaks") == sorted(PEAKS)
        assert set(tmp_path.iterdir()) - before == {tmp_path / "y.zarr", tmp_path / "cache"}
        assert not any(path.stat().st_mode & 0o4000 for path in (shelf.folder / "peaks").iterdir())


class TestGenome:
    def check(self, folder: Path, records: Mapping[str, str]) -> None:
        (folder / "g.fa.gz").write_bytes(packed_genome(folder, records))
        check_genome(folder / "g.fa.gz", small_peaks().contigs)

    def test_of_any_case_and_line_width(self, tmp_path: Path) -> None:
        self.check(tmp_path, GENOME)
        self.check(tmp_path, {name: text.lower() for name, text in reversed(GENOME.items())})
        check_genome(write_fasta(tmp_path / "g.fa", GENOME, width=17), small_peaks().contigs)

    def test_another(self, tmp_path: Path) -> None:
        with pytest.raises(DownloadError, match=r"other contigs: II 0 bp, chrII 2,000 bp") as caught:
            self.check(tmp_path, {("chrII" if name == "II" else name): text for name, text in GENOME.items()})
        assert caught.value.expected == "II 2,000 bp, chrII 0 bp"
        with pytest.raises(DownloadError, match="other contigs: IV 3,999 bp"):
            self.check(tmp_path, GENOME | {"IV": GENOME["IV"][:-1]})
        changed = GENOME["IV"][:99] + ("A" if GENOME["IV"][99] != "A" else "C") + GENOME["IV"][100:]
        with pytest.raises(DownloadError, match="another sequence for IV"):
            self.check(tmp_path, GENOME | {"IV": changed})

    def test_none(self, tmp_path: Path) -> None:
        (tmp_path / "g.fa.gz.part").write_bytes(packed_genome(tmp_path, GENOME)[:-40])
        with pytest.raises(DownloadError, match=r"^g\.fa\.gz is truncated"):
            check_genome(tmp_path / "g.fa.gz.part", small_peaks().contigs)


class TestMats:
    def test_end_in_three_files(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        fetched = fetch(small_mats(), tmp_path / "deep sea", shelf)
        assert listing(fetched.out) == sorted(MATS)
        # A MATLAB file begins with 116 bytes of text, the time among them.
        made = {name: content[116:] for name, content in mat_files(tmp_path / "made").items()}
        assert {path.name: path.read_bytes()[116:] for path in fetched.out.iterdir()} == made
        assert fetched.next == f"noncoder data pack --deepsea '{fetched.out}' '{fetched.out}.zarr'"
        assert fetched.store is None

        # What is there stays; what is missing comes from the cache.
        (fetched.out / "valid.mat").unlink()
        written = (fetched.out / "train.mat").stat().st_mtime_ns
        fetch(small_mats(), fetched.out, replace(shelf, offline=True))
        assert listing(fetched.out) == sorted(MATS)
        assert (fetched.out / "train.mat").stat().st_mtime_ns == written
        discard(small_mats(), shelf)
        assert listing(shelf.folder) == [".lock"]
        fetch(small_mats(), fetched.out, replace(shelf, offline=True))
        assert len(web.asked) == 1

    def test_from_the_other_archive(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        web.put("/deepsea_train_bundle.v0.9.tar.gz", Reply(status=404))
        members = {f"DeepSEA_data/{name}": content for name, content in mat_files(tmp_path / "made").items()}
        web.put("/DeepSEA_data.tar.gz", pack(members | {"DeepSEA_data/._train.mat": b"of a Macintosh"}))
        assert listing(fetch(small_mats(), tmp_path / "d", shelf).out) == sorted(MATS)
        assert "DeepSEA_data.tar.gz" in listing(shelf.folder)

    def test_what_came_furthest_is_gone_on_with(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        first, second = (f"/{copy.name}" for copy in small_mats().files["bundle"].copies)
        whole = web.replies[first][0]
        web.put(first, replace(whole, cut=100), replace(whole, cut=0))
        web.put(second, replace(whole, cut=200), replace(whole, cut=0))
        with pytest.raises(DownloadError, match="no address has"):
            fetch(small_mats(), tmp_path / "d", shelf)
        web.put(first, whole)
        web.put(second, whole)
        web.asked.clear()
        fetch(small_mats(), tmp_path / "d", shelf)
        assert [(asked.path, asked.sent) for asked in web.asked] == [(second, len(whole.content) - 200)]
        assert listing(shelf.folder) == [".lock", second[1:]]

    def test_other_shapes(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        entry = small_mats()
        for name, variable in (("train.mat", "traindata"), ("test.mat", "testdata")):
            wrong = {**MATS, name: {**MATS[name], variable: (9, 9)}}
            with pytest.raises(InputError, match=rf"{name}\.[\w-]+\.partial holds .*\nexpected: .*{variable} \(9, 9\)"):
                fetch(replace(entry, mats=wrong), tmp_path / "d", shelf)
            assert not (tmp_path / "d").exists()
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "train.mat").write_bytes(b"short")
        with pytest.raises(InputError, match=r"train\.mat is wrong: .* is not a \.mat file") as caught:
            fetch(entry, tmp_path / "d", shelf)
        assert "remove it" in caught.value.hint
        assert listing(tmp_path / "d") == ["train.mat"]
        fetch(entry, tmp_path / "d", shelf, force=True)
        assert listing(tmp_path / "d") == sorted(MATS)

    def test_a_file_that_is_cut_off(self, tmp_path: Path) -> None:
        content = mat_files(tmp_path / "made")
        for name in MATS:
            check_mat(tmp_path / "made" / name, MATS[name])
            (tmp_path / name).write_bytes(content[name][:100])
            with pytest.raises(DownloadError, match=r"is not a \.mat file, or is truncated"):
                check_mat(tmp_path / name, MATS[name])

    def test_an_archive_without_one(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        web.put("/deepsea_train_bundle.v0.9.tar.gz", pack({"d/train.mat": b"", "d/valid.mat": b""}))
        web.put("/DeepSEA_data.tar.gz", pack({"d/train.mat": b"", "e/train.mat": b"", "d/valid.mat": b""}))
        with pytest.raises(
            DownloadError, match=r"holds train\.mat, valid\.mat\n.*holds train\.mat, train\.mat"
        ) as caught:
            fetch(small_mats(), tmp_path / "d", shelf)
        assert "each of them once" in caught.value.expected
        assert not (tmp_path / "d").exists()

    def test_an_archive_that_was_damaged_in_the_cache(self, web: Web, shelf: Shelf, tmp_path: Path) -> None:
        archive = shelf.folder / "DeepSEA_data.tar.gz"
        archive.parent.mkdir(parents=True)
        archive.write_bytes(web.replies["/deepsea_train_bundle.v0.9.tar.gz"][0].content[:-6])
        with pytest.raises(InputError, match=r"DeepSEA_data\.tar\.gz is wrong: .* is truncated or damaged"):
            fetch(small_mats(), tmp_path / "d", shelf)
        assert not (tmp_path / "d").exists()

    def test_no_room_for_what_is_inside(self, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fetch(small_mats(), tmp_path / "d", shelf)
        shutil.rmtree(tmp_path / "d")
        usage = shutil.disk_usage(tmp_path)
        free = (1 << 26) + 100
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))
        with pytest.raises(InputError, match=r"needs .* GB") as caught:
            fetch(replace(small_mats(), unpacked=0), tmp_path / "d", shelf)
        assert "train.mat" in caught.value.found
        with pytest.raises(InputError, match="what deepsea unpacks to"):
            fetch(small_mats(), tmp_path / "d", shelf)
        assert not (tmp_path / "d").exists()


class TestVerb:
    def test_makes_a_store(self, noncoder: Run, web: Web) -> None:
        code, out, err = noncoder("yeast-rossi2021", "--mirror", web.address)
        assert code == 0, err
        assert "yeast-rossi2021.zarr is ready" in out
        assert "cite: Rossi et al. 2021" in out
        assert "next: noncoder run recipes/yeast.yaml\n" in out
        for name in ("yeast", "yeast-motifs"):  # they read what lies there now
            build = read_recipe(Path(__file__).parents[3] / f"recipes/{name}.yaml").data.build
            assert build is not None
            assert build.genome.is_file()
            assert {Path(pattern).parent for pattern in build.peaks} == {Path("data/yeast-rossi2021/peaks")}
        assert listing(Path("data/yeast-rossi2021/peaks")) == sorted(PEAKS)
        code, out, _ = noncoder("yeast-rossi2021", "other.zarr", "--offline", "--discard", "--json")
        assert code == 0
        assert json.loads(out)["store"]["tasks"] == 3
        code, _, err = noncoder("yeast-rossi2021", "third.zarr", "--offline")
        assert code == 2
        assert "lacks" in err

    def test_sources_that_are_there_stay_or_are_named(self, noncoder: Run, web: Web) -> None:
        assert noncoder("yeast-rossi2021", "--mirror", web.address)[0] == 0
        peak = Path("data/yeast-rossi2021/peaks/Reb1_CX.bed")
        before = peak.stat().st_mtime_ns
        assert noncoder("yeast-rossi2021", "--offline", "--force")[0] == 0
        assert peak.stat().st_mtime_ns == before
        peak.write_text(peak.read_text().replace("\t1\t.", "\t2\t."))
        code, _, err = noncoder("yeast-rossi2021", "--offline", "--force")
        assert code == 2
        assert "data/yeast-rossi2021 is wrong" in err
        assert noncoder("yeast-rossi2021", "elsewhere.zarr", "--offline")[0] == 0  # with a name, the store alone

    def test_makes_a_folder(self, noncoder: Run, web: Web) -> None:
        code, out, err = noncoder("deepsea", "--mirror", web.address)
        assert code == 0, err
        assert "next: noncoder data pack --deepsea deepsea deepsea.zarr" in out
        assert listing(Path("deepsea")) == sorted(MATS)

    def test_lists(self, noncoder: Run, tmp_path: Path) -> None:
        code, out, _ = noncoder()
        assert code == 0
        assert "yeast-rossi2021\n" in out
        assert str(tmp_path / "cache") in out
        assert noncoder("--list") == (code, out, "")
        listed = json.loads(noncoder("--json", "--cache", "elsewhere")[1])
        assert listed["cache"] == "elsewhere"
        assert {dataset["name"] for dataset in listed["datasets"]} == {"yeast-rossi2021", "deepsea"}

    def test_mistakes(self, noncoder: Run, web: Web) -> None:
        for arguments, message in (
            (("deapsea",), "did you mean 'deepsea'?"),
            (("deepsea", "--mirror", "ftp://x.org"), "is no address"),
            (("deepsea", "--mirror", web.address + "/nowhere"), "answers 404"),
            (("yeast-rossi2021", "no/store", "--offline"), "lacks 2021-Rossi_Nature"),
        ):
            code, out, err = noncoder(*arguments)
            assert (code, out) == (2, "")
            assert message in err
            assert err.startswith("noncoder: ")
            assert "Traceback" not in err
        assert listing(Path()) == []

    def test_an_interrupt_says_what_is_kept(self, noncoder: Run, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: object) -> bytes:
            raise KeyboardInterrupt

        monkeypatch.setattr("noncoder.data.remote.transfer.Transfer._read", interrupted)
        code, _, err = noncoder("deepsea", "--mirror", web.address)
        assert code == 130
        assert len(err.strip().splitlines()) == 2
        assert "deepsea_train_bundle.v0.9.tar.gz.part keeps the downloaded 0.0 MB; the same command resumes" in err


def test_the_real_files(server: Web, tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip("the real data yeast-rossi2021 is not beside the repository (../shared/data)")
    entry = CATALOG["yeast-rossi2021"]
    server.replies.clear()
    peaks = {path.name: path.read_bytes() for path in (SHARED / "peaks").iterdir()}
    genome = SHARED / entry.files["genome"].copies[0].name
    server.put(f"/{genome.name}", genome.read_bytes())
    server.put(f"/{entry.files['peaks'].copies[0].name}", peak_archive(peaks))
    shelf = Shelf(tmp_path / "[cache]", mirror=server.address, patience=QUICK)  # as a pattern it would be another name
    store = open_store(fetch(entry, tmp_path / "yeast.zarr", shelf).out)
    assert (len(store), len(store.tasks)) == (60_349, 257)
    assert {"Reb1", "Abf1", "Mot1"} <= {task.name for task in store.tasks}
    recipe = read_recipe(Path(__file__).parents[3] / "recipes/yeast.yaml").data.build
    assert recipe is not None
    same = recipe.model_copy(update={"genome": genome, "peaks": (str(SHARED / "peaks" / "*.bed"),)})
    assert build_store(same, tmp_path / "same.zarr").digest == store.digest
