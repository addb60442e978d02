"""Policies as files that run without Beeline: NumPy, StableHLO, ONNX."""

import importlib
from typing import TYPE_CHECKING, Any

from beeline.export._formats import FORMATS, ExportError

if TYPE_CHECKING:
    from beeline.export._export import export_policy
    from beeline.export.numpy_policy import NumpyPolicy, PolicyFileError
    from beeline.export.numpy_policy import load as load_numpy

__all__ = [
    "FORMATS",
    "ExportError",
    "NumpyPolicy",
    "PolicyFileError",
    "export_policy",
    "load_numpy",
]

_HOMES = {
    "NumpyPolicy": ("beeline.export.numpy_policy", "NumpyPolicy"),
    "PolicyFileError": ("beeline.export.numpy_policy", "PolicyFileError"),
    "export_policy": ("beeline.export._export", "export_policy"),
    "load_numpy": ("beeline.export.numpy_policy", "load"),
}


def __getattr__(name: str) -> Any:
    # The command line reads the formats without NumPy, and a policy is read without JAX.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, attribute = _HOMES[name]
    return getattr(importlib.import_module(home), attribute)
