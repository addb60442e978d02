"""Figures 2 and 6: Algorithm 1 on the double pendulum with several models.

References:
    Paper, Figures 2 and 6, Appendix E.
"""

import dataclasses
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from beeline.build import build_bpo, build_model, build_policy
from beeline.config import Config, preset
from beeline.control import random_return
from beeline.envs import make
from experiments._results import mean, parse, save

TASK = "double-pendulum"
NOISY, STILL = "noisy", "still"
"""Policies of the preset's deviations, and of next to none."""


class Case(NamedTuple):
    """What is run with several seeds."""

    horizon: int
    model: str
    rate: float
    policy: str
    seeds: int


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is computed."""

    horizons: tuple[int, ...]
    """Episode lengths."""
    rates: tuple[float, ...]
    """Adam's step sizes for the policy; the best of them counts, for each model and horizon."""
    seeds: int
    """Repetitions: new weights and episodes."""
    swept: tuple[int, ...]
    """Horizons at which there are other rates than the first, and still policies."""
    env_steps: int
    """Environment steps, the warm-up of random actions included."""
    models: tuple[str, ...] = ("transformer-awm", "simulator", "markov", "transformer-history")
    """The models to compare."""
    still: tuple[str, ...] = ()
    """The models of them that still policies are trained with too."""
    preset: str = "default"
    """The recipe of the library to start from."""
    warmup_steps: int = 1500
    """Environment steps with random actions."""
    steps_per_fit: float | None = None
    """Environment steps between model updates, if not the preset's."""
    steps_per_improvement: float | None = None
    """Environment steps between policy updates, if not the preset's."""

    def cases(self) -> Iterator[Case]:
        """List what is run.

        Yields:
            Every combination, the noisy policies of a model before its still ones.
        """
        for horizon, name in itertools.product(self.horizons, self.models):
            for rate in self.rates:
                if rate == self.rates[0] or horizon in self.swept:
                    yield Case(horizon, name, rate, NOISY, self.seeds)
            if horizon in self.swept and name in self.still:
                yield Case(horizon, name, self.rates[0], STILL, self.seeds)


SCALES = {
    "smoke": Scale(
        horizons=(4,),
        rates=(1e-2,),
        seeds=2,
        swept=(),
        env_steps=16,
        models=("markov",),
        warmup_steps=8,
    ),
    "reduced": Scale(
        horizons=(100, 20, 10),
        rates=(1e-2, 1e-3),
        seeds=5,
        swept=(100,),
        still=("transformer-awm", "simulator"),
        env_steps=4500,
        steps_per_fit=5.0,
        steps_per_improvement=15.0,
    ),
    "full": Scale(
        horizons=(5, 10, 20, 50, 100),
        rates=(1e-2, 1e-3, 1e-4, 1e-5),
        seeds=10,
        swept=(5, 10, 20, 50, 100),
        env_steps=100_000,
        preset="paper",
    ),
}

_LAST = 0.1
"""Share of the iterations whose mean return is called final."""
_POINTS = 60
"""Points of a learning curve that are kept."""


def run(scale: str, out: Path) -> None:
    """Compute everything that the figures show.

    Args:
        scale: Name of the scale.
        out: Folder for the CSV files.
    """
    size = SCALES[scale]
    command = f"python -m experiments.fig2_fig6_double_pendulum_online.run --scale {scale}"
    finals: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for one in size.cases():
        began = time.perf_counter()
        config = _config(size, one)
        returns = learn(config, one.seeds)
        label = {k: v for k, v in one._asdict().items() if k != "seeds"}
        finals += _final_rows(label, returns)
        curves += _curve_rows(label, returns, config)
        seconds = time.perf_counter() - began
        print(label, [r["final_return"] for r in finals[-one.seeds :]], f"{seconds:.1f} s")
        # After each: a long run that is cut short keeps what it has.
        save(out / "finals.csv", finals, command)
        save(out / "curves.csv", curves, command)
        save(out / "summary.csv", _summary(finals), command)


def learn(config: Config, seeds: int) -> np.ndarray:
    """Run Algorithm 1 with several seeds side by side.

    Args:
        config: The run.
        seeds: How many, from 0.

    Returns:
        The real return of the deterministic policy after every iteration, (seed, iteration).
        Updates that are not finite are left out.
    """
    algorithm = build_bpo(config)

    def one(key: jax.Array) -> jax.Array:
        model_key, policy_key, key = jax.random.split(key, 3)
        state = algorithm.init(
            build_model(config, algorithm.env, key=model_key),
            build_policy(config, algorithm.env, key=policy_key),
            key=key,
        )
        arrays, static = eqx.partition(state, eqx.is_array)

        def iterate(arrays: Any, index: jax.Array) -> tuple[Any, jax.Array]:
            state, record, _ = algorithm.iterate(eqx.combine(arrays, static), index)
            return eqx.filter(state, eqx.is_array), record.return_

        return jax.lax.scan(iterate, arrays, jnp.arange(config.iterations))[1]

    keys = jax.vmap(jax.random.key)(jnp.arange(seeds))
    return np.asarray(jax.jit(jax.vmap(one))(keys))


def _config(size: Scale, one: Case) -> Config:
    config = preset(size.preset)
    policy = config.policy
    if one.policy == STILL:
        policy = dataclasses.replace(policy, least_deviation=1e-3, greatest_deviation=1e-3)
    exploration = dataclasses.replace(config.exploration, warmup_steps=size.warmup_steps)
    fitting = config.fitting
    if size.steps_per_fit is not None:
        fitting = dataclasses.replace(fitting, env_steps_per_update=size.steps_per_fit)
    improvement = dataclasses.replace(config.improvement, learning_rate=one.rate)
    if size.steps_per_improvement is not None:
        improvement = dataclasses.replace(
            improvement, env_steps_per_update=size.steps_per_improvement
        )
    return dataclasses.replace(
        config,
        task=TASK,
        horizon=one.horizon,
        model=one.model,
        env_steps=size.env_steps,
        policy=policy,
        exploration=exploration,
        fitting=fitting,
        improvement=improvement,
    )


def _final_rows(label: dict[str, Any], returns: np.ndarray) -> list[dict[str, Any]]:
    last = max(1, round(_LAST * returns.shape[1]))
    return [
        {**label, "seed": seed, "final_return": float(values[-last:].mean()), "best": values.max()}
        for seed, values in enumerate(returns)
    ]


def _curve_rows(label: dict[str, Any], returns: np.ndarray, config: Config) -> list[dict[str, Any]]:
    count = returns.shape[1]
    kept = np.unique(np.linspace(0, count - 1, min(count, _POINTS)).astype(int))
    return [
        {
            **label,
            "seed": seed,
            "env_steps": (config.warmup_episodes + i + 1) * config.horizon,
            "return": values[i],
        }
        for seed, values in enumerate(returns)
        for i in kept
    ]


def _summary(finals: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    groups = dict.fromkeys((row["horizon"], row["model"], row["policy"]) for row in finals)
    for horizon, name, policy in groups:
        mine = [
            row
            for row in finals
            if (row["horizon"], row["model"], row["policy"]) == (horizon, name, policy)
        ]
        by_rate = {
            rate: np.array([row["final_return"] for row in mine if row["rate"] == rate])
            for rate in dict.fromkeys(row["rate"] for row in mine)
        }
        rate = max(by_rate, key=lambda rate: np.nan_to_num(by_rate[rate], nan=-1e9).mean())
        values = by_rate[rate]
        finite = values[np.isfinite(values)]
        average = mean(finite if finite.size else np.array([np.nan]))
        rows.append(
            {
                "horizon": horizon,
                "model": name,
                "policy": policy,
                "best_rate": rate,
                "seeds": len(values),
                "diverged": len(values) - len(finite),
                "final_return": average.value,
                "low": average.low,
                "high": average.high,
                "random_return": random_return(make(TASK, horizon=horizon)).mean,
            }
        )
    return rows


def main() -> None:
    """Run from the command line."""
    module = "experiments.fig2_fig6_double_pendulum_online.run"
    run(*parse(module, "Figures 2 and 6 of the paper: double pendulum, online."))


if __name__ == "__main__":
    main()
