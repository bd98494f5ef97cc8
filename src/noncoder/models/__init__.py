"""The models, by name.

>>> from noncoder.models import create_model, list_models
>>> model = create_model("deepsea", tasks=919)
"""

from importlib import import_module
from pkgutil import iter_modules

from noncoder.models.registry import (
    Entry,
    SequenceModel,
    check_model,
    count_parameters,
    create_model,
    last_layer,
    list_models,
    model_entry,
    register,
    set_prior_bias,
)
from noncoder.models.summary import LayerRow, count_operations, layer_table

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")  # a file here registers its models when it is imported

__all__ = [
    "Entry",
    "LayerRow",
    "SequenceModel",
    "check_model",
    "count_operations",
    "count_parameters",
    "create_model",
    "last_layer",
    "layer_table",
    "list_models",
    "model_entry",
    "register",
    "set_prior_bias",
]
