"""Contribution of each base to a model's logit, by several methods.

>>> from noncoder.interpret.attribution import attribute, list_attributions
>>> found = attribute(predictor.model, codes, tasks=3, method="deeplift")
>>> found.projected, found.completeness_error, found.warnings
"""

from importlib import import_module
from pkgutil import iter_modules

from noncoder.interpret.attribution.attributing import attribute
from noncoder.interpret.attribution.methods import (
    Attribution,
    AttributionConfig,
    AttributionPart,
    attribution_method,
    list_attributions,
    register,
)
from noncoder.interpret.attribution.target import Target

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")  # importing a file of this package registers its methods

__all__ = [
    "Attribution",
    "AttributionConfig",
    "AttributionPart",
    "Target",
    "attribute",
    "attribution_method",
    "list_attributions",
    "register",
]
