from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

import noncoder
import noncoder.temporary
from noncoder.config import EvaluateConfig
from noncoder.data.loading import one_hot
from noncoder.data.store import Store
from noncoder.data.tasks import Task
from noncoder.errors import InputError, SequenceError, UnknownNameError
from noncoder.models import create_model, list_models
from noncoder.predictor import (
    Averaging,
    Predictor,
    PredictorError,
    Sequences,
    Strands,
    cut_short,
    predict_store_schemes,
    strand_logits,
)
from noncoder.predictor.inference import MeanProbability
from noncoder.sequence.encoding import decode, reverse_complement
from tests.conftest import listing, make_store, random_dna, random_genome

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
    logits = strand_logits(Steep(), one_hot(codes), "both")  # type: ignore[arg-type]
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


def test_no_sequence_gives_no_row(tmp_path: Path) -> None:
    predictor = make_predictor()
    nothing: list[Sequences] = [[], np.empty((0, WINDOW), dtype=np.uint8)]
    for none in nothing:
        assert predictor.predict(none).shape == (0, 3)
        assert predictor.predict_table(none, []).shape == (0, 4)
    store = make_windows(tmp_path / "s.zarr", [100])
    assert predictor.predict_store(store, np.empty(0, dtype=np.int64)).shape == (0, 3)


def test_a_table_has_a_column_a_task() -> None:
    predictor, codes = make_predictor(), random_codes(4)
    table = predictor.predict_table(codes)
    assert table.columns == [task.name for task in predictor.tasks]
    np.testing.assert_array_equal(table.to_numpy(), predictor.predict(codes))
    named = predictor.predict_table([decode(row) for row in codes], names=list("wxyz"), strands="reverse")
    assert named.columns == ["record", *table.columns]
    assert named["record"].to_list() == list("wxyz")
    np.testing.assert_array_equal(named.drop("record").to_numpy(), predictor.predict(codes, "reverse"))
    with pytest.raises(InputError, match="3 names for 4 sequences"):
        predictor.predict_table(codes, names=list("abc"))


def test_a_predictor_shows_itself_in_one_line() -> None:
    predictor = make_predictor()
    assert repr(predictor) == "Predictor('compact', 3 tasks, window of 200 bp)"
    assert repr(predictor.calibrated([1, 2, 3])) == "Predictor('compact', 3 tasks, window of 200 bp, calibrated)"


def test_names_from_the_top(tmp_path: Path) -> None:
    predictor, codes = make_predictor(), random_codes(2)
    found = noncoder.attribute(predictor.model, codes, 1, "saliency")
    assert found.values.shape == (2, 4, WINDOW)
    assert noncoder.mutate(predictor.model, codes[:1], region=(0, 2)).tasks == (0, 1, 2)
    labels = np.random.default_rng(0).integers(0, 2, (20, 3), dtype=np.uint8)
    genome = random_genome({"chr1": 900})
    store = make_store(tmp_path / "s.zarr", genome, [("chr1", 30 * i) for i in range(20)], labels, window=WINDOW,
                       bin=100, split=np.full(20, 2, dtype=np.uint8), names=[task.name for task in TASKS])  # fmt: skip
    summary = noncoder.evaluate([predictor], store, "test", EvaluateConfig(resamples=0), tmp_path / "out")
    assert summary.windows == 20
    assert {"attribute", "mutate", "evaluate"} <= set(dir(noncoder))


def test_sequences_of_another_length_are_told() -> None:
    with pytest.raises(InputError, match="texts of 200 bp"):
        make_predictor().predict([random_dna(199)])
    with pytest.raises(InputError, match=r"\(2, 100\)"):
        make_predictor().predict(np.zeros((2, 100), dtype=np.uint8))


def test_a_letter_that_is_no_base_is_told() -> None:
    with pytest.raises(SequenceError, match="position 3"):
        make_predictor().predict(["ACXT" * 50])


def write_as_earlier_versions_did(folder: Path, **changed: Any) -> None:
    """Without digests, and without the keys that are None."""
    description = json.loads((folder / "model.json").read_text()) | changed
    kept = {key: value for key, value in description.items() if not key.endswith("sha256") and value is not None}
    (folder / "model.json").write_text(json.dumps(kept))


def test_no_predictor_is_told(tmp_path: Path) -> None:
    with pytest.raises(PredictorError, match="is an empty folder"):
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
    write_as_earlier_versions_did(tmp_path)
    with pytest.raises(PredictorError, match=r"output.weight is \(2, 64\)"):
        noncoder.load(tmp_path)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    make_predictor().save(tmp_path)
    torch.save({"stem.weight": torch.zeros(1)}, tmp_path / "weights.safetensors")
    write_as_earlier_versions_did(tmp_path)
    with pytest.raises(PredictorError, match="damaged"):
        noncoder.load(tmp_path)


def test_an_unknown_model_in_the_description_is_told(tmp_path: Path) -> None:
    make_predictor().save(tmp_path)
    write_as_earlier_versions_did(tmp_path, model="compct")
    with pytest.raises(UnknownNameError, match="did you mean 'compact'"):
        noncoder.load(tmp_path)


def make_windows(path: Path, starts: list[int], length: int = 900) -> Store:
    labels = np.zeros((len(starts), 3), dtype=np.uint8)
    return make_store(path, random_genome({"chr1": length}), [("chr1", start) for start in starts], labels,
                      window=WINDOW, bin=100)  # fmt: skip


def by_scheme(
    predictors: list[Predictor], store: Store, averaging: Averaging, batch_size: int = 2
) -> dict[str, NDArray[np.float32]]:
    blocks: list[list[NDArray[np.float32]]] = []

    def write(at: int, logits: list[NDArray[np.float32]]) -> None:
        assert at == sum(len(block[0]) for block in blocks)
        blocks.append(logits)

    predict_store_schemes(predictors, store, store.indices(), averaging, batch_size, write)
    names = [scheme.name for scheme in averaging.schemes(len(predictors))]
    return dict(zip(names, map(np.concatenate, zip(*blocks, strict=True)), strict=True))


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def test_the_mean_of_two_strands_is_computed_as_ever() -> None:
    model, codes = make_predictor().model, torch.from_numpy(random_codes(9))
    with torch.inference_mode():
        forward, reverse = (strand_logits(model, one_hot(codes), strands) for strands in ("forward", "reverse"))
        both = strand_logits(model, one_hot(codes), "both")
    yes = torch.logaddexp(F.logsigmoid(forward), F.logsigmoid(reverse))
    no = torch.logaddexp(F.logsigmoid(-forward), F.logsigmoid(-reverse))
    assert torch.equal(both, yes - no)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=7))
def test_the_mean_probability_is_that_of_the_passes(logits: list[float]) -> None:
    mean = MeanProbability()
    for number, logit in enumerate(logits, start=1):
        mean.add(torch.tensor([[logit]]))
        expected = sigmoid(np.array(logits[:number], dtype=np.float32)).mean()
        assert float(torch.sigmoid(mean.logits().double())) == pytest.approx(expected, rel=2e-5)
    assert min(logits) - 1e-4 <= float(mean.logits()) <= max(logits) + 1e-4


def test_every_scheme_averages_the_probabilities_of_its_passes(tmp_path: Path) -> None:
    """Compared with windows of another store that lie where the shifted ones do, each predicted by itself."""
    starts, shifts = [100, 220, 340, 433, 500], (-7, 12)
    store = make_windows(tmp_path / "s.zarr", starts)
    predictors = [make_predictor(seed=seed) for seed in (0, 1)]
    found = by_scheme(predictors, store, Averaging("both", shifts))
    assert list(found) == [
        "forward strand",
        "both strands",
        "both strands, 3 shifts",
        "both strands, 3 shifts of 2 models",
    ]

    moved = [make_windows(tmp_path / f"{by}.zarr", [start + by for start in starts]) for by in (0, *shifts)]
    strands: tuple[Strands, ...] = ("forward", "reverse")
    passes = [
        sigmoid(predictor.predict_store(other, other.indices(), strand))
        for predictor in predictors
        for other in moved
        for strand in strands
    ]
    for (name, logits), count in zip(found.items(), (1, 2, 6, 12), strict=True):
        np.testing.assert_allclose(sigmoid(logits), np.mean(passes[:count], axis=0), atol=1e-6, err_msg=name)


@pytest.mark.parametrize("strands", ["both", "forward", "reverse"])
def test_without_shifts_and_ensemble_schemes_are_the_strands(strands: Strands, tmp_path: Path) -> None:
    store, predictor = make_windows(tmp_path / "s.zarr", [-40, 100, 333, 650]), make_predictor()
    found = by_scheme([predictor], store, Averaging(strands))
    first: Strands = "reverse" if strands == "reverse" else "forward"
    names = {f"{first} strand": first} | ({"both strands": strands} if strands == "both" else {})
    assert list(found) == list(names)
    for name, read in names.items():
        expected = predictor.predict_store(store, store.indices(), read, batch_size=2)
        np.testing.assert_array_equal(found[name], expected)


def test_one_strand_takes_shifts_and_ensembles_too() -> None:
    schemes = Averaging("reverse", (-10, 10)).schemes(3)
    assert schemes == (
        ("reverse strand", 1), ("reverse strand, 3 shifts", 3), ("reverse strand, 3 shifts of 3 models", 9),
    )  # fmt: skip
    assert Averaging("both").schemes(2)[-1] == ("both strands of 2 models", 4)


def test_each_pass_is_made_once(tmp_path: Path) -> None:
    store, predictor = make_windows(tmp_path / "s.zarr", [0, 100, 200]), make_predictor()
    seen: list[int] = []
    predictor.model.register_forward_hook(lambda module, x, y: seen.append(len(x[0])))
    by_scheme([predictor], store, Averaging("both", (-5, 5)), batch_size=2)
    assert seen == [2] * 6 + [1] * 6


def test_a_shift_past_a_contig_is_cut_short_and_counted(tmp_path: Path) -> None:
    """The first window starts at its contig, the last ends with it, and no window of this store reaches past one."""
    store = make_windows(tmp_path / "s.zarr", [0, 5, 300, 700])
    assert [cut_short(store, store.indices(), shifts) for shifts in ((), (-5,), (-6,), (10,), (-10, 10))] == [
        0, 1, 2, 1, 3,
    ]  # fmt: skip
    predictor = make_predictor()
    found = by_scheme([predictor], store, Averaging("forward", (-20,)))
    moved = make_windows(tmp_path / "t.zarr", [0, 0, 280, 680])
    other = predictor.predict_store(moved, moved.indices(), "forward")
    mean = (sigmoid(found["forward strand"]) + sigmoid(other)) / 2
    np.testing.assert_allclose(sigmoid(found["forward strand, 2 shifts"]), mean, atol=1e-6)


def test_a_window_that_is_its_own_contig_does_not_move(tmp_path: Path) -> None:
    genome = random_genome({f"w{i}": WINDOW for i in range(4)})
    store = make_store(tmp_path / "s.zarr", genome, [(name, 0) for name in genome], np.zeros((4, 3), dtype=np.uint8),
                       window=WINDOW, bin=100)  # fmt: skip
    assert cut_short(store, store.indices(), (-3, 3)) == 4
    found = by_scheme([make_predictor()], store, Averaging("both", (-3, 3)))
    np.testing.assert_allclose(found["both strands, 3 shifts"], found["both strands"], atol=2e-5)


def test_a_window_that_reaches_past_its_contig_gives_room_to_all(tmp_path: Path) -> None:
    store = make_windows(tmp_path / "s.zarr", [-50, 0, 700])
    assert cut_short(store, store.indices(), (-50, 50)) == 1  # the first cannot go further to the left
    assert cut_short(store, store.indices()[1:], (-50, 50)) == 0


def test_tasks_of_an_ensemble_are_matched_by_name(tmp_path: Path) -> None:
    store = make_windows(tmp_path / "s.zarr", [0, 100, 200])
    first, second = make_predictor(seed=0), make_predictor(seed=1)
    turned = make_predictor(seed=1)
    turned.tasks = TASKS[1:] + TASKS[:1]
    with torch.no_grad():
        for parameter in (turned.model.output.weight, turned.model.output.bias):
            parameter.copy_(parameter[[1, 2, 0]].clone())
    name = "both strands of 2 models"
    expected, found = (by_scheme([first, other], store, Averaging())[name] for other in (second, turned))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_models_of_several_kinds_make_an_ensemble(tmp_path: Path) -> None:
    store = make_windows(tmp_path / "s.zarr", [0, 100])
    predictors = [make_predictor("compact"), make_predictor("danq")]
    predictors[0].model.train()
    found = by_scheme(predictors, store, Averaging("forward"))
    alone = [sigmoid(p.predict_store(store, store.indices(), "forward")) for p in predictors]
    np.testing.assert_allclose(sigmoid(found["forward strand of 2 models"]), np.mean(alone, axis=0), atol=1e-6)
    assert [p.model.training for p in predictors] == [True, False]


def test_an_ensemble_of_other_tasks_is_told(tmp_path: Path) -> None:
    store, other = make_windows(tmp_path / "s.zarr", [0]), make_predictor()
    other.tasks = (TASKS[0], TASKS[1], Task("CTCF"))
    with pytest.raises(InputError, match=r"model 2 .*lacks H3K4me3 and has CTCF besides"):
        by_scheme([make_predictor(), other], store, Averaging())


def test_an_ensemble_of_other_windows_is_told(tmp_path: Path) -> None:
    store, other = make_windows(tmp_path / "s.zarr", [0]), make_predictor()
    other.bin = 50
    with pytest.raises(InputError, match="model 2 of the ensemble has the bin 50"):
        by_scheme([make_predictor(), other], store, Averaging())
    short = Predictor(create_model("compact", len(TASKS), 100, {"channels": 8, "dilations": [1]}), TASKS, 100)
    with pytest.raises(InputError, match="window 100"):
        by_scheme([make_predictor(), short], store, Averaging())
    with pytest.raises(InputError, match="windows of 200 bp"):
        by_scheme([short], store, Averaging())


@pytest.mark.parametrize("shifts", [(0,), (5, 5)])
def test_shifts_that_make_no_sense_are_told(shifts: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="other than 0, each once"):
        Averaging("both", shifts)


def test_temperatures_stay_with_the_predictor_and_change_probabilities_alone(tmp_path: Path) -> None:
    predictor, codes = make_predictor(), random_codes(8)
    temperatures = np.array([0.5, 1.0, 1.7], dtype=np.float32)
    predictor.calibrated(temperatures).save(tmp_path)
    loaded = noncoder.load(tmp_path)
    assert loaded.temperatures == pytest.approx((0.5, 1.0, 1.7))
    assert predictor.temperatures is None
    logits = predictor.predict_logits(codes)
    np.testing.assert_array_equal(loaded.predict_logits(codes), logits)
    np.testing.assert_allclose(loaded.predict(codes), sigmoid(logits / temperatures), atol=1e-6)
    np.testing.assert_array_equal(loaded.uncalibrated().predict(codes), predictor.predict(codes))


def test_a_folder_from_before_temperatures_is_read(tmp_path: Path) -> None:
    make_predictor().save(tmp_path)
    write_as_earlier_versions_did(tmp_path, temperatures=None)
    assert noncoder.load(tmp_path).temperatures is None


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [1.0, 0.0, 1.0], [1.0, float("nan"), 1.0], [1.0, float("inf"), 1.0]])
def test_temperatures_that_cannot_be_are_told(wrong: list[float], tmp_path: Path) -> None:
    with pytest.raises(PredictorError, match="3 positive numbers"):
        make_predictor().calibrated(wrong)
    make_predictor().save(tmp_path)
    write_as_earlier_versions_did(tmp_path, temperatures=wrong)
    with pytest.raises(PredictorError, match=r"model\.json: (the temperature|temperatures)"):
        noncoder.load(tmp_path)


def test_temperatures_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    make_predictor().save(tmp_path)
    write_as_earlier_versions_did(tmp_path, temperatures=[None, "warm", 1])
    with pytest.raises(PredictorError, match="damaged"):
        noncoder.load(tmp_path)


def mutated(content: bytes, draw: random.Random) -> bytes:
    new, at = bytearray(content), draw.randrange(len(content))
    other = draw.randrange(len(content))
    kind = draw.randrange(6)
    if kind < 2:
        new[at] ^= 1 << draw.randrange(8)
    elif kind == 2:
        new[at] = draw.randrange(256)
    elif kind == 3:
        del new[at:]
    elif kind == 4:
        new[at], new[other] = new[other], new[at]
    else:
        new.insert(at, draw.randrange(256))
    return bytes(new)


@pytest.mark.parametrize("file", ["model.json", "weights.safetensors"])
def test_any_mutation_is_noticed_or_harmless(file: str, tmp_path: Path) -> None:
    codes, draw, noticed = random_codes(3), random.Random(0), 0
    make_predictor().calibrated([0.5, 1.0, 2.0]).save(tmp_path)
    expected, content = noncoder.load(tmp_path).predict(codes), (tmp_path / file).read_bytes()
    for _ in range(75):
        (tmp_path / file).write_bytes(mutated(content, draw))
        try:
            loaded = noncoder.load(tmp_path)
        except PredictorError:
            noticed += 1
        else:
            np.testing.assert_array_equal(loaded.predict(codes), expected)
            assert [task.name for task in loaded.tasks] == [task.name for task in make_predictor().tasks]
    assert noticed >= 65


def test_keys_that_are_added_or_taken_are_noticed_or_harmless(tmp_path: Path) -> None:
    make_predictor().save(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    for key in ("model", "window", "bin", "tasks", "weights_sha256", "parameters"):
        without = {name: value for name, value in description.items() if name != key}
        for values in (without, description | {key: 1}, description | {"more": 1}):
            (tmp_path / "model.json").write_text(json.dumps(values))
            with pytest.raises(PredictorError, match="damaged"):
                noncoder.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": [{"name": "a"}, {"name": "b"}, {"name": "a"}]},
        {"tasks": [{"name": "a"}, {"name": "b"}, {"name": ""}]},
        {"tasks": [{"name": "a"}, {"name": "b"}, {"name": 5}]},
        {"tasks": [{"name": "a"}, {"name": "b"}, {"name": "c", "group": 5}]},
        {"bin": "x"},
        {"bin": -5},
        {"bin": None},
        {"bin": 10_000},
        {"bin": True},
        {"info": None},
        {"info": 3},
    ],
)
def test_a_description_without_digests_is_checked_for_what_it_says(change: dict[str, Any], tmp_path: Path) -> None:
    make_predictor().save(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    del description["file_sha256"]
    (tmp_path / "model.json").write_text(json.dumps(description | change))
    with pytest.raises(PredictorError, match="damaged"):
        noncoder.load(tmp_path)


def test_the_weights_of_another_predictor_are_noticed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        predictor = make_predictor()
        torch.nn.init.constant_(next(predictor.model.parameters()), len(listing(tmp_path)))
        predictor.save(tmp_path / name)
    (tmp_path / "a/weights.safetensors").write_bytes((tmp_path / "b/weights.safetensors").read_bytes())
    with pytest.raises(PredictorError, match=r"weights.safetensors is not the file that model.json was written with"):
        noncoder.load(tmp_path / "a")


def test_a_folder_is_replaced_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = make_predictor(), make_predictor()
    for parameter in new.model.parameters():
        torch.nn.init.constant_(parameter, 0.5)
    old.save(tmp_path / "p")
    steps: list[str] = []

    def check(step: str) -> None:
        # A process that is killed here leaves what another one finds here.
        found = noncoder.load(tmp_path / "p").digest()
        steps.append("old" if found == old.digest() else "new" if found == new.digest() else "neither")

    for name in ("_sync", "_exchange", "_remove"):
        call = getattr(noncoder.temporary, name)

        def watched(*given: Path, call: Any = call, name: str = name) -> Any:
            if sys._getframe(1).f_code.co_name != "_clear":  # of the look itself
                check(name)
            return call(*given)

        monkeypatch.setattr(noncoder.temporary, name, watched)
    new.save(tmp_path / "p")
    assert set(steps) == {"old", "new"}
    assert steps == sorted(steps, key=["old", "new"].index)
    assert listing(tmp_path) == ["p"]
    assert listing(tmp_path / "p") == ["model.json", "weights.safetensors"]


def test_what_else_lies_in_the_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for temperature in (1.0, 2.0):
        make_predictor().calibrated([temperature] * 3).save(tmp_path)
        assert noncoder.load(tmp_path).temperatures == (temperature,) * 3
    assert listing(tmp_path) == ["model.json", "notes.txt", "weights.safetensors"]
