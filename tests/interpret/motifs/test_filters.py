from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from noncoder.config import InterpretConfig
from noncoder.errors import InputError
from noncoder.interpret.kernels import interpret_filters
from noncoder.interpret.motifs import FilterConfig, first_layer_motifs
from noncoder.interpret.motifs.filters import find_first_layer
from noncoder.models import SequenceModel, create_model, list_models
from noncoder.runs.folder import FiltersFolder
from noncoder.sequence.encoding import decode, encode
from noncoder.sequence.motifs import read_meme, write_meme

WINDOW = 200
SMALL: dict[str, dict[str, Any]] = {
    "chromdl": {"gru_units": 4, "separable": 8, "kernels": 8, "units": 4},
    "compact": {"channels": 8, "heads": 2},
    "danq": {"kernels": 8, "units": 4, "hidden": 8},
    "danq-jaspar": {"kernels": 8, "units": 4, "hidden": 8, "motifs": "none"},
    "deepatt": {"kernels": 8, "units": 4, "attention": 8, "hidden": 8},
    "deepsea": {"hidden": 8},
    "ncnet-brr": {"stem": 8, "widths": (8, 16), "units": 4, "hidden": 8},
    "ncnet-rbr": {"widths": (8, 16), "units": 4, "hidden": 8},
    "wideresnet-lstm": {"width": 16, "hidden": 8},
    "wideresnet-txl": {"width": 16, "hidden": 8, "core_layers": 1},
}
WITHOUT = ("chromdl", "ncnet-rbr")


def make(name: str, window: int = WINDOW) -> SequenceModel:
    torch.manual_seed(0)
    return create_model(name, 3, window, SMALL[name]).eval()


def draw(n: int, length: int = WINDOW, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 4, (n, length), dtype=np.uint8)


@pytest.mark.parametrize("name", sorted(set(list_models()) - set(WITHOUT)))
def test_every_model_with_a_convolution_of_the_bases_has_filters(name: str) -> None:
    model, codes = make(name), draw(6)
    codes[0, :50] = 4
    filters = first_layer_motifs(model, codes, FilterConfig(sample=2))
    layer = find_first_layer(model)
    assert filters
    for one in filters:
        assert one.motif.width == layer.width
        assert 1 <= one.sequences <= 6
        assert 0 <= one.information <= 2 * layer.width
    assert not model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("name", WITHOUT)
def test_a_model_whose_first_layer_is_no_convolution_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no convolution that reads the bases"):
        first_layer_motifs(make(name), draw(2))


@pytest.mark.parametrize(("stride", "dilation"), [(2, 1), (1, 3)])
def test_filters_with_a_stride_or_dilation_are_skipped_with_the_reason(
    tmp_path: Path, stride: int, dilation: int
) -> None:
    model, codes = make("compact"), draw(2)
    model.stem = torch.nn.Conv2d(4, 8, (1, 15), (1, stride), (0, 7 * dilation), (1, dilation))
    reason = f"stride {stride} and dilation {dilation}"
    with pytest.raises(InputError, match=reason):
        find_first_layer(model)
    predictor: Any = SimpleNamespace(model=model)
    store = SimpleNamespace(read_codes=lambda rows: codes[rows])
    scored: Any = SimpleNamespace(indices=np.arange(2), store=store, split="test")
    summary = interpret_filters(FiltersFolder(tmp_path / "filters"), predictor, scored, InterpretConfig())
    assert summary["n"] == 0
    assert reason in summary["text"]


@pytest.mark.parametrize("name", ["compact", "deepsea", "danq", "wideresnet-lstm"])
def test_a_planted_filter_gives_its_motif_and_drives_its_task(name: str) -> None:
    model, word = make(name), "ACGTTGCA"
    layer = find_first_layer(model)
    width = layer.width
    codes = draw(40)
    text = (word * 4)[:width]
    for row in range(0, 40, 2):
        at = 20 + row
        codes[row, at : at + width] = encode(text)
    with torch.no_grad():
        kernel = torch.full((4, width), -4.0)
        for i, base in enumerate(encode(text)):
            kernel[int(base), i] = 1.0
        _set_filter(layer.module, kernel)
    settings = FilterConfig(sample=2 if name == "deepsea" else 16, tasks=3)
    found = {one.filter: one for one in first_layer_motifs(model, codes, settings)}[1]
    assert found.motif.consensus == text
    assert found.sequences == 20
    assert found.information > 1.9 * width
    assert found.threshold == pytest.approx(width / 2, rel=0.01)
    assert all(abs(effect.effect) > 3 * effect.error for effect in found.effects)
    assert list(found.effects) == sorted(found.effects, key=lambda effect: -abs(effect.effect))


def _set_filter(module: Any, kernel: torch.Tensor) -> None:
    """Sets the second filter to a kernel."""
    if hasattr(module, "embedding"):
        # Weights times embedding equal the kernel, by the pseudo-inverse of the embedding.
        module.stem.weight[1, :, 0] = torch.linalg.pinv(module.embedding.weight).T @ kernel
        return
    module.weight[1] = kernel.view(module.weight[1].shape)
    if module.bias is not None:
        module.bias[1] = 0


def test_effects_equal_the_change_of_the_logit_after_exchanging_outputs() -> None:
    model, codes = make("compact"), draw(40)
    one = next(one for one in first_layer_motifs(model, codes, FilterConfig(sample=10, tasks=3)) if one.effects)
    stem: Any = model.stem
    with torch.no_grad():
        x = torch.from_numpy(np.eye(5, 4, dtype=np.float32)[codes].transpose(0, 2, 1).copy())
        output = stem(x.unsqueeze(2))[:, one.filter, 0]
        order = output[:, 7:-7].max(dim=1).values.argsort(descending=True)
        high, low = order[:10], order.flip(0)[:10]

        def exchange(module: Any, inputs: Any, output_now: torch.Tensor) -> torch.Tensor:
            changed = output_now.clone()
            changed[:, one.filter, 0] = output[low]
            return changed

        own = model(x[high])
        handle = stem.register_forward_hook(exchange)
        change = (own - model(x[high])).mean(dim=0)
        handle.remove()
    for effect in one.effects:
        assert effect.effect == pytest.approx(float(change[effect.task]), rel=1e-3)


def test_sites_with_n_or_past_the_end_and_dead_filters_are_left_out() -> None:
    model = make("compact")
    with torch.no_grad():
        _set_filter(model.stem, torch.zeros(4, 15))
    codes = draw(5)
    codes[:, ::10] = 4
    assert first_layer_motifs(model, codes) == []
    found = first_layer_motifs(model, draw(5), FilterConfig(sample=0))
    assert 1 not in [one.filter for one in found]
    assert all(one.effects == () for one in found)


def test_wrong_windows_are_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        first_layer_motifs(make("compact"), draw(0))
    with pytest.raises(InputError, match="shape"):
        first_layer_motifs(make("compact"), draw(2, 100))


def test_filters_are_written_to_json_and_meme(tmp_path: Any) -> None:
    found = first_layer_motifs(make("compact"), draw(8))
    values = found[0].result(["a", "b", "c"], []).to_json()
    assert len(values["ppm"]) == found[0].motif.width
    assert set(values) == {"filter", "ppm", "information", "sequences", "sites", "tasks", "matches"}
    write_meme([one.motif for one in found], tmp_path / "filters.meme")
    assert [motif.consensus for motif in read_meme(tmp_path / "filters.meme")] == [one.motif.consensus for one in found]
    assert decode(encode(found[0].motif.consensus)) == found[0].motif.consensus
