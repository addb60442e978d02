"""Figure 4: gradients, landscapes and gradient ascent on a double pendulum.

References:
    Paper, section 5.1, Figure 4 and Appendix D.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from beeline.diagnostics import compare_landscapes
from beeline.envs import Environment, make
from beeline.models import WorldModel
from experiments._ascent import ascend
from experiments._offline import TRUTH, Offline, fitted_models, landscape, true_model
from experiments._results import parse, save
from experiments.fig4_double_pendulum.blur import blur_rows
from experiments.fig4_double_pendulum.sensitivity import (
    growth_rows,
    norm_rows,
    norms_along,
    path_growth_rows,
)
from experiments.fig4_double_pendulum.summary import ascent_summary

Rows = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is computed."""

    horizons: tuple[int, ...]
    """Episode lengths, each with its own data and models; landscapes are of the longest."""
    seeds: int
    """Repetitions at the longest horizon: new data, weights, batches and random actions."""
    shorter_seeds: int
    """Repetitions at the others."""
    models: tuple[str, ...]
    """The models to compare."""
    climbed: tuple[str, ...]
    """Those of them that gradient ascent climbs, beside the true dynamics."""
    preset: str = "default"
    """Whose network sizes and scaling of states are used."""
    plan: Offline = dataclasses.field(default_factory=Offline)
    """How much is collected and fitted."""
    samples: int = 50
    """Random action sequences, and random starts of the ascent."""
    points: int = 1001
    """First actions on the landscape, evenly over [-1, 1]."""
    rates: tuple[float, ...] = (0.1, 0.01, 0.001)
    """Adam's step sizes in the ascent."""
    steps: int = 200
    """Steps of the ascent."""


MODELS = ("transformer-awm", "ssm-awm", "transformer-history", "markov")

SCALES = {
    "smoke": Scale(
        horizons=(5, 21),
        seeds=1,
        shorter_seeds=1,
        models=("markov",),
        climbed=("markov",),
        plan=Offline(transitions=84, fitting_steps=2, batch_size=4),
        samples=3,
        points=9,
        rates=(0.1,),
        steps=2,
    ),
    "reduced": Scale(
        horizons=(5, 10, 20, 50, 100),
        seeds=1,
        shorter_seeds=1,
        models=MODELS,
        climbed=("transformer-awm", "ssm-awm", "markov"),
        plan=Offline(batch_size=16),
    ),
    "full": Scale(
        horizons=(5, 10, 20, 50, 100),
        seeds=10,
        shorter_seeds=10,
        models=(*MODELS, "lstm-awm", "ssm-history"),
        climbed=(*MODELS, "lstm-awm", "ssm-history"),
        points=2001,
        steps=1000,
    ),
}


def run(scale: str, out: Path) -> None:
    """Compute everything that the figure shows.

    Args:
        scale: Name of the scale.
        out: Folder for the CSV files.
    """
    size = SCALES[scale]
    command = f"python -m experiments.fig4_double_pendulum.run --scale {scale}"
    tables: dict[str, Rows] = {"gradient_norms": [], "landscape_errors": [], "ascent": []}
    landscapes: Rows = []
    paths: dict[str, list[np.ndarray]] = {}
    for seed in range(size.seeds):
        for horizon in sorted(size.horizons, reverse=True):
            longest = horizon == max(size.horizons)
            if not longest and seed >= size.shorter_seeds:
                continue
            env = make("double-pendulum", horizon=horizon)
            truth = np.zeros(0)
            for name, error, model in _models(env, size, seed):
                began = time.perf_counter()
                norms = _norms(name, model, env, size, seed, paths)
                tables["gradient_norms"] += norm_rows(norms, horizon, name, seed)
                if longest:
                    paths.setdefault(name, []).append(norms)
                    returns = _returns(model, env, jnp.linspace(-1, 1, size.points), seed)
                    truth = returns if name == TRUTH else truth
                    compared = compare_landscapes(returns, truth)._asdict()
                    tables["landscape_errors"].append(
                        {"model": name, "seed": seed, "one_pass_error": error, **compared}
                    )
                    if seed == 0:
                        landscapes += _landscape_rows(name, returns)
                    if name in (TRUTH, *size.climbed):
                        tables["ascent"] += _ascent_rows(name, model, env, size, seed)
                seconds = time.perf_counter() - began
                print(
                    horizon, seed, name, error, norms[:, -1].mean(), f"{seconds:.1f} s", flush=True
                )
    along = {name: np.concatenate(norms) for name, norms in paths.items()}
    for name, rows in tables.items():
        save(out / f"{name}.csv", rows, command)
    save(out / "landscapes.csv", landscapes, command)
    save(
        out / "blur.csv",
        blur_rows(make("double-pendulum", horizon=max(size.horizons)), size.points),
        command,
    )
    save(out / "growth.csv", growth_rows(tables["gradient_norms"], along), command)
    save(out / "growth_in_episode.csv", path_growth_rows(along), command)
    save(out / "ascent_summary.csv", ascent_summary(tables["ascent"]), command)


def _models(env: Environment, size: Scale, seed: int) -> Any:
    yield TRUTH, 0.0, true_model(env)
    for fit in fitted_models(env, size.models, (size.preset,), size.plan, seed=seed):
        yield fit.name, fit.one_pass_error, fit.model


def _norms(
    name: str,
    model: WorldModel,
    env: Environment,
    size: Scale,
    seed: int,
    paths: dict[str, list[np.ndarray]],
) -> np.ndarray:
    if name == TRUTH and name in paths and len(paths[name]) > seed:
        # The true dynamics do not know how long the episode is.
        return paths[name][seed][:, : env.horizon - 1]
    key = jax.random.fold_in(jax.random.key(seed), 2)
    shape = (max(size.horizons), size.samples, env.action_dim)
    # The first action must be the same for every horizon.
    actions = jax.random.uniform(key, shape, minval=-1, maxval=1).swapaxes(0, 1)
    start = env.initial_state(key=jax.random.key(0))
    return np.asarray(norms_along(model, start, actions[:, : env.horizon - 1]))


def _returns(model: WorldModel, env: Environment, values: Any, seed: int) -> np.ndarray:
    return np.asarray(landscape(model, env, values, seed=seed))


def _landscape_rows(name: str, returns: np.ndarray) -> Rows:
    return [
        {"model": name, "action": action, "return": value}
        for action, value in zip(np.linspace(-1, 1, len(returns)), returns, strict=True)
    ]


def _ascent_rows(name: str, model: WorldModel, env: Environment, size: Scale, seed: int) -> Rows:
    key = jax.random.fold_in(jax.random.key(seed), 3)
    starts = jax.random.uniform(key, (size.samples,), minval=-1, maxval=1)
    ends = ascend(model, env, starts, jnp.array(size.rates), steps=size.steps, seed=seed)
    everything = jnp.concatenate([starts, ends.ravel()])
    before, after = np.split(_returns(true_model(env), env, everything, seed), [size.samples])
    after = after.reshape(ends.shape)
    return [
        {
            "model": name,
            "rate": rate,
            "seed": seed,
            "start": float(starts[i]),
            "end": float(ends[k, i]),
            "true_return_at_start": float(before[i]),
            "true_return_at_end": float(after[k, i]),
        }
        for k, rate in enumerate(size.rates)
        for i in range(size.samples)
    ]


def main() -> None:
    """Run from the command line."""
    run(*parse("experiments.fig4_double_pendulum.run", "Figure 4 of the paper: double pendulum."))


if __name__ == "__main__":
    main()
