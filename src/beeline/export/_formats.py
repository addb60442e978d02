"""The formats that policies are exported to."""

from typing import NamedTuple


class ExportError(ValueError):
    """A policy that cannot be exported as asked; the message says why and what to do."""


class Format(NamedTuple):
    """One kind of file."""

    description: str
    suffix: str
    encode: str
    """`module:name` of the function that makes its content of an `Exportable`."""


FORMATS = {
    "numpy": Format("arrays in one .npz, for NumPy alone", ".npz", "beeline.export._npz:encode"),
    "stablehlo": Format(
        "a JAX program with a free batch size, for JAX alone",
        ".stablehlo",
        "beeline.export._stablehlo:encode",
    ),
    "onnx": Format("an ONNX graph, for any ONNX runtime", ".onnx", "beeline.export._onnx:encode"),
}
