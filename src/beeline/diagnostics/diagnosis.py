"""All diagnostics of several models side by side, over several horizons."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from beeline.diagnostics.alignment import Alignment, align, policy_gradients
from beeline.diagnostics.growth import GrowthFit, fit_growth, geometric_mean
from beeline.diagnostics.jacobians import PathMap, first_action_norms, path_map
from beeline.diagnostics.landscape import (
    first_action_landscape,
    policy_direction,
    policy_landscape,
)
from beeline.envs import Environment, reward_of
from beeline.gradients import Objective, draw_noise
from beeline.models import WorldModel
from beeline.policies import Policy

TRUTH = "truth"
"""The name of the true dynamics among the models."""

_LONGEST_MAP = 100
_LEAST_HORIZONS = 4
"""Horizons that a growth law needs."""


class Subject(NamedTuple):
    """What is examined at one horizon."""

    env: Environment
    models: Mapping[str, WorldModel]
    """By name; the true dynamics are one of them, called `TRUTH`."""
    policy: Policy


class Landscape(NamedTuple):
    """Returns of every model along one line."""

    along: str
    at: Float[np.ndarray, " point"]
    returns: Mapping[str, Float[np.ndarray, " point"]]


@final
class Diagnosis(NamedTuple):
    """What was measured. Samples are over random action sequences, or over noise."""

    first_action_norms: Mapping[str, Mapping[int, np.ndarray]]
    """||d s_H / d a_1|| by model and horizon, one per sequence of uniformly random actions."""
    policy_gradient_norms: Mapping[str, Mapping[int, np.ndarray]]
    """By model and horizon, one per episode of the policy."""
    alignments: Mapping[str, Mapping[int, Alignment]]
    """Against the true policy gradient, by model and horizon."""
    maps: Mapping[str, PathMap]
    map_horizon: int
    landscapes: tuple[Landscape, ...]
    landscape_horizon: int

    @property
    def fits(self) -> dict[str, dict[str, GrowthFit]]:
        """Fit the growth laws to typical norms, where there are some at four horizons.

        Returns:
            By quantity ("first-action", "policy-gradient") and model.
        """
        return self.fits_to(geometric_mean)

    def fits_to(self, mean: Callable[..., Any]) -> dict[str, dict[str, GrowthFit]]:
        """Fit the growth laws to a mean of the norms.

        Args:
            mean: How to average the samples of a horizon.

        Returns:
            By quantity ("first-action", "policy-gradient") and model.
        """
        curves = {
            "first-action": self.first_action_norms,
            "policy-gradient": self.policy_gradient_norms,
        }
        return {
            quantity: {n: fit_growth(c, mean=mean) for n, c in by_model.items() if _enough(c)}
            for quantity, by_model in curves.items()
        }


def measure(
    subjects: Mapping[int, Subject],
    *,
    samples: int = 50,
    points: int = 201,
    key: PRNGKeyArray,
    say: Callable[[str], Any] = lambda line: None,
) -> Diagnosis:
    """Run every diagnostic.

    All models see the same actions, policy, noise and initial states. The influence map is of the
    longest horizon up to 100 steps, or of the shortest there is; landscapes are of the longest.

    Args:
        subjects: What to examine, by horizon.
        samples: Random action sequences and noise draws for each horizon, at least 2.
        points: Points of each landscape, at least 2; along policy directions a fifth of
            them, at least 11.
        key: Random key.
        say: Told what is being done.

    Returns:
        The measurements.

    Raises:
        ValueError: If there is no subject, no true dynamics, or too few samples or points.
    """
    _check(subjects, samples, points)
    keys = dict(zip(subjects, jax.random.split(key, len(subjects)), strict=True))
    first: dict[str, dict[int, np.ndarray]] = {}
    norms: dict[str, dict[int, np.ndarray]] = {}
    alignments: dict[str, dict[int, Alignment]] = {}
    for horizon, subject in subjects.items():
        draws = _draw(subject, horizon, samples, key=keys[horizon])
        gradients = {}
        for name, model in subject.models.items():
            say(f"H = {horizon}: {name}")
            sizes = first_action_norms(model, draws.states, draws.actions[:, : horizon - 1])
            first.setdefault(name, {})[horizon] = np.asarray(sizes)
            gradients[name] = policy_gradients(
                subject.policy, model, _objective(subject), draws.states, draws.noise
            )
            sizes = np.linalg.norm(np.asarray(gradients[name], dtype=float), axis=1)
            norms.setdefault(name, {})[horizon] = sizes
        for name in subject.models:
            if name != TRUTH:
                compared = align(gradients[name], gradients[TRUTH])
                alignments.setdefault(name, {})[horizon] = compared
    longest = max(subjects)
    mapped = max((h for h in subjects if h <= _LONGEST_MAP), default=min(subjects))
    say(f"H = {mapped}: paths from actions to states")
    say(f"H = {longest}: landscapes")
    return Diagnosis(
        first_action_norms=first,
        policy_gradient_norms=norms,
        alignments=alignments,
        maps=_maps(subjects[mapped], mapped, key=keys[mapped]),
        map_horizon=mapped,
        landscapes=_landscapes(subjects[longest], longest, points, key=keys[longest]),
        landscape_horizon=longest,
    )


class _Draws(NamedTuple):
    states: Float[Array, "sample state"]
    actions: Float[Array, "sample time action"]
    noise: Float[Array, "sample time action"]


def _draw(subject: Subject, horizon: int, samples: int, *, key: PRNGKeyArray) -> _Draws:
    states_key, actions_key, noise_key = jax.random.split(key, 3)
    env = subject.env
    states = jax.vmap(lambda k: env.initial_state(key=k))(jax.random.split(states_key, samples))
    shape = (samples, horizon, env.action_dim)
    actions = jax.random.uniform(actions_key, shape, minval=-1, maxval=1)
    noise = draw_noise(samples, horizon, env.action_dim, key=noise_key)
    return _Draws(states, actions, noise)


def _maps(subject: Subject, horizon: int, *, key: PRNGKeyArray) -> dict[str, PathMap]:
    draws = _draw(subject, horizon, 1, key=key)
    return {
        name: jax.tree.map(np.asarray, path_map(model, draws.states[0], draws.actions[0, :-1]))
        for name, model in subject.models.items()
    }


def _landscapes(
    subject: Subject, horizon: int, points: int, *, key: PRNGKeyArray
) -> tuple[Landscape, ...]:
    draw_key, direction_key = jax.random.split(key)
    draws = _draw(subject, horizon, 8, key=draw_key)
    values = jnp.linspace(-1.0, 1.0, points)
    along_action = {
        name: first_action_landscape(
            model, reward_of(subject.env), draws.states[0], draws.actions[0], values
        )
        for name, model in subject.models.items()
    }
    direction = policy_direction(subject.policy, key=direction_key)
    steps = jnp.linspace(-1.0, 1.0, max(11, points // 5))
    along_policy = {
        name: policy_landscape(
            subject.policy,
            model,
            _objective(subject),
            draws.states,
            draws.noise,
            direction,
            steps,
        )
        for name, model in subject.models.items()
    }
    return (
        _landscape("first entry of the first action", values, along_action),
        _landscape(
            "step along a random policy direction [norms of the weights]", steps, along_policy
        ),
    )


def _landscape(along: str, at: Array, returns: Mapping[str, Array]) -> Landscape:
    return Landscape(along, np.asarray(at), {n: np.asarray(r) for n, r in returns.items()})


def _objective(subject: Subject) -> Objective:
    return Objective(reward_of(subject.env), jnp.ones(()), jnp.zeros(()))


def _enough(curve: Mapping[int, np.ndarray]) -> bool:
    usable = [h for h, norms in curve.items() if (np.isfinite(norms) & (norms > 0)).any()]
    return len(usable) >= _LEAST_HORIZONS


def _check(subjects: Mapping[int, Subject], samples: int, points: int) -> None:
    if not subjects:
        raise ValueError("no horizon was given: give one or more")
    for horizon, subject in subjects.items():
        if horizon < 2:
            raise ValueError(f"horizon is {horizon}: give at least 2 steps")
        if TRUTH not in subject.models:
            raise ValueError(f"the models at horizon {horizon} lack the true one, {TRUTH!r}")
    if samples < 2:
        raise ValueError(f"samples is {samples}: give at least 2")
    if points < 2:
        raise ValueError(f"points is {points}: give at least 2")
