"""Recipes: frozen sections, read from YAML, overridden by dotted keys."""

from noncoder.config.augment import AugmentConfig
from noncoder.config.base import Section, split_list
from noncoder.config.design import DesignSettings
from noncoder.config.evaluate import EvaluateConfig
from noncoder.config.grammar import GrammarSettings
from noncoder.config.interpret import InterpretConfig
from noncoder.config.loss import LossConfig
from noncoder.config.pack import PackConfig
from noncoder.config.reading import parse_yaml, read_yaml
from noncoder.config.recipe import read_recipe, read_settings, write_recipe
from noncoder.config.sections import (
    BuildConfig,
    DataConfig,
    DeepSeaConfig,
    ModelConfig,
    ReportConfig,
    RunConfig,
    SimulateConfig,
)
from noncoder.config.training import TrainConfig
from noncoder.config.validation import nearest_keys, validate
from noncoder.config.watch import WatchConfig

__all__ = [
    "AugmentConfig",
    "BuildConfig",
    "DataConfig",
    "DeepSeaConfig",
    "DesignSettings",
    "EvaluateConfig",
    "GrammarSettings",
    "InterpretConfig",
    "LossConfig",
    "ModelConfig",
    "PackConfig",
    "ReportConfig",
    "RunConfig",
    "Section",
    "SimulateConfig",
    "TrainConfig",
    "WatchConfig",
    "nearest_keys",
    "parse_yaml",
    "read_recipe",
    "read_settings",
    "read_yaml",
    "split_list",
    "validate",
    "write_recipe",
]
