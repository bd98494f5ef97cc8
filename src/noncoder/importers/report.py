"""The checkpoints of the 2020 report's own models (github.com/Rvbens/non-coding-DNA-classifier at commit 49de66a).

Lightning wrote them: a module with the attribute `model`, of the class ResTransXL, with HuggingFace's
`TransfoXLModel` 2.3.0 or an LSTM between the residual network and the head. Its data encode A, G, C, T as 0, 1, 2, 3
and N as 0, the code of A.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noncoder.errors import InputError
from noncoder.importers.deepsea_kipoi import ACGT_OF_AGCT
from noncoder.importers.weight_files import Imported, Weights, check_shapes, read_torch, shapes_of
from noncoder.models import create_model
from noncoder.predictor import Shape

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_LSTM = [f"{kind}_{part}_l0{way}" for way in ("", "_reverse") for kind in ("weight", "bias") for part in ("ih", "hh")]
# Parts of a layer of HuggingFace's Transformer-XL, and their names here.
_XL_LAYER = {
    "dec_attn.r_r_bias": "attentions.{}.position_bias",
    "dec_attn.r_w_bias": "attentions.{}.content_bias",
    "dec_attn.qkv_net.weight": "attentions.{}.qkv.weight",
    "dec_attn.o_net.weight": "attentions.{}.output.weight",
    "dec_attn.layer_norm.weight": "attentions.{}.norm.weight",
    "dec_attn.layer_norm.bias": "attentions.{}.norm.bias",
    "dec_attn.r_net.weight": "attentions.{}.position.weight",
    "pos_ff.CoreNet.0.weight": "feed_forwards.{}.layers.0.weight",
    "pos_ff.CoreNet.0.bias": "feed_forwards.{}.layers.0.bias",
    "pos_ff.CoreNet.3.weight": "feed_forwards.{}.layers.3.weight",
    "pos_ff.CoreNet.3.bias": "feed_forwards.{}.layers.3.bias",
    "pos_ff.layer_norm.weight": "feed_forwards.{}.norm.weight",
    "pos_ff.layer_norm.bias": "feed_forwards.{}.norm.bias",
}
_MEMORY, _WINDOW = 256, 1000  # the memory is no shape of a tensor; its size is from the report's notebook


def read_report(path: Path) -> Imported:
    """Reads the file as weights of `wideresnet-txl` or `wideresnet-lstm`, depending on its core.

    Raises:
        InputError: It cannot be read, or a tensor is missing, additional or of another shape.
    """
    found = read_torch(path)
    prefix = "model." if any(name.startswith("model.") for name in found) else ""
    # A Transformer-XL that receives vectors does not use word embeddings, nor a table of positions that it can compute.
    unused = [name for name in found if name.startswith((f"{prefix}core.word_emb.", f"{prefix}core.pos_emb."))]
    words = sum(found.pop(name).numel() for name in unused if "word_emb" in name)
    for name in unused:
        found.pop(name, None)
    name, parameters, tasks = _settings(path, _Sizes(path, found, prefix))
    last = prefix + ("lm_head.layers.4." if parameters["hidden"] else "lm_head.layers.0.")
    _drop_repeated(path, found, f"{prefix}lm_head.fc_end.", last)
    with torch.device("meta"):
        ours = create_model(name, tasks, _WINDOW, parameters).state_dict()
    names = {prefix + theirs: mine for theirs, mine in _names(parameters).items()}
    expected = {theirs: _their_shape(tuple(ours[mine].shape)) for theirs, mine in names.items()}
    expected[f"{prefix}emb.weight"] = expected[f"{prefix}emb.weight"][::-1]
    check_shapes(path, shapes_of(found), expected, f"the report's model ({name})")
    weights = {mine: _our_tensor(found[theirs]) for theirs, mine in names.items()}
    weights["front.embedding.weight"] = weights["front.embedding.weight"][ACGT_OF_AGCT].T
    notes = ["an N is read as an A, as in the report's data"]
    if parameters["core"] == "transformer-xl":
        notes += [
            f"the Transformer-XL has {_MEMORY} slots of memory, as in the report's notebook; the file does not say",
            f"left out: {words:,} unused weights of word embeddings",
        ]
    return Imported(name, parameters, weights, notes)


class _Sizes:
    """Looks up shapes by the names in the report's class."""

    def __init__(self, path: Path, weights: Weights, prefix: str) -> None:
        self.path, self.weights, self.prefix = path, weights, prefix

    def of(self, name: str, dimensions: int) -> Shape:
        tensor = self.weights.get(self.prefix + name)
        if tensor is None or tensor.ndim != dimensions:
            raise InputError(
                f"{self.path}: {self.prefix}{name} is " + ("missing" if tensor is None else f"{tuple(tensor.shape)}"),
                expected=f"a tensor of {dimensions} dimensions in the weights of the report's model",
            )
        return tuple(tensor.shape)

    def count(self, pattern: str) -> int:
        """Counts the distinct numbers that the pattern's group matches, from the lowest to the highest."""
        matches = (re.fullmatch(re.escape(self.prefix) + pattern, name) for name in self.weights)
        return len({match[1] for match in matches if match})


def _settings(path: Path, sizes: _Sizes) -> tuple[str, dict[str, Any], int]:
    """Derives the model's name, its settings and its number of tasks from the shapes."""
    embedding = sizes.of("emb.weight", 2)[1]
    channels = sizes.of("res.layers.0.weight", 3)[0]
    blocks = sizes.count(r"res\.layers\.(\d+)\.cvbn2\.bn\.weight")
    width = sizes.of("res.RBN.0.weight", 1)[0]
    if not blocks or width != channels * 2**blocks:
        raise InputError(
            f"{path}: {channels} channels before and {width} after {blocks} blocks",
            expected="the report's blocks, each of which doubles the channels",
        )
    inner = sizes.of(f"res.layers.{blocks}.cvbn2.bn.weight", 1)[0]
    lstm = f"{sizes.prefix}core.weight_ih_l0" in sizes.weights
    hidden = 0
    if f"{sizes.prefix}lm_head.layers.4.weight" in sizes.weights:
        hidden = sizes.of("lm_head.layers.0.weight", 2)[0]
    features = sizes.of("lm_head.layers.0.weight", 2)[1]
    tasks = sizes.of("lm_head.layers.4.weight" if hidden else "lm_head.layers.0.weight", 2)[0]
    around = features == -(-_WINDOW // 2**blocks) * width * (3 if lstm else 2)
    parameters: dict[str, Any] = {
        "embedding": embedding,
        "unknown": "A",
        "width": width,
        "strides": [2] * blocks,
        "expansion": 4 * inner / width,
        "core": "lstm" if lstm else "transformer-xl",
        "skip": "concat" if around else "none",
        "hidden": hidden,
    }
    if lstm:
        return "wideresnet-lstm", parameters, tasks
    heads, head_width = sizes.of("core.layers.0.dec_attn.r_r_bias", 2)
    parameters |= {
        "core_layers": sizes.count(r"core\.layers\.(\d+)\.dec_attn\.r_r_bias"),
        "core_heads": heads,
        "core_head_width": head_width,
        "core_inner": sizes.of("core.layers.0.pos_ff.CoreNet.0.weight", 2)[0],
        "memory": _MEMORY,
    }
    return "wideresnet-txl", parameters, tasks


def _names(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Maps the names of the file to our names."""
    names = {"emb.weight": "front.embedding.weight", "res.layers.0.weight": "front.stem.weight"}
    for i in range(len(parameters["strides"])):
        parts = {f"cvbn{k + 1}": (f"norms.{k}", f"convolutions.{k}") for k in range(3)} | {
            "id": ("shortcut_norm", "shortcut")
        }
        for theirs, (norm, convolution) in parts.items():
            names |= _norm(f"res.layers.{i + 1}.{theirs}.bn", f"blocks.{i}.{norm}")
            names[f"res.layers.{i + 1}.{theirs}.cv.weight"] = f"blocks.{i}.{convolution}.weight"
    names |= _norm("res.RBN.0", "norm")
    if parameters["core"] == "lstm":
        names |= {f"core.{part}": f"core.lstm.{part}" for part in _LSTM}
    else:
        for i in range(parameters["core_layers"]):
            names |= {f"core.layers.{i}.{theirs}": f"core.{ours.format(i)}" for theirs, ours in _XL_LAYER.items()}
    last = "lm_head.layers.0"
    if parameters["hidden"]:
        last = "lm_head.layers.4"
        names["lm_head.layers.0.weight"] = "hidden.0.weight"
        names |= _norm("lm_head.layers.1", "hidden.1")
    return names | {f"{last}.{part}": f"output.{part}" for part in ("weight", "bias")}


def _norm(theirs: str, ours: str) -> dict[str, str]:
    return {f"{theirs}.{part}": f"{ours}.{part}" for part in _NORM}


def _drop_repeated(path: Path, found: Weights, repeated: str, original: str) -> None:
    """Removes the second copy of the last layer, which is both an attribute of the head and in its list of layers."""
    for part in ("weight", "bias"):
        again, first = found.pop(repeated + part, None), found.get(original + part)
        if again is None or first is None or not torch.equal(again, first):
            raise InputError(
                f"{path}: {repeated}{part} is " + ("missing" if again is None else f"not {original}{part}"),
                expected="the last layer twice, with the same values",
            )


def _their_shape(shape: Shape) -> Shape:
    return (*shape[:2], shape[3]) if len(shape) == 4 else shape  # our convolutions are those of an image of height one


def _our_tensor(tensor: Tensor) -> Tensor:
    return tensor.unsqueeze(2) if tensor.ndim == 3 else tensor
