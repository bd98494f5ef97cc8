"""Recipe section on interpretation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from noncoder.config.section import Section


class InterpretConfig(Section):
    """Settings of interpretation: which tasks, which windows and which methods."""

    tasks: tuple[str, ...] = ()
    """Tasks to interpret; by default those of `report.tasks`, else the three with the highest average precision among
    those with at least 30 positives in the test split."""
    method: str = "deeplift"
    """Attribution method: how a window's logit is attributed to its bases. `noncoder interpret --help` lists the
    names."""
    split: Literal["all", "train", "valid", "test"] = "all"
    """Split of the windows. For every choice, a motif is named only if windows outside the training split support
    it."""
    windows: int = Field(400, ge=0)
    """Windows per task: the positive windows with the highest logits; 0 leaves this stage out of `noncoder run`."""
    regions: Path | None = None
    """BED or narrowPeak file: use windows around the summits (else the midpoints) of its regions, not the split's."""
    sequences: Path | None = None
    """FASTA file whose records are used in place of the split's windows. Longer records are cropped around their
    middle to the model's window; shorter ones are padded with N."""
    layer: str = "last"
    """Layer for Grad-CAM: `first` or `last` convolution, or a name listed by `--layer list`."""
    cam: Literal["paper", "report"] = "paper"
    """Where Grad-CAM removes negative values: after the sum over channels (`paper`, the original paper) or before it
    (`report`, the 2020 report)."""
    references: int = Field(10, ge=1)
    """Dinucleotide shuffles of each window that `deeplift` uses as references."""
    mutated: int = Field(5, ge=0)
    """Windows in which every base is mutated, to compare Grad-CAM and the method with mutagenesis."""
    filters: bool = True
    """Show the kernels of the first convolution as motifs."""
    release: str = "JASPAR2026"
    """JASPAR release that motifs are compared with."""
    taxon: str = "vertebrates"
    """Taxonomic group of the JASPAR motifs, e.g. vertebrates, plants, fungi, insects, nematodes."""
    grammar: int = Field(30, ge=0)
    """Backgrounds into which a task's named motifs are inserted, to measure the effect of position, distance and
    strand; 0 for none."""
    designs: int = Field(4, ge=0)
    """Sequences to design with a high predicted logit for a task; 0 for none."""
    figures: tuple[Literal["svg", "png", "pdf"], ...] = ("png",)
    """Formats of the figures in the task's folder."""
    seed: int = Field(0, ge=0)
    """Random seed of shuffles and backgrounds."""
    batch_size: int = Field(64, ge=1)
    """Windows per forward pass."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.regions and self.sequences:
            raise ValueError("give regions or sequences, not both")
        return self
