"""The kernels of the first convolution as motifs, in the folder filters/ of an interpretation."""

from __future__ import annotations

from typing import Any

from noncoder.bars import progress_bar
from noncoder.config import InterpretConfig
from noncoder.errors import InputError
from noncoder.files import write_json
from noncoder.interpret.choosing import Scored
from noncoder.interpret.motifs import LEAST_BITS, first_layer_motifs, load_database, match_motifs
from noncoder.predictor import Predictor
from noncoder.runs.folder import FiltersFolder
from noncoder.sequence.motifs import write_meme

_MOST = 2000  # windows whose activations are computed


def interpret_filters(
    folder: FiltersFolder, predictor: Predictor, scored: Scored, config: InterpretConfig
) -> dict[str, Any]:
    """Writes filters.json and filters.meme; returns the numbers of all, of informative and of named kernels.

    Args:
        folder: Folder of the files.
        predictor: The trained model.
        scored: The split from which windows are taken, evenly spaced.
        config: Settings with the motif database.
    """
    step = max(1, -(-scored.indices.size // _MOST))
    codes = scored.store.read_codes(scored.indices[::step])
    try:
        with progress_bar(total=len(codes), desc="first convolution", unit="windows") as bar:
            filters = first_layer_motifs(predictor.model, codes, progress=bar.update)
    except InputError as error:
        return {"n": 0, "informative": 0, "matched": 0, "text": error.found}
    motifs = [one.motif for one in filters]
    matches = match_motifs(motifs, load_database(config.release, config.taxon))
    names = [task.name for task in predictor.tasks]
    write_json(
        folder.filters, [one.result(names, found).to_json() for one, found in zip(filters, matches, strict=True)]
    )
    if motifs:
        write_meme(motifs, folder.motifs)
    return {
        "n": len(filters),
        "informative": sum(motif.total_information >= LEAST_BITS for motif in motifs),
        "matched": sum(bool(found) for found in matches),
        "text": f"sites of {len(codes):,} windows of the {scored.split} split",
    }
