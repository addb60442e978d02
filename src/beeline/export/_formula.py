"""A policy as arrays and a few numbers, for formats that hold no program of JAX.

Every policy of the library is the same formula: standardise state and time, apply an MLP, bound its
output softly, squash it into the box, scale it to the bounds. What is no such policy is refused,
and what the formula gives is compared with the policy before it is written.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from beeline.export._exportable import Exportable
from beeline.export._formats import ExportError
from beeline.export.numpy_policy import NumpyPolicy
from beeline.networks.layers import MLP
from beeline.networks.modes import Modes
from beeline.networks.scaling import StateScaling, symexp
from beeline.networks.schedule import Schedule, step_feature_count
from beeline.policies import Policy, SquashedGaussian, Widened
from beeline.sac._actor import LIMIT, Actor

_REMEDY = "export it with --to stablehlo, which takes any policy"
_COORDINATES = {"mean", "scale", "compress", "bounded", "modes"}
_ACTIVATIONS = {jax.nn.relu: "relu", jax.nn.silu: "silu", jnp.tanh: "tanh"}
_TOLERANCE = 1e-3
"""Relative to the range of an action: far above rounding, far below any other formula."""


class Formula(NamedTuple):
    """What `NumpyPolicy` computes, but for the bounds of actions."""

    modes: Modes | None
    """Components that the state is reduced to, if it is."""
    compress: bool
    """Whether symlog is applied to the state, or to its components."""
    frequencies: int | None
    """Sine and cosine pairs of the time; None for a policy that does not see it."""
    mean: Float[np.ndarray, " input"]
    """Of state and time features."""
    scale: Float[np.ndarray, " input"]
    limit: float | None
    """Where the inputs of the network are clipped, if they are."""
    activation: str
    """Name of the function between layers."""
    layers: tuple[tuple[Float[np.ndarray, "inputs outputs"], Float[np.ndarray, " outputs"]], ...]
    mean_bound: float | None
    """Soft bound of the network's output, if it has one."""
    squash: str
    schedule: Schedule | None
    """Context of every step, if the policy sees one."""


def in_numpy(exportable: Exportable) -> NumpyPolicy:
    """Turn a policy into its formula, with the environment's bounds.

    Args:
        exportable: The policy.

    Returns:
        The formula with its metadata and arrays, compared with the policy.

    Raises:
        ExportError: If the policy is none of the library's, or actions are scaled to physical
            units by no pair of bounds.
    """
    formula = formula_of(exportable.policy)
    metadata = exportable.metadata(
        sees_time=formula.frequencies is not None or formula.schedule is not None
    )
    settings = {"compress", "frequencies", "limit", "activation", "mean_bound", "squash"}
    metadata["formula"] = {name: getattr(formula, name) for name in sorted(settings)}
    metadata["formula"] |= {"layers": len(formula.layers), "modes": None}
    arrays = {"mean": formula.mean, "scale": formula.scale}
    if formula.modes is not None:
        modes = formula.modes
        metadata["formula"]["modes"] = modes.count
        arrays |= {"centre": np.asarray(modes.centre), "spread": np.asarray(modes.spread)}
        arrays["directions"] = np.ascontiguousarray(modes.directions.T)
    if formula.schedule is not None:
        # Only where there is one: files of other policies are as they were.
        metadata["formula"]["ahead"] = list(formula.schedule.ahead)
        arrays["context"] = np.asarray(formula.schedule.values)
    for name in ("low", "high"):
        arrays[name] = np.array([entry[name] for entry in metadata["action"]], np.float32)
    for i, (weight, bias) in enumerate(formula.layers):
        arrays |= {f"weight_{i}": weight, f"bias_{i}": bias}
    try:
        made = NumpyPolicy(metadata, arrays)
    except ValueError as error:
        raise ExportError(f"the policy of {exportable.env.name} is no formula: {error}") from error
    _compare(made, formula, exportable)
    return made


@functools.singledispatch
def formula_of(policy: Policy) -> Formula:
    """Read the formula of a policy; one implementation for each class.

    Args:
        policy: The policy.

    Raises:
        ExportError: If there is none for its class.
    """
    raise ExportError(f"there is no formula of a {type(policy).__name__}: {_REMEDY}")


@formula_of.register(Widened)
def _(policy: Widened) -> Formula:
    return formula_of(policy.policy)


@formula_of.register(SquashedGaussian)
def _(policy: SquashedGaussian) -> Formula:
    scaling = policy.scaling
    features = step_feature_count(policy.frequencies, policy.schedule)
    _check_coordinates(scaling)
    return Formula(
        scaling.modes,
        scaling.compress,
        policy.frequencies,
        np.concatenate([scaling.mean, np.zeros(features, np.float32)]),
        np.concatenate([scaling.scale, np.ones(features, np.float32)]),
        None,
        _activation(policy.network),
        _layers(policy.network),
        policy.mean_bound,
        policy.squash,
        policy.schedule,
    )


@formula_of.register(Actor)
def _(policy: Actor) -> Formula:
    mean, scale = np.array(policy.mean), np.array(policy.deviation)
    sees_time = policy.horizon is not None
    if sees_time:
        # It sees the share p of the horizon, the formula 2p - 1.
        mean[-1], scale[-1] = 2 * mean[-1] - 1, 2 * scale[-1]
    frequencies = 0 if sees_time else None
    activation, layers = _activation(policy.network), _layers(policy.network)
    return Formula(
        None, False, frequencies, mean, scale, LIMIT, activation, layers, None, "tanh", None
    )


def _activation(network: MLP) -> str:
    name = _ACTIVATIONS.get(network.activation)
    if name is None:
        known = ", ".join(_ACTIVATIONS.values())
        raise ExportError(f"the policy's activation is none of {known}: {_REMEDY}")
    return name


def _layers(network: MLP) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    *layers, (weight, bias) = (
        (np.asarray(layer.weight), np.asarray(layer.bias)) for layer in network.layers
    )
    # The second half of the outputs is the deviation.
    actions = len(bias) // 2
    return (*layers, (np.ascontiguousarray(weight[:, :actions]), bias[:actions]))


def _check_coordinates(scaling: StateScaling) -> None:
    for field in dataclasses.fields(scaling):
        if field.name not in _COORDINATES and getattr(scaling, field.name) is not None:
            raise ExportError(
                f"the policy sees states in coordinates with {field.name!r}, which no formula has "
                f"yet: {_REMEDY}"
            )


def _compare(made: NumpyPolicy, formula: Formula, exportable: Exportable) -> None:
    env = exportable.env
    seen = env.state_dim if formula.modes is None else formula.modes.count
    draws = np.random.default_rng(0).normal(size=(16, seen)).astype(np.float32)
    states = draws * formula.scale[:seen] + formula.mean[:seen]
    if formula.compress:
        states = np.asarray(symexp(jnp.asarray(states)))
    if formula.modes is not None:
        states = np.asarray(formula.modes.expand(jnp.asarray(states)))
    times = np.linspace(0, env.horizon - 1, len(states)).astype(np.int32)
    right = np.asarray(jax.jit(exportable.act)(states, times))
    spread = made.arrays["high"] - made.arrays["low"]
    if not (np.abs(made(states, times) - right) <= _TOLERANCE * np.abs(spread)).all():
        raise ExportError(
            f"the policy of {env.name} computes something else than its formula, or its "
            f"`physical_action` is no scaling to bounds: {_REMEDY}"
        )
