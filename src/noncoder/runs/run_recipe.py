"""The recipe that a run's folder keeps."""

from __future__ import annotations

from pathlib import Path

from noncoder.config import RunConfig, read_recipe
from noncoder.errors import ConfigError
from noncoder.kinds import mistaken
from noncoder.runs.folder import RunFolder


def read_run(folder: str | Path) -> RunConfig:
    """The recipe of a run's folder.

    Raises:
        ConfigError: The folder is no run.
    """
    recipe = RunFolder(Path(folder)).recipe
    if not recipe.is_file():
        found, hint = mistaken(Path(folder), "run", "make one with `noncoder run RECIPE`")
        raise ConfigError(found, expected=f"a run's folder, with its {recipe.name}", hint=hint)
    # The folder may have been moved or be named from elsewhere since.
    return read_recipe(recipe).model_copy(update={"run": Path(folder)})
