"""The report's checkpoints: its module written anew from its description, with HuggingFace's Transformer-XL."""

from __future__ import annotations

import warnings
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from noncoder.errors import InputError
from noncoder.importers import import_weights
from noncoder.predictor import load

TASKS, EMBEDDING, HIDDEN, EXPANSION = 5, 6, 12, 2
CODES = np.random.default_rng(0).integers(0, 5, (3, 1000)).astype(np.uint8)
# Token numbers of A, C, G, T, N.
TOKENS = torch.tensor([0, 2, 1, 3, 0])


class PreActivated(nn.Module):
    def __init__(self, before: int, after: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(before)
        self.cv = nn.Conv1d(before, after, kernel, stride, kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cv(torch.relu(self.bn(x)))
        return y


class Block(nn.Module):
    def __init__(self, after: int) -> None:
        super().__init__()
        inner = EXPANSION * after // 4
        self.cvbn1 = PreActivated(after // 2, inner, stride=2)
        self.cvbn2 = PreActivated(inner, inner, kernel=3)
        self.cvbn3 = PreActivated(inner, after)
        self.id = PreActivated(after // 2, after, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cvbn3(self.cvbn2(self.cvbn1(x))) + self.id(x)
        return y


class Residual(nn.Module):
    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        stem = nn.Conv1d(EMBEDDING, width // 2**blocks, 7, padding=3, bias=False)
        self.layers = nn.Sequential(stem, *(Block(width // 2 ** (blocks - 1 - i)) for i in range(blocks)))
        self.RBN = nn.Sequential(nn.BatchNorm1d(width), nn.ReLU())


class Head(nn.Module):
    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.fc_end = nn.Linear(hidden or features, TASKS)
        dense: list[nn.Module] = []
        if hidden:
            dense = [nn.Linear(features, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(0.3)]
        self.layers = nn.Sequential(*dense, self.fc_end)


class ReportModel(nn.Module):
    """What the report's ResTransXL computes in evaluation, with its names."""

    def __init__(self, core: str, width: int = 16, blocks: int = 3, skip: bool = True, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.emb = nn.Embedding(4, EMBEDDING)
        self.res = Residual(width, blocks)
        self.core = nn.LSTM(width, width, bidirectional=True, batch_first=True) if core == "lstm" else xl(width)
        self.skip = skip
        self.lm_head = Head(-(-1000 // 2**blocks) * width * (1 + skip + (core == "lstm")), hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.res.RBN(self.res.layers(self.emb(tokens).transpose(1, 2))).transpose(1, 2).contiguous()
        y = self.core(x)[0] if isinstance(self.core, nn.LSTM) else self.core(inputs_embeds=x)[0]
        logits: Tensor = self.lm_head.layers(torch.cat([x, y] if self.skip else [y], dim=2).flatten(1))
        return logits


def xl(width: int) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import TransfoXLConfig, TransfoXLModel

        # The report's own settings of the words, and of all else but the sizes.
        config = TransfoXLConfig(
            vocab_size=4, cutoffs=[1], d_embed=8, d_model=width, n_head=2, d_head=3, d_inner=10, n_layer=2,
            tgt_len=0, ext_len=0, mem_len=256,
        )  # fmt: skip
        return cast(nn.Module, TransfoXLModel(config))


def randomise(model: nn.Module) -> None:
    """Gives every weight and statistic a value of its own, so that none can be mistaken for another."""
    torch.manual_seed(1)
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_var", ".bn.weight")):
            tensor.uniform_(0.5, 1.5)
        elif tensor.is_floating_point() and "inv_freq" not in name:
            tensor.add_(0.1 * torch.randn_like(tensor))
    model.eval()


def checkpoint(model: nn.Module) -> dict[str, Any]:
    """As Lightning 0.5 writes it, with what it may put beside the weights."""
    state = OrderedDict((f"model.{name}", tensor) for name, tensor in model.state_dict().items())
    return {
        "epoch": 3, "global_step": 70_400, "checkpoint_callback_best": np.float64(0.061), "lr_schedulers": [],
        "optimizer_states": [{"state": {}, "param_groups": [{"lr": 1e-4}]}], "hparams": Namespace(bs=25),
        "state_dict": state,
    }  # fmt: skip


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    def save(content: object, new_layout: bool = False) -> Path:
        torch.save(content, tmp_path / "_ckpt_epoch_3.ckpt", _use_new_zipfile_serialization=new_layout)
        return tmp_path / "_ckpt_epoch_3.ckpt"

    return save


@pytest.mark.parametrize("settings", [{}, {"skip": False, "hidden": 0}, {"width": 8, "blocks": 2}], ids=str)
@pytest.mark.parametrize("core", ["lstm", "transformer-xl"])
def test_logits_are_those_of_the_report(
    core: str, settings: dict[str, Any], saved: Callable[..., Path], tmp_path: Path
) -> None:
    report = ReportModel(core, **settings)
    randomise(report)
    summary = import_weights("report", saved(checkpoint(report)), tmp_path / "out")
    assert summary["model"] == ("wideresnet-lstm" if core == "lstm" else "wideresnet-txl")
    predictor = load(tmp_path / "out")
    with torch.no_grad():
        expected = report(TOKENS[torch.from_numpy(CODES).long()]).numpy()
    computed = predictor.predict_logits(CODES, strands="forward")
    assert np.abs(expected).max() > 0.5
    # Rounding differs with the number of threads; logits are of size 1.
    np.testing.assert_allclose(computed, expected, atol=1e-4, rtol=1e-4)


def test_what_is_left_out_and_what_is_assumed_is_said(saved: Callable[..., Path], tmp_path: Path) -> None:
    summary = import_weights("report", saved(checkpoint(ReportModel("xl"))), tmp_path / "out")
    notes = " ".join(summary["imported"]["notes"])
    # One word of 8 numbers, three of 2, and the projections of both to 16.
    assert "left out: 174 unused weights of word embeddings" in notes
    assert "256 slots of memory" in notes
    assert "an N is read as an A" in notes
    assert load(tmp_path / "out").info["imported"]["notes"] == summary["imported"]["notes"]


def test_the_reports_two_models_have_their_sizes() -> None:
    """The settings that the shapes of the full models give are the defaults of ours."""
    from noncoder.importers.report import _settings, _Sizes
    from noncoder.models import check_model

    full = {"wideresnet-txl": (256, 512), "wideresnet-lstm": (352, 256)}
    for name, (width, hidden) in full.items():
        shapes = {
            "emb.weight": (4, 64), "res.layers.0.weight": (width // 8, 64, 7), "res.RBN.0.weight": (width,),
            "lm_head.layers.0.weight": (hidden, 125 * width * (2 + ("lstm" in name))),
            "lm_head.layers.4.weight": (919, hidden),
        } | {f"res.layers.{i}.cvbn2.bn.weight": (width * 2**i // 2,) for i in (1, 2, 3)}  # fmt: skip
        if name == "wideresnet-lstm":
            shapes["core.weight_ih_l0"] = (4 * width, width)
        shapes |= {f"core.layers.{i}.dec_attn.r_r_bias": (4, 16) for i in range(6) if "txl" in name}
        shapes["core.layers.0.pos_ff.CoreNet.0.weight"] = (256, 256)
        weights = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
        found, parameters, tasks = _settings(Path(), _Sizes(Path(), weights, ""))
        assert (found, tasks) == (name, 919)
        default = {"unknown": "A"} | ({"core_layers": 6} if "txl" in name else {})
        assert check_model(name, parameters) == check_model(name, default)


def replaced(name: str, value: Tensor) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: state | {f"model.{name}": value}


def without(name: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {key: tensor for key, tensor in state.items() if key != f"model.{name}"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("emb.weight"), r"model\.emb\.weight is missing"),
        (without("res.layers.2.id.bn.running_var"), r"layers\.2\.id\.bn\.running_var is missing"),
        (without("core.layers.0.dec_attn.r_r_bias"), r"core\.layers\.0\.dec_attn\.r_r_bias is missing"),
        (replaced("core.layers.1.dec_attn.r_net.weight", torch.zeros(6, 15)), r"r_net\.weight is \(6, 15\)"),
        (replaced("more", torch.zeros(2)), r"model\.more is \(2,\)\n.*no such tensor"),
        (replaced("lm_head.fc_end.bias", torch.ones(TASKS)), r"fc_end\.bias is not model\.lm_head\.layers\.4"),
        (without("lm_head.fc_end.weight"), r"fc_end\.weight is missing"),
        (replaced("res.RBN.0.weight", torch.zeros(17)), r"2 channels before and 17 after 3 blocks"),
        (replaced("emb.weight", torch.full((4, EMBEDDING), torch.nan)), r"not finite"),
    ],
)
def test_the_first_tensor_that_differs_is_named(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    message: str,
    saved: Callable[..., Path],
    tmp_path: Path,
) -> None:
    state = change(checkpoint(ReportModel("xl"))["state_dict"])
    with pytest.raises(InputError, match=message):
        import_weights("report", saved({"state_dict": state}, new_layout=True), tmp_path / "out")
    assert not (tmp_path / "out").exists()
