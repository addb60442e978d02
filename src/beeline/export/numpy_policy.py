"""A policy that `beeline export --to numpy` wrote, with NumPy alone.

This file imports nothing of Beeline, so it can be copied beside the policy onto a machine that has
no more than Python 3.10 and NumPy.

Example:
    from numpy_policy import load

    policy = load("policy.npz")
    action = policy(state, t)
"""

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "beeline-policy"
SCHEMA = 2
"""Raised when what is in a file changes."""

_LARGEST = 2**26
_SQUASHES = ("clip", "tanh")
_MOST_FREQUENCIES, _MOST_LAYERS = 32, 100
_SETTINGS = {
    *("modes", "compress", "frequencies", "limit", "activation", "mean_bound", "squash", "layers")
}
_ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


class PolicyFileError(ValueError):
    """A file that holds no policy; the message names the file and the fault."""


class NumpyPolicy:
    """A policy from states in physical units to actions in physical units.

    Attributes:
        metadata: What the file says of it: task, horizon, names, units and bounds of the entries.
        arrays: Its arrays by name.
    """

    def __init__(self, metadata: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take what a file holds.

        Args:
            metadata: What it says of the policy.
            arrays: Its arrays by name.

        Raises:
            ValueError: If that is no policy.
        """
        self.metadata, self.arrays = metadata, arrays
        _check_metadata(metadata)
        _check_arrays(arrays, metadata)
        self._settings = metadata["formula"]
        layers = range(self._settings["layers"])
        self._layers = [(arrays[f"weight_{i}"], arrays[f"bias_{i}"]) for i in layers]

    def __call__(self, state: Any, t: Any = None) -> np.ndarray:
        """Choose the action without noise.

        Args:
            state: One state or many, entries along the last axis.
            t: Index of the step, 0 in the first, one or as many as there are states; left out for
                a policy that does not see time.

        Returns:
            The action, or the actions, in single precision.

        Raises:
            ValueError: If states are of another size, or the index of the step is missing.
        """
        x, entries = np.asarray(state, np.float32), len(self.metadata["state"])
        if x.shape[-1:] != (entries,):
            raise ValueError(f"the state has shape {x.shape}: its last axis must be {entries}")
        if self._settings["modes"] is not None:
            centred = (x - self.arrays["centre"]) / self.arrays["spread"]
            x = centred @ self.arrays["directions"]
        if self._settings["compress"]:
            x = np.sign(x) * np.log1p(np.abs(x))
        if self._settings["frequencies"] is not None:
            if t is None:
                raise ValueError("this policy sees time: give the index of the step too")
            time = self._time(np.asarray(t, np.float32))
            x = np.concatenate([x, np.broadcast_to(time, (*x.shape[:-1], time.shape[-1]))], axis=-1)
        if "ahead" in self._settings:
            if t is None:
                raise ValueError("this policy sees a context: give the index of the step too")
            seen = self._context(np.asarray(t, np.int64))
            x = np.concatenate([x, np.broadcast_to(seen, (*x.shape[:-1], seen.shape[-1]))], axis=-1)
        x = (x - self.arrays["mean"]) / self.arrays["scale"]
        if self._settings["limit"] is not None:
            x = np.clip(x, -self._settings["limit"], self._settings["limit"])
        return self._scaled(self._network(x))

    def _time(self, t: np.ndarray) -> np.ndarray:
        phase = t[..., None] / np.float32(self.metadata["horizon"])
        waves = 2.0 ** np.arange(self._settings["frequencies"], dtype=np.float32)
        angles = phase * np.float32(np.pi) * waves
        return np.concatenate([2 * phase - 1, np.sin(angles), np.cos(angles)], axis=-1)

    def _context(self, t: np.ndarray) -> np.ndarray:
        # After the last step its context goes on.
        context = self.arrays["context"]
        steps = np.clip(t[..., None] + np.asarray(self._settings["ahead"]), 0, len(context) - 1)
        return context[steps].reshape(*t.shape, -1)

    def _network(self, x: np.ndarray) -> np.ndarray:
        bend = _ACTIVATIONS[self._settings["activation"]]
        for weight, bias in self._layers[:-1]:
            x = bend(x @ weight + bias)
        weight, bias = self._layers[-1]
        return x @ weight + bias

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        bound = self._settings["mean_bound"]
        if bound is not None:
            x = bound * np.tanh(x / bound)
        x = np.tanh(x) if self._settings["squash"] == "tanh" else np.clip(x, -1, 1)
        low, high = self.arrays["low"], self.arrays["high"]
        return low + (x + 1) / 2 * (high - low)


def load(path: str | Path) -> NumpyPolicy:
    """Read a policy, trusting nothing in its file.

    Args:
        path: The file.

    Returns:
        The policy.

    Raises:
        PolicyFileError: If there is no such file, or it holds no policy.
    """
    if not Path(path).is_file():
        raise PolicyFileError(f"there is no file {path}")
    with open(path, "rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise PolicyFileError(f"{path} holds no policy: it is larger than {_LARGEST} bytes")
    try:
        return decode(content)
    except Exception as error:
        # A damaged archive fails in as many ways as there are bytes to damage.
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise PolicyFileError(f"{path} holds no policy that can be read: {why}") from error


def decode(content: bytes) -> NumpyPolicy:
    """Read a policy from the content of its file.

    Args:
        content: The bytes.

    Returns:
        The policy.

    Raises:
        ValueError: If it holds no policy.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        # What is packed could unpack to any size.
        if any(one.compress_type != zipfile.ZIP_STORED for one in members):
            raise ValueError("its members are compressed")
        if sum(one.file_size for one in members) > len(content):
            raise ValueError("its members are larger than the file")
        arrays = {one.filename.removesuffix(".npy"): _array(archive.read(one)) for one in members}
    text = arrays.pop("metadata", None)
    if text is None or text.dtype != np.uint8:
        raise ValueError("it has no metadata")
    return NumpyPolicy(json.loads(text.tobytes()), arrays)


def _array(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array is of another version of NumPy's format")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    if by_columns or dtype not in (np.dtype("<f4"), np.dtype("u1")):
        raise ValueError(f"an array is of type {dtype}, not float32")
    body = content[file.tell() :]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError(f"an array of shape {shape} has {len(body)} bytes")
    return np.frombuffer(body, dtype).reshape(shape)


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError(f"its metadata is not of the format {FORMAT}")
    if metadata.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {metadata.get('schema')!r}, and this reads {SCHEMA}")
    for name in ("state", "action"):
        if not isinstance(metadata.get(name), list) or not metadata[name]:
            raise ValueError(f"its metadata has no list {name!r} of entries")
    settings = metadata.get("formula")
    if not isinstance(settings, dict) or set(settings) - {"ahead"} != _SETTINGS:
        raise ValueError(f"its formula does not have the entries {', '.join(sorted(_SETTINGS))}")
    modes, frequencies = settings["modes"], settings["frequencies"]
    rules = {
        "modes": modes is None or _is_count(modes, 1, len(metadata["state"])),
        "horizon": _is_count(metadata.get("horizon"), 1, 2**31),
        "compress": isinstance(settings["compress"], bool),
        "activation": settings["activation"] in tuple(_ACTIVATIONS),
        "frequencies": frequencies is None or _is_count(frequencies, 0, _MOST_FREQUENCIES),
        "limit": settings["limit"] is None or _is_positive(settings["limit"]),
        "mean_bound": settings["mean_bound"] is None or _is_positive(settings["mean_bound"]),
        "squash": settings["squash"] in _SQUASHES,
        "layers": _is_count(settings["layers"], 1, _MOST_LAYERS),
        "ahead": "ahead" not in settings or _are_counts(settings["ahead"]),
    }
    for name, kept in rules.items():
        if not kept:
            raise ValueError(f"{name} is {(metadata | settings).get(name)!a:.60}")


def _check_arrays(arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
    settings = metadata["formula"]
    modes, frequencies, layers = (settings[name] for name in ("modes", "frequencies", "layers"))
    entries = len(metadata["state"])
    seen = entries if modes is None else modes
    inputs = seen + (0 if frequencies is None else 1 + 2 * frequencies)
    known = np.atleast_2d(arrays.get("context", 0)).shape[1]
    inputs += len(settings.get("ahead", ())) * known
    widths = [inputs, *(len(np.atleast_1d(arrays[f"bias_{i}"])) for i in range(layers))]
    actions = len(metadata["action"])
    shapes = {"mean": (inputs,), "scale": (inputs,), "low": (actions,), "high": (actions,)}
    if "ahead" in settings:
        shapes["context"] = (metadata["horizon"], known)
    if modes is not None:
        shapes |= {"centre": (entries,), "spread": (entries,), "directions": (entries, modes)}
    for i in range(layers):
        shapes |= {f"weight_{i}": (widths[i], widths[i + 1]), f"bias_{i}": (widths[i + 1],)}
    shapes[f"bias_{layers - 1}"] = (actions,)
    if set(arrays) != set(shapes):
        raise ValueError(f"it does not have the arrays {', '.join(sorted(shapes))}")
    for name, shape in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float32:
            raise ValueError(f"{name} is {arrays[name].dtype} {arrays[name].shape}, not {shape}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} is not finite")
    for name in {"scale", "spread"} & set(arrays):
        if not (arrays[name] > 0).all():
            raise ValueError(f"{name} is not above 0")


def _is_count(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _are_counts(values: Any) -> bool:
    return (
        isinstance(values, list)
        and values != []
        and all(_is_count(one, 0, 2**31) for one in values)
    )


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf
