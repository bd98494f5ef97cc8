"""The PyTorch conversion of DeepSEA that Kipoi distributes (`deepsea_predict.pth`, doi:10.5281/zenodo.1466993).

Kipoi's repository (kipoi/models, DeepSEA/model_architecture.py) defines its layers. They are numbered in an
`nn.Sequential`: without a prefix (`deepsea_cpu.pth`), after the swap of the channels (`deepsea_variant_effects.pth`,
prefix "1."), or after the swap and the reverse complement (prefix "2."). The convolutions are two-dimensional, of
height one, and read A, G, C, T.
"""

from __future__ import annotations

from pathlib import Path

from noncoder.importers.weight_files import Imported, Weights, check_shapes, read_torch, shapes_of
from noncoder.predictor import Shape

# Positions of A, C, G, T in the channel order A, G, C, T of DeepSEA's data.
ACGT_OF_AGCT = [0, 2, 1, 3]

_LAYERS = {"0": "convolutions.0", "4": "convolutions.4", "8": "convolutions.8", "12.1": "hidden.1", "14.1": "output"}


def read_deepsea(path: Path) -> Imported:
    """Reads the file as weights of `deepsea`.

    Raises:
        InputError: It cannot be read, or a tensor is missing, additional or of another shape.
    """
    found = read_torch(path)
    prefix = max(("2.", "1.", ""), key=lambda prefix: sum(f"{prefix}{layer}.weight" in found for layer in _LAYERS))
    hidden, tasks = _length(found, f"{prefix}12.1.bias", 925), _length(found, f"{prefix}14.1.bias", 919)
    shapes: dict[str, Shape] = {
        "0": (320, 4, 1, 8),
        "4": (480, 320, 1, 8),
        "8": (960, 480, 1, 8),
        "12.1": (hidden, 960 * 53),
        "14.1": (tasks, hidden),
    }
    expected = {f"{prefix}{layer}.{part}": shape if part == "weight" else shape[:1]
                for layer, shape in shapes.items() for part in ("weight", "bias")}  # fmt: skip
    check_shapes(path, shapes_of(found), expected, "DeepSEA, as Kipoi has them")
    weights = {
        f"{ours}.{part}": found[f"{prefix}{layer}.{part}"]
        for layer, ours in _LAYERS.items()
        for part in ("weight", "bias")
    }
    for name in ("convolutions.0.weight", "convolutions.4.weight", "convolutions.8.weight"):
        weights[name] = weights[name].squeeze(2)
    weights["convolutions.0.weight"] = weights["convolutions.0.weight"][:, ACGT_OF_AGCT]
    return Imported("deepsea", {"hidden": hidden}, weights)


def _length(weights: Weights, name: str, published: int) -> int:
    bias = weights.get(name)
    return published if bias is None or bias.ndim != 1 else len(bias)
