"""Models of installed packages, by the entry-point group `noncoder.models`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from noncoder.errors import InputError
from noncoder.models.own.adapter import explained

GROUP = "noncoder.models"


@dataclass(frozen=True)
class Package:
    """An installed package that brings a model.

    Args:
        name: The package's name.
        version: Its version.
    """

    name: str
    version: str

    def describe(self) -> dict[str, Any]:
        """Describes the package for a predictor's folder."""
        return {"package": {"name": self.name, "version": self.version}}

    def check(self, described: Mapping[str, Any]) -> None:
        """Checks that the package is the one described; its version may differ.

        Raises:
            InputError: The model comes from another package.
        """
        expected = described["package"]["name"]
        if self.name != expected:
            raise InputError(f"the model comes from the package {self.name}", expected=f"{expected}, as in training")


def package_models() -> list[str]:
    """Returns the names of the models of all installed packages, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load_from_package(name: str) -> tuple[Any, Package] | None:
    """Returns the class or function that a package registers under a name; None if there is none.

    Raises:
        InputError: Two packages register the name, or the package cannot be imported.
    """
    points = {_package(point).name: point for point in entry_points(group=GROUP, name=name)}
    if not points:
        return None
    if len(points) > 1:
        raise InputError(f"{len(points)} packages have a model {name!r}: {', '.join(sorted(points))}", "one package")
    (point,) = points.values()
    package = _package(point)
    with explained(f"the model {name!r} of the package {package.name} cannot be imported", name):
        return point.load(), package


def _package(point: EntryPoint) -> Package:
    return Package(point.dist.name, point.dist.version) if point.dist is not None else Package(point.value, "")
