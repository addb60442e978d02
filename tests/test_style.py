"""The house style, where it can be counted."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import equinox as eqx
import pytest

import beeline
from beeline._module import Module

SOURCE = Path(beeline.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))


def name_of(path):
    return str(path.relative_to(SOURCE))


def modules():
    for found in pkgutil.walk_packages(beeline.__path__, "beeline."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def test_there_is_something_to_count():
    assert len(FILES) > 20


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, functions):
            # A docstring is not what makes a function long.
            lines = (node.end_lineno or 0) - node.lineno + 1
            documented = ast.get_docstring(node, clean=False)
            assert lines - (documented.count("\n") + 1 if documented else 0) <= 60, node.name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_have_no_nondescript_names(path):
    assert path.stem.strip("_") not in {"utils", "util", "helpers", "misc", "common"}


FLOORS = (
    {"compute", "networks", "statistics", "storage"},
    {"data", "envs", "policies", "sequence"},
    {"config", "models"},
    {"gradients"},
    {"control", "diagnostics", "training"},
    {"theory"},
    {"offline", "online_dt", "sac"},
    {"build", "export"},
    {"examine", "run"},
    {"forecast"},
    {"cli"},
)
"""Each imports from those before it only; files with an underscore serve all."""


def test_no_floor_imports_from_its_own_or_a_higher_one():
    height = {name: height for height, names in enumerate(FLOORS) for name in names}
    imports = set()
    for path in FILES:
        here = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("beeline."):
                imports.add((here, (node.module or "").split(".")[1]))
    between = {(a, b) for a, b in imports if a != b and "_" not in (a[0], b[0])}
    assert len(between) > 15
    assert not {(a, b) for a, b in between if height[a] <= height[b]}


def test_module_classes_are_abstract_or_final():
    classes = {
        value
        for module in modules()
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, eqx.Module)
        and value.__module__.startswith("beeline.")
        and value is not Module
    }
    assert len(classes) > 20
    neither = {
        one
        for one in classes
        if not inspect.isabstract(one) and not one.__abstractvars__ and "__final__" not in vars(one)
    }
    assert not neither
    assert not {
        one for one in classes if any("__final__" in vars(base) for base in one.__mro__[1:])
    }


def is_plain(member):
    return not callable(member) and not isinstance(member, property)


def test_public_methods_have_a_docstring_of_their_own_or_inherit_one():
    classes = {
        value
        for module in modules()
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and value.__module__.startswith("beeline.")
        and not name.startswith("_")
    }
    methods = [
        (one, name)
        for one in classes
        for name, member in vars(one).items()
        if not name.startswith("_")
        and (callable(member) or isinstance(member, property))
        # A property in the place of a plain attribute is described by the class that has it.
        and not any(name in vars(base) and is_plain(vars(base)[name]) for base in one.__mro__[1:])
    ]
    assert len(methods) > 200
    assert not [f"{one.__name__}.{n}" for one, n in methods if not inspect.getdoc(getattr(one, n))]
