"""Deep learning on non-coding DNA.

    >>> import noncoder
    >>> model = noncoder.create_model("deepsea", tasks=919)
    >>> store = noncoder.open_store("yeast.zarr")
    >>> predictor = noncoder.load("runs/yeast")
    >>> found = noncoder.attribute(predictor.model, codes, tasks=3, method="gradcam")
    >>> effects = noncoder.mutate(predictor.model, codes, tasks=[3])
    >>> summary = noncoder.evaluate([predictor], store, "test", EvaluateConfig(), folder)

The names below are imported at first use, so that `import noncoder` is fast.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from noncoder.threads import limit_torch, wait_without_spinning

if TYPE_CHECKING:
    from noncoder.data.store import open_store
    from noncoder.evaluate import evaluate
    from noncoder.interpret.attribution import attribute
    from noncoder.interpret.mutagenesis import mutate
    from noncoder.models.registry import create_model, list_models
    from noncoder.predictor import load

wait_without_spinning()

__version__ = version("noncoder")
__all__ = [
    "__version__",
    "attribute",
    "create_model",
    "evaluate",
    "list_models",
    "load",
    "mutate",
    "open_store",
]

_HOMES = {
    "attribute": "noncoder.interpret.attribution",
    "create_model": "noncoder.models",
    "list_models": "noncoder.models",
    "load": "noncoder.predictor",
    "mutate": "noncoder.interpret.mutagenesis",
    "open_store": "noncoder.data.store",
}


def __getattr__(name: str) -> Any:
    if name == "evaluate":  # a package; the name refers to its main function
        found: Any = import_module("noncoder.evaluate")
        limit_torch()
        return found
    if name in _HOMES:
        found = getattr(import_module(_HOMES[name]), name)
        limit_torch()
        return found
    raise AttributeError(f"module 'noncoder' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
