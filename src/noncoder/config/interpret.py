"""How a trained network is looked into."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from noncoder.config.base import Section

Method = Literal[
    "saliency",
    "input-x-gradient",
    "smooth-grad",
    "guided-backprop",
    "integrated-gradients",
    "deeplift",
    "ism",
    "gradcam",
    "guided-gradcam",
]


class InterpretConfig(Section):
    """What the trained network has learned of which tasks, and how it is found out."""

    tasks: tuple[str, ...] = ()
    """Which tasks; by default those of `report.tasks`, else the three with the highest average precision among those
    with 30 positives or more in the test split."""
    method: Method = "deeplift"
    """How the bases of a window are credited with its logit."""
    split: Literal["all", "train", "valid", "test"] = "all"
    """From which split the windows are. Whatever it is, a motif is named only if windows that the model was not trained
    on agree."""
    windows: int = Field(400, ge=0)
    """How many windows a task: those positive for it that have the highest logit; 0 leaves the stage out of
    `noncoder run`."""
    regions: Path | None = None
    """BED or narrowPeak file: windows around the summits, else the middles, of its regions, in place of the split's."""
    sequences: Path | None = None
    """FASTA file whose records are looked at in place of the split's windows; longer ones are cropped to the model's
    window around their middle, shorter ones filled up with N."""
    layer: str = "last"
    """The layer at which Grad-CAM looks: `first` and `last` convolution, or a name as `--layer list` tells."""
    cam: Literal["paper", "report"] = "paper"
    """Whether Grad-CAM leaves out what is negative after the sum over channels, as its paper does, or before it, as the
    2020 report did."""
    references: int = Field(10, ge=1)
    """Dinucleotide shuffles of each window that `deeplift` compares it with."""
    mutated: int = Field(5, ge=0)
    """Of how many windows every base is mutated, for the comparison of Grad-CAM and the method with mutagenesis."""
    filters: bool = True
    """Whether the kernels of the first convolution are shown as motifs."""
    release: str = "JASPAR2026"
    """The JASPAR release that motifs are compared with."""
    taxon: str = "vertebrates"
    """Its taxonomic group, e.g. vertebrates, plants, fungi, insects, nematodes."""
    grammar: int = Field(30, ge=0)
    """How many backgrounds the named motifs of a task are put into, to see what position, distance and strand do; 0 for
    none."""
    designs: int = Field(4, ge=0)
    """How many sequences are made that please a task; 0 for none."""
    figures: tuple[Literal["svg", "png", "pdf"], ...] = ("png",)
    """The formats of the pictures in the task's folder."""
    seed: int = Field(0, ge=0)
    """Draws shuffles and backgrounds."""
    batch_size: int = Field(64, ge=1)
    """Windows a pass."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.regions and self.sequences:
            raise ValueError("give regions or sequences, not both")
        return self
