"""Whatever is done with a model, each of its parts is afterwards in the mode that it was in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from noncoder.config import DesignConfig, GrammarConfig
from noncoder.data.store import Store
from noncoder.interpret.attribution import attribute, list_attributions
from noncoder.interpret.design import design_sequences
from noncoder.interpret.grammar import explore_grammar
from noncoder.interpret.layers import list_layers
from noncoder.interpret.motifs import first_layer_motifs
from noncoder.interpret.mutagenesis import mutate
from noncoder.predictor import Averaging, Predictor
from noncoder.predictor.inference import restoring_modes
from noncoder.predictor.schemes import predict_store_schemes
from tests.evaluate.made import labelled_store, predictor_of

Use = Callable[[Predictor, Store], object]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return labelled_store(tmp_path_factory.mktemp("modes") / "data.zarr")


def codes(store: Store) -> NDArray[np.uint8]:
    return store.read_codes(np.arange(3))


USES: dict[str, Use] = {
    "predict": lambda p, s: p.predict(codes(s)),
    "predict_logits": lambda p, s: p.predict_logits(codes(s), "forward"),
    "predict_store": lambda p, s: p.predict_store(s, np.arange(3)),
    "schemes": lambda p, s: predict_store_schemes([p], s, np.arange(3), Averaging(), 8, lambda at, parts: None),
    "layers": lambda p, s: list_layers(p.model),
    "filters": lambda p, s: first_layer_motifs(p.model, codes(s)),
    "mutate": lambda p, s: mutate(p.model, codes(s), [0]),
    "design": lambda p, s: design_sequences(p, "t0", DesignConfig(evaluations=40, sequences=2)),
    "grammar": lambda p, s: explore_grammar(p, "t0", ["ACGTAC"], codes(s), GrammarConfig(backgrounds=2, kmer=0)),
}


def explain(method: str) -> Use:
    return lambda p, s: attribute(p.model, codes(s), 0, method)


@pytest.mark.parametrize("use", [*USES.values(), *map(explain, list_attributions())], ids=[*USES, *list_attributions()])
def test_parts_keep_their_modes(use: Use, store: Store) -> None:
    predictor = predictor_of(store)
    predictor.model.train()
    for part in list(predictor.model.modules())[2::3]:
        part.training = False  # as frozen parts are
    before = [part.training for part in predictor.model.modules()]
    use(predictor, store)
    assert [part.training for part in predictor.model.modules()] == before


def test_modes_are_restored_after_an_error_too(store: Store, tmp_path: Path) -> None:
    model = predictor_of(store).model.train()
    next(model.children()).eval()
    before = [part.training for part in model.modules()]

    def fail() -> None:
        with restoring_modes(model, torch.nn.Dropout()):
            model.eval()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [part.training for part in model.modules()] == before
