"""The 919 tasks of DeepSEA, with their peak files and published scores."""

from __future__ import annotations

from importlib.resources import files

import polars as pl

from noncoder.data.tasks import Task

MODELS = ("deepsea", "danq", "danq_jaspar")


def deepsea_tasks() -> tuple[Task, ...]:
    """Returns DeepSEA's tasks in its order: 125 of DNase, 690 of transcription factors, 104 of histone marks.

    A name consists of cell, assay and treatment, joined by "|"; if several experiments share all three, the second has
    the suffix "#2", and so on.
    """
    columns = ("name", "group", "cell", "assay", "treatment")
    return tuple(Task(**row) for row in deepsea_table().select(columns).iter_rows(named=True))


def deepsea_table() -> pl.DataFrame:
    """Returns the tasks of DeepSEA with their facts.

    The scores are for DeepSEA's test set (chr8 and chr9, probabilities averaged over strands), from the table of Quang
    & Xie 2016 (doi:10.1093/nar/gkw226), github.com/uci-cbcl/DanQ, commit 98341e0e. The files' names are from
    github.com/jakublipinski/build-deepsea-training-dataset, commit 664abafd.

    Returns:
        919 rows: index, name, group ("DNase", "TF" or "histone"), cell, assay, treatment ("" for none), peaks (the
        ENCODE or Roadmap file), and auroc_M and auprc_M for M of deepsea, danq and danq_jaspar; null for the one task
        without a positive in the test set.
    """
    text = (files("noncoder.data.deepsea") / "tasks.tsv").read_bytes()
    scores = {f"{score}_{model}": pl.Float64 for score in ("auroc", "auprc") for model in MODELS}
    names = ("name", "group", "cell", "assay", "treatment", "peaks")
    return pl.read_csv(
        text,
        separator="\t",
        comment_prefix="#",
        quote_char=None,
        schema={"index": pl.Int64, **dict.fromkeys(names, pl.String), **scores},
    ).with_columns(pl.col("treatment").fill_null(""))
