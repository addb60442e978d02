"""Figure 3: fit models to random pushes of a block, and ask them for the final return.

References:
    Paper, section 5.1, Figure 3 and Appendix D.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from beeline.diagnostics import compare_landscapes, open_loop
from beeline.envs import Environment, make
from beeline.models import WorldModel
from experiments._offline import (
    TRUTH,
    Offline,
    fitted_models,
    landscape,
    later_actions,
    true_model,
)
from experiments._results import parse, save


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is computed."""

    horizons: tuple[int, ...]
    """Episode lengths, each with its own data and models."""
    seeds: dict[str, int]
    """Repetitions, with new data, weights and batches, by the preset of the library whose network
    sizes and scaling of states are used."""
    models: tuple[str, ...]
    """The models to compare, and the first of them with the others."""
    plan: Offline = dataclasses.field(default_factory=Offline)
    """How much is collected and fitted."""
    points: int = 401
    """First actions on the landscape, evenly over [-1, 1]."""


MODELS = ("transformer-awm", "transformer-history", "markov")

SCALES = {
    "smoke": Scale(
        horizons=(12,),
        seeds={"default": 1},
        models=("rnn-awm", "markov"),
        plan=Offline(transitions=240, fitting_steps=2, batch_size=4),
        points=9,
    ),
    "reduced": Scale(
        horizons=(50,),
        seeds={"default": 3, "paper": 2},
        models=MODELS,
        plan=Offline(batch_size=16),
    ),
    "full": Scale(
        horizons=(50, 100),
        seeds={"default": 10, "paper": 10},
        models=(*MODELS, "ssm-awm", "lstm-awm", "ssm-history"),
    ),
}


def run(scale: str, out: Path) -> None:
    """Compute everything that the figure shows.

    Args:
        scale: Name of the scale.
        out: Folder for the CSV files.
    """
    size = SCALES[scale]
    command = f"python -m experiments.fig3_one_bounce.run --scale {scale}"
    errors: list[dict[str, Any]] = []
    landscapes: list[dict[str, Any]] = []
    paths: list[dict[str, Any]] = []
    for horizon in size.horizons:
        env = make("one-bounce", horizon=horizon)
        for seed in range(max(size.seeds.values())):
            began = time.perf_counter()
            truth = _returns(true_model(env), env, size.points, seed)
            if seed == 0:
                landscapes += _landscape_rows(horizon, TRUTH, TRUTH, truth)
                paths += _path_rows(env, TRUTH, TRUTH, true_model(env))
            presets = tuple(name for name, seeds in size.seeds.items() if seed < seeds)
            for fit in fitted_models(env, size.models, presets, size.plan, seed=seed):
                returns = _returns(fit.model, env, size.points, seed)
                errors.append(
                    {
                        "horizon": horizon,
                        "preset": fit.preset,
                        "model": fit.name,
                        "seed": seed,
                        "one_pass_error": fit.one_pass_error,
                        **_judge(returns, truth),
                        "seconds": time.perf_counter() - began,
                    }
                )
                began = time.perf_counter()
                print(errors[-1], flush=True)
                if seed == 0:
                    landscapes += _landscape_rows(horizon, fit.preset, fit.name, returns)
                    paths += _path_rows(env, fit.preset, fit.name, fit.model)
    save(out / "errors.csv", errors, command)
    save(out / "landscapes.csv", landscapes, command)
    save(out / "paths.csv", paths, command)
    save(out / "summary.csv", _summary(errors), command)


def _returns(model: WorldModel, env: Environment, points: int, seed: int) -> np.ndarray:
    return np.asarray(landscape(model, env, _grid(points), seed=seed))


def _grid(points: int) -> Any:
    return jnp.linspace(-1, 1, points)


def _judge(returns: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    compared = compare_landscapes(returns, truth)
    best = int(np.nanargmax(returns))
    # An unrolled model may predict states that grow past all bounds.
    error = compared.error if np.isfinite(compared.error) else np.inf
    return {
        "return_error": error,
        "roughness": compared.roughness,
        "true_roughness": compared.true_roughness,
        "best_action": float(_grid(len(truth))[best]),
        "true_return_there": float(truth[best]),
        "best_true_return": float(truth.max()),
    }


def _landscape_rows(
    horizon: int, preset: str, name: str, returns: np.ndarray
) -> list[dict[str, Any]]:
    return [
        {"horizon": horizon, "preset": preset, "model": name, "action": action, "return": value}
        for action, value in zip(np.linspace(-1, 1, len(returns)), returns, strict=True)
    ]


def _path_rows(
    env: Environment, preset: str, name: str, model: WorldModel, first_action: float = 0.0
) -> list[dict[str, Any]]:
    actions = later_actions(env, seed=0).at[0].set(first_action)
    start = env.initial_state(key=jax.random.key(0))
    states = np.asarray(open_loop(model, start, actions))
    return [
        {
            "horizon": env.horizon,
            "preset": preset,
            "model": name,
            "time": t * env.dt,
            "place": place,
            "speed": speed,
        }
        for t, (place, speed) in enumerate(states)
    ]


def _summary(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for horizon, preset in dict.fromkeys((row["horizon"], row["preset"]) for row in errors):
        group = [r for r in errors if (r["horizon"], r["preset"]) == (horizon, preset)]

        def of(name: str, what: str, group: list[dict[str, Any]] = group) -> np.ndarray:
            return np.array([row[what] for row in group if row["model"] == name])

        first = group[0]["model"]
        for name in dict.fromkeys(row["model"] for row in group):
            error = of(name, "return_error")
            ratios = error / of(first, "return_error")
            rows.append(
                {
                    "horizon": horizon,
                    "preset": preset,
                    "model": name,
                    "seeds": len(error),
                    "median_return_error": np.median(error),
                    "least": error.min(),
                    "greatest": error.max(),
                    "median_ratio_to_first_model": np.median(ratios),
                    "least_ratio": ratios.min(),
                    "greatest_ratio": ratios.max(),
                    "median_true_return_at_its_best": np.median(of(name, "true_return_there")),
                }
            )
    return rows


def main() -> None:
    """Run from the command line."""
    run(*parse("experiments.fig3_one_bounce.run", "Figure 3 of the paper: one-bounce."))


if __name__ == "__main__":
    main()
