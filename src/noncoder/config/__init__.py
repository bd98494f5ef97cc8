"""Recipes: frozen sections, read from YAML, overridden by dotted keys."""

from noncoder.config.augment import AugmentConfig
from noncoder.config.design_config import DesignConfig
from noncoder.config.evaluate_config import EvaluateConfig
from noncoder.config.grammar_config import GrammarConfig
from noncoder.config.interpret_config import InterpretConfig
from noncoder.config.loss import LossConfig
from noncoder.config.pack import PackConfig
from noncoder.config.recipe import read_recipe, read_settings, write_recipe
from noncoder.config.section import Section, split_list
from noncoder.config.sections import (
    BuildConfig,
    DataConfig,
    DeepSeaDataConfig,
    ModelConfig,
    ReportConfig,
    RunConfig,
    SimulateConfig,
)
from noncoder.config.training import TrainConfig
from noncoder.config.validation import nearest_keys, validate
from noncoder.config.watch_config import WatchConfig
from noncoder.config.yaml_reader import parse_yaml, read_yaml

__all__ = [
    "AugmentConfig",
    "BuildConfig",
    "DataConfig",
    "DeepSeaDataConfig",
    "DesignConfig",
    "EvaluateConfig",
    "GrammarConfig",
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
