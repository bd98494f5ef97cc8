from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import noncoder
from noncoder.data.tasks import Task
from noncoder.errors import InputError, SequenceError, UnknownNameError
from noncoder.models import create_model, list_models
from noncoder.predictor import Predictor, PredictorError, strand_logits
from noncoder.sequence.encoding import decode, reverse_complement
from tests.conftest import make_store, random_dna, random_genome

WINDOW = 200
TASKS = (Task("Reb1", group="TF"), Task("Abf1", group="TF"), Task("H3K4me3", group="histone", cell="K562"))


def make_predictor(name: str = "compact", seed: int = 0) -> Predictor:
    torch.manual_seed(seed)
    model = create_model(name, len(TASKS), WINDOW, {"channels": 8, "dilations": [1]} if name == "compact" else None)
    for parameter in model.parameters():  # fresh attention is zero; a test wants every weight to matter
        torch.nn.init.normal_(parameter, std=0.1)
    return Predictor(model.eval(), TASKS, 100, {"store_digest": "abc"})


def random_codes(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, (n, WINDOW)).astype(np.uint8)


@pytest.mark.parametrize("name", list_models())
def test_a_saved_predictor_is_the_same_when_loaded(name: str, tmp_path: Path) -> None:
    predictor = make_predictor(name)
    predictor.save(tmp_path / "predictor")
    loaded = noncoder.load(tmp_path)  # the folder of a run that holds one
    assert loaded.tasks == TASKS
    assert (loaded.window, loaded.bin, loaded.info) == (WINDOW, 100, {"store_digest": "abc"})
    assert loaded.model.name == name
    codes = random_codes(5)
    np.testing.assert_array_equal(loaded.predict_logits(codes), predictor.predict_logits(codes))
    assert sorted(file.name for file in (tmp_path / "predictor").iterdir()) == ["model.json", "weights.safetensors"]


def test_texts_and_codes_give_the_same() -> None:
    predictor, codes = make_predictor(), random_codes(4)
    np.testing.assert_array_equal(predictor.predict([decode(row) for row in codes]), predictor.predict(codes))


def test_both_strands_average_the_probabilities() -> None:
    predictor, codes = make_predictor(), random_codes(6)
    forward, reverse = (predictor.predict(codes, strands) for strands in ("forward", "reverse"))
    np.testing.assert_allclose(predictor.predict(codes, "both"), (forward + reverse) / 2, atol=1e-6)
    np.testing.assert_allclose(reverse, predictor.predict(reverse_complement(codes), "forward"), atol=1e-6)


def test_a_sequence_and_its_reverse_complement_have_one_prediction() -> None:
    predictor, codes = make_predictor(), random_codes(6)
    np.testing.assert_allclose(predictor.predict(codes), predictor.predict(reverse_complement(codes)), atol=1e-6)


def test_large_logits_keep_their_order() -> None:
    """The float32 probabilities of these all are 1; the logits of the mean still differ."""

    class Steep(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 40 + x[:, 0].sum(dim=1, keepdim=True)

    codes = torch.tensor([[0] * k + [1] * (8 - k) for k in range(5)], dtype=torch.uint8)
    logits = strand_logits(Steep(), codes, "both")  # type: ignore[arg-type]
    assert torch.sigmoid(logits).unique().numel() == 1
    assert (logits.diff(dim=0) > 0).all()


def test_prediction_does_not_depend_on_the_batch_and_leaves_the_mode_alone() -> None:
    predictor, codes = make_predictor(), random_codes(7)
    predictor.model.train()
    np.testing.assert_allclose(predictor.predict(codes, batch_size=2), predictor.predict(codes), atol=1e-6)
    assert predictor.model.training


def test_windows_of_a_store_are_predicted_as_their_sequences(tmp_path: Path) -> None:
    genome = random_genome({"chr1": 900})
    store = make_store(
        tmp_path / "s.zarr", genome, [("chr1", start) for start in (-50, 100, 750)],
        np.zeros((3, 3), dtype=np.uint8), window=WINDOW, bin=100,
    )  # fmt: skip
    predictor = make_predictor()
    codes, _ = store.read([0, 1, 2])
    np.testing.assert_array_equal(predictor.predict_store(store, store.indices()), predictor.predict_logits(codes))


def test_sequences_of_another_length_are_told() -> None:
    with pytest.raises(InputError, match="texts of 200 bp"):
        make_predictor().predict([random_dna(199)])
    with pytest.raises(InputError, match=r"\(2, 100\)"):
        make_predictor().predict(np.zeros((2, 100), dtype=np.uint8))


def test_a_letter_that_is_no_base_is_told() -> None:
    with pytest.raises(SequenceError, match="position 3"):
        make_predictor().predict(["ACXT" * 50])


def test_no_predictor_is_told(tmp_path: Path) -> None:
    with pytest.raises(PredictorError, match="holds no predictor"):
        noncoder.load(tmp_path)


@pytest.mark.parametrize("file", ["model.json", "weights.safetensors"])
def test_a_cut_off_file_is_told(file: str, tmp_path: Path) -> None:
    make_predictor().save(tmp_path)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-40])
    with pytest.raises(PredictorError, match="damaged"):
        noncoder.load(tmp_path)


def test_weights_of_another_model_name_the_first_that_differs(tmp_path: Path) -> None:
    make_predictor().save(tmp_path)
    weights = load_file(tmp_path / "weights.safetensors")
    weights["output.weight"] = weights["output.weight"][:2].contiguous()
    save_file(weights, tmp_path / "weights.safetensors")
    with pytest.raises(PredictorError, match=r"output.weight is \(2, 64\)"):
        noncoder.load(tmp_path)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    make_predictor().save(tmp_path)
    torch.save({"stem.weight": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(PredictorError, match="damaged"):
        noncoder.load(tmp_path)


def test_an_unknown_model_in_the_description_is_told(tmp_path: Path) -> None:
    make_predictor().save(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text()) | {"model": "compct"}
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(UnknownNameError, match="did you mean 'compact'"):
        noncoder.load(tmp_path)
