"""Verbs on datasets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from noncoder.cli.options import as_json, emit, force, section_from, section_options
from noncoder.cli.verbs import Verb, Verbs
from noncoder.config import BuildConfig, DeepSeaDataConfig, PackConfig, SimulateConfig
from noncoder.errors import ConfigError

_STORE = click.argument("store", type=click.Path(path_type=Path))
_OUT = click.argument("out", type=click.Path(path_type=Path))


@click.group(cls=Verbs)
def data() -> None:
    """Make and inspect datasets."""


@data.command()
@_OUT
@section_options(BuildConfig)
@force
@as_json
def build(out: Path, force: bool, as_json: bool, **given: Any) -> None:
    """Make a store OUT from a genome and peak files.

    \b
    Example:
      noncoder data build --genome yeast.fa.gz --peaks 'peaks/*.bed' --label summit --keep all \\
                          --min-positives 100 --valid VII,IX --test IV,XI yeast.zarr
    """
    from noncoder.data.peaks import build_store

    config = section_from(BuildConfig, given)
    _show(build_store(config, out, force).summary(), as_json)


@data.command()
@_OUT
@section_options(DeepSeaDataConfig, {"folder": "--deepsea"}, needed=False)
@section_options(PackConfig, needed=False)
@force
@as_json
def pack(out: Path, force: bool, as_json: bool, **given: Any) -> None:
    """Make a store OUT from labelled windows: from tables, or from the DeepSEA bundle.

    Give tables as --table, with their splits in a column or drawn, or as --train, --valid and --test. Give the DeepSEA
    bundle as --deepsea. The options for columns, splits and the window apply to tables.

    \b
    Example:
      noncoder data pack --table sequences.csv --split-column split mine.zarr
      noncoder data pack --train train.csv --valid valid.csv --test test.csv mine.zarr
      noncoder data pack --deepsea deepsea_train deepsea.zarr
    """
    tables = any(given[name] for name in ("table", "train", "valid", "test"))
    if tables == (given["folder"] is not None):
        raise ConfigError(
            "there is no source, or more than one",
            expected="either --table FILE or --deepsea FOLDER",
            hint="for tables that are already split: --train FILE --valid FILE --test FILE",
        )
    if given["folder"] is None:
        from noncoder.data.table import pack_table

        _show(pack_table(section_from(PackConfig, given, others=DeepSeaDataConfig), out, force).summary(), as_json)
    else:
        from noncoder.data.deepsea.bundle import pack_deepsea

        _show(pack_deepsea(section_from(DeepSeaDataConfig, given, others=PackConfig), out, force).summary(), as_json)


@data.command()
@_STORE
@click.argument("folder", type=click.Path(path_type=Path))
@force
@as_json
def unpack(store: Path, folder: Path, force: bool, as_json: bool) -> None:
    """Write a STORE as train.mat, valid.mat and test.mat into FOLDER, in the layout of the DeepSEA bundle.

    \b
    Example:
      noncoder data unpack deepsea.zarr deepsea_train
    """
    from noncoder.data.deepsea.bundle import unpack_deepsea
    from noncoder.data.store import open_store

    files = unpack_deepsea(open_store(store), folder, force)
    sizes = {str(file): file.stat().st_size for file in files}
    emit({"files": sizes}, "\n".join(f"{file}  {size / 1e6:,.1f} MB" for file, size in sizes.items()), as_json)


@data.command()
@_OUT
@section_options(SimulateConfig)
@force
@as_json
def simulate(out: Path, force: bool, as_json: bool, **given: Any) -> None:
    """Make a store OUT from a simulated genome with planted motifs; the planted sites are kept beside it.

    \b
    Example:
      noncoder data simulate --windows 6000 --tasks 16 --seed 0 demo.zarr
    """
    from noncoder.data.simulate import simulate_store

    config = section_from(SimulateConfig, given)
    _show(simulate_store(config, out, force).summary(), as_json)


@data.command()
@click.argument("name", required=False)
@click.argument("out", required=False, type=click.Path(path_type=Path))
@click.option("--list", "listed", is_flag=True, help="List the datasets, with sizes, licences and citations.")
@click.option("--offline", is_flag=True, help="Use only the cache, and report missing files.")
@click.option("--mirror", metavar="URL", help="Web folder that holds the files under their own names.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Folder for downloads.  [default: $NONCODER_CACHE, else ~/.cache/noncoder]",
)
@click.option("--discard", is_flag=True, help="Remove the downloads from the cache at the end.")
@force
@as_json
def fetch(
    name: str | None,
    out: Path | None,
    listed: bool,
    offline: bool,
    mirror: str | None,
    cache: Path | None,
    discard: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Download the public dataset NAME, check it and make OUT from it; without NAME, list the datasets.

    The same command resumes an interrupted download. A file put into the cache by hand is used if it passes the checks.
    Without OUT, a genome and its peak files are also copied to data/NAME, where recipes read them.

    \b
    Example:
      noncoder data fetch yeast-rossi2021
      noncoder data fetch yeast-rossi2021 yeast.zarr
    """
    from noncoder.data.remote import catalog
    from noncoder.data.remote import fetch as fetching

    folder = cache or fetching.cache_folder()
    if listed or name is None:
        known = [dataset.to_dict() for dataset in catalog.CATALOG.values()]
        emit({"cache": str(folder), "datasets": known}, f"{catalog.catalog_text()}\n\ncache: {folder}", as_json)
        return
    dataset = catalog.find_dataset(name)
    shelf = fetching.Shelf(folder / name, offline, mirror)
    fetched = fetching.fetch(dataset, out or dataset.out, shelf, force)
    if out is None and isinstance(dataset, catalog.PeakDataset):
        fetched = fetching.place_sources(dataset, fetched)
    if discard:
        fetching.discard(dataset, shelf)
    if as_json:
        emit(fetched.to_dict(), "", True)
        return
    if fetched.store is not None:
        _show(dict(fetched.store), False)
    click.echo(f"{fetched.out} is ready: {dataset.title}\ncite: {dataset.citation}\nnext: {fetched.next}")


@data.command()
@_STORE
@as_json
def info(store: Path, as_json: bool) -> None:
    """Show what a STORE holds.

    \b
    Example:
      noncoder data info yeast.zarr --json
    """
    from noncoder.data.store import open_store

    _show(open_store(store).summary(), as_json)


@data.command()
@_STORE
@as_json
def check(store: Path, as_json: bool) -> None:
    """Read a STORE completely and compare it with the digests from when it was written.

    \b
    Example:
      noncoder data check yeast.zarr
    """
    from noncoder.data.store import open_store

    opened = open_store(store)
    opened.check()
    text = f"{store} is intact: {len(opened):,} windows, digest {opened.digest[:12]}"
    emit({"store": str(store), "whole": True, "windows": len(opened), "digest": opened.digest}, text, as_json)


@data.command()
@click.option(
    "--published", is_flag=True, help="Add DeepSEA's, DanQ's and DanQ-JASPAR's published scores, and peak files."
)
@as_json
def tasks(published: bool, as_json: bool) -> None:
    """List the 919 tasks of DeepSEA, as a task sheet (TSV).

    \b
    Example:
      noncoder data tasks --published > deepsea-tasks.tsv
    """
    from noncoder.data.deepsea.deepsea_tasks import deepsea_table

    table = deepsea_table()
    if not published:
        table = table.select("name", "group", "cell", "assay", "treatment")
    emit({"tasks": table.to_dicts()}, table.write_csv(separator="\t", quote_style="never").rstrip("\n"), as_json)


@click.command(cls=Verb)
@_STORE
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with the figures.")
@click.option("--matrix", type=click.Path(path_type=Path), help="Write the co-occurrence of each pair of tasks (NPZ).")
@click.option(
    "--min-positives", type=click.IntRange(1), default=30, show_default=True,
    help="List the tasks with fewer positives in a split.",
)  # fmt: skip
@click.option(
    "--near", type=click.FloatRange(0, 1, min_open=True), default=0.5, show_default=True,
    help="Two windows are near-duplicates if one has at least this fraction of the other's sampled 21-mers.",
)  # fmt: skip
@force
@as_json
def explore(
    store: Path, html: Path | None, matrix: Path | None, min_positives: int, near: float, force: bool, as_json: bool
) -> None:
    """Show the statistics of a STORE: positives, imbalance, sequence, overlap between splits, co-occurrence of tasks.

    \b
    Example:
      noncoder explore yeast.zarr --html yeast.html
    """
    from noncoder.data.explore import explore as statistics
    from noncoder.data.explore_text import explore_text
    from noncoder.data.store import open_store
    from noncoder.files import refuse_existing

    for out in (html, matrix):
        if out is not None:
            refuse_existing(out, force)
    opened = open_store(store)
    found = statistics(opened, min_positives, near)
    if matrix is not None:
        from noncoder.data.cooccurrence import save_cooccurrence

        save_cooccurrence(opened, matrix)
    if html is not None:
        from noncoder.report import write_exploration

        write_exploration(found, html, title=store.stem)
    emit(found, explore_text(found), as_json)


def _show(summary: dict[str, Any], machine: bool) -> None:
    if machine:
        click.echo(json.dumps(summary, indent=1))
        return
    splits = ", ".join(f"{name} {part['windows']:,}" for name, part in summary["splits"].items())
    share = summary["positives"] / max(1, summary["windows"] * summary["tasks"])
    lines = [
        f"{summary['path']}  {summary['bytes'] / 1e6:,.1f} MB, "
        f"{summary['raw_bytes'] / max(1, summary['bytes']):,.0f} times smaller than one-hot bytes",
        f"  windows    {summary['windows']:,} of {summary['window']} bp, labelled centre {summary['bin']} bp",
        f"  splits     {splits}",
        *([f"  split by   {summary['split_rule']}"] if summary["split_rule"] else []),
        f"  tasks      {summary['tasks']:,}; {summary['positives']:,} positive labels ({share:.2%})",
        f"  genome     {summary['genome'] or '-'}, {summary['contigs']:,} contigs, {summary['bases']:,} bases"
        + ("" if summary["coordinates"] else "; sequences without coordinates on a genome"),
        f"  labels     {summary['label_rule']}" + (", some unknown" if summary["unknown_labels"] else ""),
        *(f"  left out   {drop['count']:,} {drop['what']}: {drop['why']}" for drop in summary["dropped"]),
        *(f"  note       {note}" for note in summary["notes"]),
        f"  digest     {summary['digest'][:12]}",
    ]
    click.echo("\n".join(lines))
