"""Policies as files that run without Beeline: NumPy, StableHLO, ONNX."""

import importlib
from typing import TYPE_CHECKING, Any

from beeline.export._formats import FORMATS, ExportError
from beeline.export.numpy_policy import NumpyPolicy, PolicyFileError
from beeline.export.numpy_policy import load as load_numpy

if TYPE_CHECKING:
    from beeline.export._export import export_policy

__all__ = [
    "FORMATS",
    "ExportError",
    "NumpyPolicy",
    "PolicyFileError",
    "export_policy",
    "load_numpy",
]


def __getattr__(name: str) -> Any:
    # An exported policy is read without JAX, which this one needs.
    if name == "export_policy":
        return importlib.import_module("beeline.export._export").export_policy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
