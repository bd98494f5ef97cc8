"""The pages that are made from docstrings: files of a run, the Python interface, the modules."""

from __future__ import annotations

import ast
import inspect
import os
import tomllib
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from pagetext import MADE, code, docstring, first_paragraph, table
from pydantic import BaseModel

import noncoder
from noncoder.runs import results
from noncoder.runs.folder import RunFolder

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "noncoder"
# Packages whose functions and classes the API page lists, besides the names that `import noncoder` gives.
PACKAGES = (
    "noncoder.metrics",
    "noncoder.predictor",
    "noncoder.interpret.attribution",
    "noncoder.interpret.mutagenesis",
    "noncoder.interpret.motifs",
    "noncoder.interpret.grammar",
    "noncoder.interpret.design",
    "noncoder.plots",
)


# --- The files of a run


def files_page() -> str:
    """Every file of a run, and the fields of its results."""
    text = [
        "# Files of a run\n",
        MADE,
        "A file is complete or absent. Results are JSON files. Each holds a SHA-256 of itself, and a summary those of "
        "the files beside it. A stage writes the files that its settings ask for; `made-from.json` lies in the folders "
        "of splits and of interpreted tasks.\n",
        *_folder_sections(RunFolder(Path("RUN")), Path("RUN"), Path("RUN")),
        "## Fields of the results\n",
        "Fields that earlier versions did not write are null.\n",
        *(_result_section(kind) for kind in _results()),
    ]
    return "\n".join(text)


def _folder_sections(folder: Any, path: Path, root: Path) -> Iterator[str]:
    rows, inner = [], []
    for name, about in _paths_of(type(folder)):
        value = _value(folder, name)
        if isinstance(value, Path):
            shown = os.path.relpath(value.absolute(), path.absolute())
            rows.append((code(shown), first_paragraph(about)))
        elif hasattr(value, "path"):
            rows.append((code(f"{os.path.relpath(value.path, path)}/"), first_paragraph(about)))
            inner.append(value)
    yield f"## {path}\n\n{first_paragraph(docstring(type(folder)))}\n"
    yield table(("file", "what it holds"), rows)
    for below in inner:
        yield from _folder_sections(below, below.path, root)


def _paths_of(kind: type) -> Iterator[tuple[str, str]]:
    """The properties and methods that give a path, with their docstrings; those of the class before its parents'."""
    for parent in kind.__mro__:
        for name, one in vars(parent).items():
            function = one.fget if isinstance(one, property) else one
            if name.startswith("_") or not inspect.isfunction(function):
                continue
            given = list(inspect.signature(function).parameters)[1:]
            if len(given) <= 1 and str(inspect.signature(function).return_annotation).endswith(("Path", "Folder")):
                yield name, docstring(function)


def _value(folder: Any, name: str) -> Any:
    value = getattr(folder, name)
    if not callable(value):
        return value
    placeholder = {"split": "SPLIT", "task": "TASK.METHOD", "best_of_step": "STEP", "trial": "TRIAL"}
    return value(placeholder.get(name, name.upper()))


def _results() -> list[type[BaseModel]]:
    kinds = vars(results).values()
    return [one for one in kinds if isinstance(one, type) and issubclass(one, results.Result) and one.model_fields]


def _result_section(kind: type[BaseModel]) -> str:
    abouts = dict(_arguments(kind))
    for parent in kind.__mro__[1:]:
        abouts = dict(_arguments(parent)) | abouts
    head = f"### {kind.__name__}\n\n{first_paragraph(docstring(kind))}\n\n"
    if not any(name in abouts for name in kind.model_fields):
        return f"{head}Fields: {', '.join(map(code, kind.model_fields))}.\n"
    return head + table(("field", "what it is"), ((code(name), abouts.get(name, "")) for name in kind.model_fields))


def _arguments(one: object) -> Iterator[tuple[str, str]]:
    """The names and descriptions below "Args:" in a docstring."""
    _, found, below = docstring(one).partition("Args:\n")
    name, about = "", ""
    for line in below.splitlines() if found else ():
        if line.startswith("    ") and not line.startswith("     "):
            if name:
                yield name, about
            name, _, about = line.strip().partition(": ")
        elif line.startswith("     "):
            about += " " + line.strip()
        else:
            break
    if name:
        yield name, about


# --- The Python interface


def api_page() -> str:
    """What `import noncoder` gives, and the functions and classes of the packages below it."""
    classes: dict[str, type] = {}
    functions = []
    for name in noncoder.__all__:
        one = getattr(noncoder, name)
        if inspect.ismodule(one):  # a package that can be called as its main function
            one = getattr(one, name)
        if not callable(one):
            continue
        functions.append(_function_section(f"noncoder.{name}", one))
        found = typing.get_type_hints(one).get("return")
        if isinstance(found, type) and found.__module__.startswith("noncoder"):
            classes[found.__name__] = found
    text = [
        "# Python interface\n",
        MADE,
        "```python\nimport noncoder\n```\n",
        *functions,
        *(_class_section(one) for one in classes.values()),
        "## Packages\n",
        "Their names can be imported from the package. `help(name)` prints arguments, shapes and errors.\n",
        *(_package_section(name) for name in PACKAGES),
    ]
    return "\n".join(text)


def _function_section(name: str, one: Callable[..., Any]) -> str:
    return f"## {name}\n\n```python\n{name}{_signature(one)}\n```\n\n{_google(one)}"


def _class_section(one: type) -> str:
    rows = []
    for name, member in sorted(vars(one).items()):
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            rows.append((code(name), first_paragraph(docstring(member))))
        elif inspect.isfunction(member):
            rows.append((code(name + _signature(member)), first_paragraph(docstring(member))))
    return f"## {one.__name__}\n\n{_google(one)}\n{table(('member', 'what it is'), rows)}"


def _signature(one: Callable[..., Any]) -> str:
    signature = inspect.signature(one)
    parameters = [value for name, value in signature.parameters.items() if name != "self"]
    return str(signature.replace(parameters=parameters)).replace("'", "")


def _google(one: object) -> str:
    """A Google docstring as Markdown: its sections as lists."""
    text = []
    for line in docstring(one).splitlines():
        bare = line.strip()
        if bare in ("Args:", "Returns:", "Raises:", "Attributes:", "Example:") and line == bare:
            text.append(f"\n*{bare.rstrip(':')}*\n")
        elif line.startswith("    ") and not line.startswith("     ") and ": " in bare:
            name, _, about = bare.partition(": ")
            text.append(f"- `{name}`: {about}")
        else:
            text.append(line[2:] if line.startswith("        ") else line)
    return "\n".join(text).strip() + "\n"


def _package_section(package: str) -> str:
    module = import_module(package)
    rows = []
    for name in sorted(module.__all__):
        one = getattr(module, name)
        about = first_paragraph(docstring(one)) if inspect.isclass(one) or inspect.isfunction(one) else ""
        rows.append((code(name), about))
    return f"### {package}\n\n{first_paragraph(module.__doc__)}\n\n{table(('name', 'what it is'), rows)}"


# --- Architecture


def architecture_page() -> str:
    """The floors of the package and a line on every module."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    floors = [layer.replace("noncoder.", "").split(" | ") for layer in layers]
    tops: list[str] = []
    for name in (one.partition(".")[0] for floor in floors for one in floor):
        if name not in tops:
            tops.append(name)
    rest = sorted(path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file())
    tops += [name for name in rest if name not in (*tops, "__init__")]
    text = [
        "# Architecture\n",
        MADE,
        "How the parts work together, and what they promise each other, is in [design](explanation/design.md). "
        "Imports go downwards only; modules on one floor never import each other. `make lint` checks it.\n",
        "```text\n" + "\n".join(" | ".join(floor) for floor in floors) + "\n```\n",
        *(f"- {one['name']}." for one in contracts if one["type"] == "forbidden"),
        "\nThe tables have the first line of each module's docstring, from the top floor to the bottom.\n",
        *(_modules_section(name) for name in tops),
    ]
    return "\n".join(text)


def _modules_section(name: str) -> str:
    path = PACKAGE / name
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    rows = [(code(file.relative_to(PACKAGE)), _module_line(file)) for file in files]
    return f"## {name}\n\n" + table(("module", "what it does"), rows)


def _module_line(file: Path) -> str:
    return first_paragraph(ast.get_docstring(ast.parse(file.read_text()))).split("\n")[0]
