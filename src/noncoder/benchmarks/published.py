"""The models that were evaluated on DeepSEA's bundle of 919 tasks, and results that are not of this kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

from noncoder.benchmarks.task_scores import (
    FROM_ZERO,
    MODELS,
    UNKNOWN,
    Score,
    column,
    over_groups,
    weighted_by_test_positives,
)

READ = "read in the source or its code"
COMPUTED = "computed from the source's scores of each task"
SECOND_HAND = "second-hand"
FROM_MEMORY = "from memory"

_DANQ_TABLE = "Quang & Xie 2016, github.com/uci-cbcl/DanQ, aucs.txt"
_DEEPATT_TABLE = "Li et al. 2020, github.com/jiawei6636/Bioinfor-DeepATT, process/test_result.xlsx"
_BIGBIRD_TABLE = "Zaheer et al. 2020 (BigBird), Table 7"
_REPORT = "Chaves Moreno 2020, github.com/Rvbens/non-coding-DNA-classifier"
_IN_THE_REPORT = "weighted mean as the report's notebook gives it"
_PAIRED = (
    "second-hand, of the paper; and its AUROCs are whole multiples of 1/(positives x negatives) of 227,512 windows, "
    "one score a pair of strands"
)
_NEVER_MEASURED = "never measured: DanQ's weighted means times a published relative gain"
_LONGER = "reads 8,000 bp, the others 1,000"


@dataclass(frozen=True)
class Published:
    """Results of one model.

    Args:
        model: Name.
        year: Year of publication.
        parameters: Number of parameters, for some models rounded or unknown.
        source: Source of the numbers.
        certainty: How they are known.
        strands_averaged: Whether the predictions of both strands were averaged; None if unknown.
        strands_certainty: How this is known.
        pr_auc_by: Definition of the area under the precision-recall curve.
        mean: Unweighted mean over the scorable tasks of each group.
        median: Median over the scorable tasks of each group.
        weighted: Mean weighted by training positives, the report's metric, in which an undefined task counts as 0.
        weighted_by_test: Mean weighted by the test set's positives.
        why_not: Why it is not comparable with the others; empty if it is.
        note: Further remarks.
    """

    model: str
    year: int
    parameters: int | None
    source: str
    certainty: str
    strands_averaged: bool | None = None
    strands_certainty: str = UNKNOWN
    pr_auc_by: str = UNKNOWN
    mean: Mapping[str, Score] = field(default_factory=dict)
    median: Mapping[str, Score] = field(default_factory=dict)
    weighted: Score | None = None
    weighted_by_test: Score | None = None
    why_not: str = ""
    note: str = ""


class NotComparable(NamedTuple):
    """A result that names DeepSEA but was measured on something else, or not as a number.

    Args:
        name: The model or the work.
        claim: What it gives.
        why: What differs.
        certainty: How that is known.
    """

    name: str
    claim: str
    why: str
    certainty: str


@cache
def published() -> tuple[Published, ...]:
    """All results on the bundle's test set; of a model with scores of each task all means are computed from them."""
    return tuple(_with_means(entry) if entry.model in MODELS else entry for entry in _ENTRIES)


def _with_means(entry: Published) -> Published:
    scores = column(entry.model, "auroc"), column(entry.model, "pr_auc")
    return replace(
        entry,
        pr_auc_by=MODELS[entry.model].pr_auc_by,
        mean=over_groups("mean", *scores),
        median=over_groups("median", *scores),
        weighted_by_test=weighted_by_test_positives(*scores),
    )


def _auroc(**groups: float) -> dict[str, Score]:
    return {group: Score(auroc) for group, auroc in groups.items()}


_ENTRIES = (
    Published("gkm-SVM", 2014, None, _BIGBIRD_TABLE, READ, median=_auroc(TF=0.896), note="as others measured it"),
    Published("DeepSEA", 2015, 52_843_119, _DANQ_TABLE, COMPUTED, True, READ, weighted=Score(0.9046, 0.4463),
              note=_IN_THE_REPORT),
    Published("DanQ", 2016, 46_926_479, _DANQ_TABLE, COMPUTED, True, _PAIRED, weighted=Score(0.9109, 0.4698),
              note=_IN_THE_REPORT),
    Published("DanQ-JASPAR", 2016, 67_892_175, _DANQ_TABLE, COMPUTED, True, _PAIRED, weighted=Score(0.9140, 0.4783),
              note=_IN_THE_REPORT),
    Published("NCNet-bRR", 2019, 8_690_000, "Zhang et al. 2019, relative gains alone", SECOND_HAND,
              weighted=Score(0.9441, 0.5358), why_not=f"{_NEVER_MEASURED} (103.64% and 114.05%)"),
    Published("NCNet-RbR", 2019, 2_260_000, "Zhang et al. 2019, relative gains alone", SECOND_HAND,
              weighted=Score(0.9507, 0.5519), why_not=f"{_NEVER_MEASURED} (104.37% and 117.48%)"),
    Published("WideResNet-TXL (the 2020 report)", 2020, 39_242_021, f"{_REPORT}, the report", READ,
              False, READ, FROM_ZERO, weighted=Score(0.8902, 0.4178)),
    Published("WideResNet-LSTM (the 2020 report)", 2020, 44_911_559, f"{_REPORT}, notebook", READ,
              False, READ, FROM_ZERO, weighted=Score(0.889613688, 0.414242089)),
    Published("the report's author, later", 2020, None, f"{_REPORT}, commit d705303", READ, False, READ, FROM_ZERO,
              weighted=Score(0.89579, 0.43331)),
    Published("DanQ trained by DeepATT's authors", 2020, 46_926_479, _DEEPATT_TABLE, COMPUTED, True, READ),
    Published("DeepATT (BCE)", 2020, 7_808_057, _DEEPATT_TABLE, COMPUTED, True, READ),
    Published("DeepATT (focal)", 2020, 7_808_057, _DEEPATT_TABLE, COMPUTED, True, READ),
    Published("BigBird", 2020, 110_000_000, _BIGBIRD_TABLE, READ, median=_auroc(TF=0.961, DNase=0.921, histone=0.887),
              why_not=_LONGER, note="pretrained on the genome"),
    Published("OTKE", 2021, 94_000_000, "Mialon et al. 2021, github.com/claying/OTK, README", READ, False, SECOND_HAND,
              mean={"all": Score(0.936, 0.360)}),
    Published("ChromDL", 2023, 10_414_957, "Hill et al. 2023, github.com/chrishil1/ChromDL, auc_auprc_list.txt",
              COMPUTED, False, READ, note="both strands' windows ranked together"),
    Published("HyenaDNA", 2023, 7_000_000, "Nguyen et al. 2023", FROM_MEMORY,
              median=_auroc(TF=0.964, DNase=0.930, histone=0.863), note="pretrained on the genome"),
    Published("HyenaDNA, 8,000 bp", 2023, 3_500_000, "Nguyen et al. 2023", FROM_MEMORY,
              median=_auroc(TF=0.955, DNase=0.917, histone=0.893), why_not=_LONGER, note="pretrained on the genome"),
)  # fmt: skip

_TF_ONLY = "the 690 tasks of transcription factors alone"
NOT_COMPARABLE = (
    NotComparable("DeepFormer", ".9504 AUROC, .4658 PR AUC",
                  "random windows from TF intervals of chr8 and chr9, frequent tasks alone: another prevalence",
                  READ),
    NotComparable("DeeperDeepSEA (Selene)", ".938, .362",
                  "tasks with fewer than 50 positives are dropped; windows are sampled as training goes", FROM_MEMORY),
    NotComparable("TBiNet", "scores of TF tasks", _TF_ONLY, READ),
    NotComparable("CLARINET", "scores of TF tasks", _TF_ONLY, SECOND_HAND),
    NotComparable("EPBD-BERT", "scores of TF tasks", _TF_ONLY, SECOND_HAND),
    NotComparable("LOGO-919", "medians a group", "its groups are off by one task", READ),
    NotComparable("Nucleotide Transformer", "a mean AUC", "in a figure alone", SECOND_HAND),
    NotComparable("GENA-LM", "fine-tuned on the bundle", "no numbers found", READ),
    NotComparable("ConvNova", "a configuration for the bundle", "no numbers found", SECOND_HAND),
    NotComparable("Sei", ".972 AUROC, .409 PR AUC", "21,907 profiles in windows of 4,096 bp", SECOND_HAND),
    NotComparable("Beluga", "DeepSEA's successor", "2,002 profiles in windows of 2,000 bp", SECOND_HAND),
    NotComparable("NAS-Bench-360", "a task called DeepSEA", "36 of the tasks", FROM_MEMORY),
)  # fmt: skip

__all__ = [
    "COMPUTED",
    "FROM_MEMORY",
    "NOT_COMPARABLE",
    "READ",
    "SECOND_HAND",
    "NotComparable",
    "Published",
    "published",
]
