"""A policy as an ONNX graph, from its formula.

References:
    ONNX operators, opset 17 (of 2022, for runtimes that are not the newest).
    Higham 2002, "Accuracy and stability of numerical algorithms", section 1.14.1 (log(1 + x)).
"""

import json
from typing import Any, NamedTuple

import numpy as np

from beeline.export._exportable import Exportable
from beeline.export._formats import ExportError
from beeline.export._formula import in_numpy
from beeline.export.numpy_policy import NumpyPolicy

OPSET, IR_VERSION = 17, 8
KEY = "beeline"
"""The entry of the model's metadata that holds the policy's, as JSON."""


def encode(exportable: Exportable) -> bytes:
    """Write a policy's formula as a graph.

    Args:
        exportable: The policy.

    Returns:
        The content of the file.

    Raises:
        ExportError: If the package is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ExportError(
            "ONNX needs the package onnx: install it with pip install 'beeline[export]'"
        ) from error
    made = in_numpy(exportable)
    metadata = {name: value for name, value in made.metadata.items() if name != "formula"}
    graph = _Graph()
    graph.action(made)
    single, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    kinds = {"state": (single, ["batch", len(metadata["state"])]), "t": (whole, ["batch"])}
    result = onnx.helper.make_tensor_value_info(
        "action", single, ["batch", len(metadata["action"])]
    )
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node(o, i, [out], **options) for o, i, out, options in graph.nodes],
            "policy",
            [onnx.helper.make_tensor_value_info(n, *kinds[n]) for n in metadata["inputs"]],
            [result],
            [onnx.numpy_helper.from_array(array, n) for n, array in graph.constants.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="beeline",
        producer_version=metadata["beeline"],
    )
    onnx.helper.set_model_props(model, {KEY: json.dumps(metadata, allow_nan=False)})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


class _Node(NamedTuple):
    operator: str
    inputs: list[str]
    output: str
    options: dict[str, Any]


class _Graph:
    """Nodes and constants, each named by its number."""

    def __init__(self) -> None:
        self.nodes: list[_Node] = []
        self.constants: dict[str, np.ndarray] = {}

    def action(self, made: NumpyPolicy) -> None:
        """Add what `made` computes, line by line.

        Args:
            made: The policy.
        """
        formula, arrays = made.metadata["formula"], made.arrays
        x = "state"
        if formula["modes"] is not None:
            x = self._do("Div", self._do("Sub", x, arrays["centre"]), arrays["spread"])
            x = self._do("MatMul", x, arrays["directions"])
        x = self._symlog(x) if formula["compress"] else x
        if formula["frequencies"] is not None:
            time = self._time(formula["frequencies"], made.metadata["horizon"])
            x = self._do("Concat", x, *time, axis=-1)
        if "ahead" in formula:
            seen = self._context(formula["ahead"], arrays["context"])
            x = self._do("Concat", x, *seen, axis=-1)
        x = self._do("Div", self._do("Sub", x, arrays["mean"]), arrays["scale"])
        if formula["limit"] is not None:
            x = self._do("Clip", x, -formula["limit"], formula["limit"])
        for i in range(formula["layers"]):
            x = x if i == 0 else self._activated(formula["activation"], x)
            x = self._do("Add", self._do("MatMul", x, arrays[f"weight_{i}"]), arrays[f"bias_{i}"])
        if formula["mean_bound"] is not None:
            bound = formula["mean_bound"]
            x = self._do("Mul", self._do("Tanh", self._do("Div", x, bound)), bound)
        squashes = {"tanh": ("Tanh", x), "clip": ("Clip", x, -1.0, 1.0)}
        x = self._do(*squashes[formula["squash"]])
        low, high = arrays["low"], arrays["high"]
        share = self._do("Div", self._do("Add", x, 1.0), 2.0)
        self._do("Add", self._do("Mul", share, high - low), low, output="action")

    def _activated(self, activation: str, x: str) -> str:
        if activation == "silu":
            return self._do("Mul", x, self._do("Sigmoid", x))
        return self._do({"relu": "Relu", "tanh": "Tanh"}[activation], x)

    def _symlog(self, x: str) -> str:
        # ONNX has no log1p, and log(1 + x) loses the digits of a small x: the factor x / (u - 1)
        # makes up for what was lost in u = 1 + x.
        size = self._do("Abs", x)
        above = self._do("Add", size, 1.0)
        kept = self._do("Sub", above, 1.0)
        log = self._do("Mul", self._do("Log", above), self._do("Div", size, kept))
        log = self._do("Where", self._do("Equal", kept, 0.0), size, log)
        return self._do("Mul", self._do("Sign", x), log)

    def _time(self, frequencies: int, horizon: int) -> list[str]:
        import onnx

        t = self._do("Cast", "t", to=onnx.TensorProto.FLOAT)
        t = self._do("Unsqueeze", t, np.array([1], np.int64))
        phase = self._do("Div", t, float(horizon))
        share = self._do("Sub", self._do("Mul", phase, 2.0), 1.0)
        waves = 2.0 ** np.arange(frequencies, dtype=np.float32)
        angles = self._do("Mul", self._do("Mul", phase, np.pi), waves)
        return [share, self._do("Sin", angles), self._do("Cos", angles)]

    def _context(self, ahead: list[int], context: np.ndarray) -> list[str]:
        import onnx

        t = self._do("Cast", "t", to=onnx.TensorProto.INT64)
        last = np.asarray(len(context) - 1, np.int64)
        steps = [self._do("Add", t, np.asarray(more, np.int64)) for more in ahead]
        steps = [self._do("Clip", step, np.asarray(0, np.int64), last) for step in steps]
        return [self._do("Gather", context, step, axis=0) for step in steps]

    def _do(self, operator: str, *inputs: Any, output: str = "", **options: Any) -> str:
        names = [one if isinstance(one, str) else self._constant(one) for one in inputs]
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(_Node(operator, names, output, options))
        return output

    def _constant(self, value: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.asarray(value, getattr(value, "dtype", np.float32))
        return name
