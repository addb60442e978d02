"""Plans in the world model of a run: from which state, for how long, and how it is told."""

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from beeline._drawing import default_style, save_figure
from beeline.control import Constraints, Plan, Search, plan
from beeline.control._rollout import open_loop_from
from beeline.control.random_return import default_key
from beeline.envs import Environment, reward_of
from beeline.envs._simulator import Simulator
from beeline.envs._trajectories import controls_of, draw_field, is_field, panels
from beeline.envs._transition import termination_of
from beeline.models import WorldModel
from beeline.run._compiling import compile_cache
from beeline.run._errors import RunError
from beeline.storage.atomic import replacing

if TYPE_CHECKING:
    from beeline.run._result import Run

_MOST_SEEN = 20_000
"""States that a start is compared with, spread evenly over all."""
_PLANNED, _REAL = "#d97706", "#1f6fb4"


def plan_run(
    run: "Run",
    state: Float[ArrayLike, " state"] | Sequence[SupportsFloat] | None,
    horizon: SupportsIndex | None,
    *,
    first: SupportsIndex,
    seed: int | None,
    search: Search | None,
    starts: SupportsIndex,
    constraints: Constraints | None,
) -> Plan:
    """Plan in a run's world model: see `Run.plan`.

    Args:
        run: The run.
        state: Where the plan begins.
        horizon: Its steps.
        first: Index of the first.
        seed: Whose model.
        search: How to look.
        starts: From how many starts.
        constraints: What the plan has to keep, beside what the environment declares.

    Returns:
        The plan.

    Raises:
        RunError: If the run has no model or no such seed, or there is no such plan.
    """
    env, position = run.env, run.position_of(seed)
    model, trained = run.models[position], cast(Any, run.state)
    count = env.horizon - int(first) if horizon is None else int(horizon)
    if not env.continuing and int(first) + count > env.horizon:
        raise RunError(
            f"horizon is {count} from step {int(first)} on, but the model is of episodes of "
            f"{env.horizon} steps: take at most {max(0, env.horizon - int(first))}"
        )
    if state is None and isinstance(env, Simulator):
        raise RunError(
            f"say where the plan begins: {env.name} is not asked for a start, so give a state"
        )
    learned = {
        name: jax.tree.map(lambda x: x[position] if eqx.is_array(x) else x, one.weights)
        for name, one in trained.learners.items()
        if name in ("reward", "termination", "critic")
    }
    if constraints is not None and constraints.units is None:
        constraints = dataclasses.replace(constraints, units=env.physical_action)
    keeps = [one for one in (Constraints.of(env), constraints) if one is not None]
    ends = not env.continuing and int(first) + count == env.horizon
    critic = None if ends or "critic" not in learned else learned["critic"].critic
    with compile_cache():
        begin = env.initial_state(key=default_key()) if state is None else state
        try:
            return plan(
                model,
                begin,
                learned.get("reward", reward_of(env)),
                count,
                action_dim=env.action_dim,
                first=first,
                search=search,
                starts=starts,
                termination=learned.get("termination", termination_of(env)),
                value=critic,
                constraints=keeps,
                seen=starts_seen(run, model, position),
            )
        except ValueError as error:
            raise RunError(str(error)) from None


def starts_seen(run: "Run", model: WorldModel, position: int) -> Float[np.ndarray, "sample state"]:
    """List the states that a run's model was asked to begin in while it was fitted.

    Args:
        run: The run.
        model: Its model.
        position: Of the seed.

    Returns:
        All states of its episodes; for a model of actions that is fitted to whole episodes, their
        first ones. At most 20,000, spread evenly.
    """
    buffer = cast(Any, run.state).buffer
    filled = min(int(buffer.count[position]), buffer.states.shape[1])
    states = np.asarray(buffer.states[position][:filled])
    whole = not model.state_fed and run.config.imagination != "windows"
    states = states[:, 0] if whole else states[:, :-1].reshape(-1, states.shape[-1])
    return states[:: -(-len(states) // _MOST_SEEN)]


@dataclass(frozen=True)
class PlanReport:
    """A plan beside what its actions lead to in the environment."""

    env: Environment
    plan: Plan
    first: int
    states: Float[np.ndarray, "times state"] | None = None
    """Those that the environment goes through; None for a simulator, which begins where it will."""
    rewards: Float[np.ndarray, " time"] | None = None
    """Those that it gives, likewise."""

    @classmethod
    def of(cls, env: Environment, found: Plan, first: int = 0) -> "PlanReport":
        """Play a plan in the environment, with one draw of what it leaves to chance.

        Args:
            env: The environment.
            found: The plan.
            first: Index of its first step.

        Returns:
            Both; the plan alone for a simulator.
        """
        if isinstance(env, Simulator):
            return cls(env, found, first)
        with compile_cache():
            begin, actions = jnp.asarray(found.states[0]), jnp.asarray(found.actions)
            real = jax.jit(lambda *given: open_loop_from(env, *given, key=default_key()))
            states, rewards = real(begin, actions, first)
        return cls(env, found, first, np.asarray(states), np.asarray(rewards))

    def rows(self) -> list[dict[str, Any]]:
        """List the steps of the plan.

        Returns:
            One row each: its index, the state and action in physical units, and the reward, as the
            model has them.
        """
        env, found = self.env, self.plan
        states = env.state_names or [f"state {i}" for i in range(env.state_dim)]
        actions = env.action_names or [f"action {i}" for i in range(env.action_dim)]
        physical = np.asarray(env.physical_action(jnp.asarray(found.actions)))
        return [
            {"step": self.first + i}
            | dict(zip(states, found.states[i].tolist(), strict=True))
            | dict(zip(actions, physical[i].tolist(), strict=True))
            | {"reward": float(found.rewards[i])}
            for i in range(len(physical))
        ]

    def summary(self) -> dict[str, Any]:
        """Say what the plan earns, and how far it can be trusted.

        Returns:
            Plain JSON.
        """
        return {
            "task": self.env.name,
            "first": self.first,
            "horizon": len(self.plan.rewards),
            "return": self.plan.return_,
            "predicted_rewards": float(self.plan.rewards.sum()),
            "real_rewards": None if self.rewards is None else float(self.rewards.sum()),
            "distance": self.plan.distance,
            "violations": self.plan.violations,
            "feasible": self.plan.feasible,
            "starts": self.plan.starts.tolist(),
        }

    def write(self, folder: Path) -> tuple[Path, Path, Path]:
        """Write the plan as CSV, JSON and a figure.

        Args:
            folder: Where.

        Returns:
            The files.
        """
        table, described, figure = (folder / f"plan.{kind}" for kind in ("csv", "json", "png"))
        rows, text = self.rows(), io.StringIO()
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        for file, content in ((table, text.getvalue()), (described, self.json())):
            with replacing(file) as target:
                target.write(content.encode())
        self.draw(figure)
        return table, described, figure

    def json(self) -> str:
        """Put summary and steps into one text.

        Returns:
            JSON.
        """
        return json.dumps(self.summary() | {"steps": self.rows()})

    @default_style()
    def draw(self, file: Path) -> None:
        """Draw states and actions over time.

        Args:
            file: The image.
        """
        env, found = self.env, self.plan
        figure, state_panels, control_panels = panels(env)
        at = (self.first + np.arange(len(found.states))) * env.dt
        controls = controls_of(env, found.actions)
        if is_field(env.state_dim):
            draw_field(state_panels[0], found.states, at[0] - env.dt / 2, env.dt)
            state_panels = []
        for entry, axes in enumerate(state_panels):
            axes.plot(at, found.states[:, entry], color=_PLANNED, linewidth=2, label="planned")
            if self.states is not None:
                real = {"color": _REAL, "linewidth": 1.3, "linestyle": "--"}
                axes.plot(at, self.states[:, entry], label="in the environment", **real)
        if is_field(env.action_dim):
            draw_field(control_panels[0], controls[:-1], at[0], env.dt)
            control_panels = []
        for entry, axes in enumerate(control_panels):
            axes.plot(at, controls[:, entry], color=_PLANNED, linewidth=2, drawstyle="steps-post")
        for axes in figure.axes:
            axes.spines[["top"]].set_visible(False)
            axes.grid(alpha=0.2)
        if state_panels:
            lines = state_panels[0].lines
            names = [str(line.get_label()) for line in lines]
            figure.legend(lines, names, loc="outside lower center", ncols=2, frameon=False)
        figure.suptitle(f"{env.name}: a plan of {len(found.actions)} steps")
        save_figure(figure, file)
