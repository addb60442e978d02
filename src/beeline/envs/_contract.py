"""Check that an environment keeps the contract that training leans on."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

from beeline.envs._base import Environment
from beeline.envs._constraints import Constraints
from beeline.envs._declared import takes_next_state
from beeline.envs._probing import Probe, draw_actions, key_at, live, outputs, slopes
from beeline.envs._transition import (
    move,
    reward_of,
    reward_with,
    termination_of,
    transition,
)
from beeline.envs._violations import CheckReport, ContractError, Violation

_PROBES = 8
_TOLERANCE = 1e-4
"""Of numbers in single precision that two programs compute, relative to the largest of them."""


def check(
    env: object, *, clips_actions: bool = False, raises: bool = False, seed: int = 0
) -> CheckReport:
    """Check an environment of one's own before training on it.

    Episodes are rolled out with random actions and with actions from the corners of their
    box, and every rule is tried on what they visit: attributes, shapes and precision; the same
    answer to the same input, whether under `jax.jit` and `jax.vmap` or not; finite numbers; and,
    in double precision, derivatives of `step` and `reward` against finite differences. At a kink
    a derivative has to lie between the slopes on both sides. Where episodes may terminate, all but
    that is tried beyond their ends too.

    Args:
        env: The environment, an `Environment` if it is any good.
        clips_actions: Whether it promises to clip actions outside their bounds, which is then
            tried.
        raises: Whether to raise if a rule is broken.
        seed: Seed of the actions.

    Returns:
        The violations, each with an input that shows it. A rule that cannot be tried because
        of another, such as derivatives of what cannot be traced, is not tried.

    Raises:
        ContractError: If `raises` and a rule is broken.
    """
    found = list(_attributes(env))
    if isinstance(env, Environment) and not found:
        found = [*_signatures(env), *_of_episodes(env)]
        rules = {violation.rule for violation in found}
        if "shape" not in rules:
            found += _behaviour(env, not rules, clips_actions, seed)
            found += _reach(env)
    report = CheckReport(str(getattr(env, "name", type(env).__name__)), tuple(found))
    if raises and not report.ok:
        raise ContractError(str(report))
    return report


def _attributes(env: Any) -> Iterator[Violation]:
    if not isinstance(env, Environment):
        kind = type(env).__name__
        yield Violation("attributes", f"{kind} is no subclass of beeline.envs.Environment")
    for name, least in (("state_dim", 1), ("action_dim", 1), ("horizon", 2)):
        value = getattr(env, name, None)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            wrong = f"{name} is {value!r}, not an integer of at least {least}"
            yield Violation("horizon" if name == "horizon" else "attributes", wrong)
    dt = getattr(env, "dt", None)
    if isinstance(dt, bool) or not isinstance(dt, (int, float)) or not 0 < dt < np.inf:
        yield Violation("attributes", f"dt is {dt!r}, not a finite number above 0")
    if not isinstance(getattr(env, "name", None), str):
        yield Violation("attributes", f"name is {getattr(env, 'name', None)!r}, not a text")


def _signatures(env: Environment) -> Iterator[Violation]:
    for double in (False, True):
        with jax.enable_x64(double):
            kind, key, t = jnp.zeros(()).dtype, jax.random.key(0), jnp.asarray(0)
            state, action = (jnp.zeros(size, kind) for size in (env.state_dim, env.action_dim))
            given = f"a state and an action of {kind}, and a traced t"
            for name, (function, shape, dtype) in _calls(env, kind).items():
                try:
                    out = jax.eval_shape(function, state, action, t, key)
                except Exception as error:
                    yield Violation("tracing", f"{name} raises {_said(error)}", given)
                    continue
                if not isinstance(out, jax.ShapeDtypeStruct):
                    yield Violation("shape", f"{name} gives a {type(out).__name__}", given)
                    continue
                count = out.shape[0] if len(out.shape) == 1 else "n"
                right = {"constraints": [(count,), ()], "context": [(count,)]}.get(name, [shape])
                if out.shape not in right:
                    wanted = str(right[-1]).replace("'", "")
                    yield Violation("shape", f"{name} has shape {out.shape}, not {wanted}", given)
                elif out.dtype != dtype:
                    yield Violation("precision", f"{name} gives {out.dtype}, not {dtype}", given)


def _calls(env: Environment, kind: Any) -> dict[str, tuple[Callable[..., Any], Any, Any]]:
    # What is called with a state, an action, a step index and a key, and what it has to give.
    reward, terminated, constraints = reward_of(env), termination_of(env), Constraints.of(env)
    state = (env.state_dim,)
    calls: dict[str, tuple[Callable[..., Any], Any, Any]] = {
        "initial_state": (lambda s, a, t, k: env.initial_state(key=k), state, kind),
        "step": (lambda s, a, t, k: move(env, s, a, t, key=k), state, kind),
        "reward": (lambda s, a, t, k: reward_with(reward, s, a, t, lambda: s), (), kind),
    }
    if terminated is not None:
        calls["terminated"] = (partial(_ends, terminated), (), jnp.dtype(bool))
    if constraints is not None and not isinstance(env.constraints, Constraints):
        calls["constraints"] = (partial(_keeps, constraints.path), (), kind)
    if env.context is not None:
        calls["context"] = (lambda s, a, t, k: env.context(t), (), kind)
    return calls


def _reach(env: Environment) -> Iterator[Violation]:
    # JAX takes the last entry for one beyond it, and NumPy says that there is none.
    state, action = (np.zeros(size, np.float32) for size in (env.state_dim, env.action_dim))
    # By themselves, for what else calls them would make JAX's arrays of these.
    given: Any = state, action, 0
    after = {"next_state": state} if takes_next_state(type(env).reward) else {}
    calls: dict[str, Callable[..., Any]] = {
        "step": lambda: env.step(*given, key=jax.random.key(0)),
        "reward": lambda: env.reward(*given, **after),
    }
    if env.terminated is not None:
        calls["terminated"] = lambda: env.terminated(*given, state)
    for name, call in calls.items():
        try:
            call()
        except IndexError as error:
            what = f"{name} looks at more than a state and an action have ({error})"
            yield Violation("shape", f"{what}: what it needs has to be part of the state")
        except Exception:
            # Of what NumPy's arrays cannot do, and JAX's can.
            continue


def _of_episodes(env: Environment) -> Iterator[Violation]:
    constraints = Constraints.of(env)
    if constraints is None or not isinstance(env.constraints, Constraints):
        return
    try:
        constraints.check(env.state_dim, env.action_dim, env.horizon)
    except ValueError as error:
        yield Violation("shape", str(error))


def _keeps(constraints: Any, state: Any, action: Any, t: Any, key: Any) -> Any:
    del key
    return constraints(state, action, t)


def _ends(terminated: Callable[..., Any], state: Any, action: Any, t: Any, key: Any) -> Any:
    del key
    return terminated(state, action, t, state)


def _behaviour(
    env: Environment, compiled: bool, clips_actions: bool, seed: int
) -> Iterator[Violation]:
    generator = np.random.default_rng(seed)
    actions = draw_actions(env, generator, few=not compiled)
    yield from _known(env)
    try:
        states, rewards = live(env, actions, compiled=compiled)
    except Exception as error:
        yield Violation("horizon", f"an episode of {env.horizon} steps raises {_said(error)}")
        return
    yield from _finite(env, states, actions, rewards)
    episodes = generator.integers(len(states), size=_PROBES).tolist()
    times = [0, env.horizon - 1, *generator.integers(env.horizon, size=_PROBES - 2).tolist()]
    places = [p for p in zip(episodes, times, strict=True) if np.isfinite(states[p]).all()]
    probes = [Probe(states[place], actions[place], place[1]) for place in places]
    yield from _repetition(env, probes)
    if env.continuing:
        yield from _steadiness(env, probes)
    if compiled:
        seen = [np.append(states[e, t + 1], rewards[e, t]) for e, t in places]
        yield from _compilation(env, probes, seen)
        yield from _derivatives(env, probes)
    if clips_actions:
        yield from _clipping(env, probes)


def _known(env: Environment) -> Iterator[Violation]:
    if env.context is None:
        return
    reached = checkify.checkify(env.context, errors=checkify.index_checks)
    error = reached(jnp.asarray(env.horizon - 1))[0].get()
    if error is not None:
        # JAX takes the last entry for one beyond it.
        what = f"context looks beyond the end of an array at t = {env.horizon - 1}, the last step"
        yield Violation("horizon", f"{what}: give it what is known of all {env.horizon} steps")
        return
    known = np.asarray(jax.vmap(env.context)(jnp.arange(env.horizon)))
    good = np.isfinite(known).all(axis=-1)
    if not good.all():
        t = int(np.argmin(good))
        yield Violation("finite", f"context gives {known[t].tolist()}", f"t {t}")


def _finite(
    env: Environment, states: np.ndarray, actions: np.ndarray, rewards: np.ndarray
) -> Iterator[Violation]:
    good = np.asarray(np.isfinite(states).all(axis=-1))
    if not good[:, 0].all():
        yield Violation("finite", f"initial_state gives {states[0, 0].tolist()}")
    bad_step, bad_reward = good[:, :-1] & ~good[:, 1:], good[:, :-1] & ~np.isfinite(rewards)
    for name, bad, values in (("step", bad_step, states[:, 1:]), ("reward", bad_reward, rewards)):
        if bad.any():
            place = tuple(np.argwhere(bad)[0].tolist())
            probe = Probe(states[place], actions[place], place[1])
            yield Violation("finite", f"{name} gives {values[place].tolist()}", probe.given(env))


def _repetition(env: Environment, probes: list[Probe]) -> Iterator[Violation]:
    terminated = termination_of(env)
    names = "step and reward" if terminated is None else "step, reward and terminated"
    for probe in probes:
        once, again = (_eagerly(env, probe) for _ in range(2))
        if terminated is not None:
            inputs = *map(jnp.asarray, probe), jnp.asarray(once[:-1])
            once, again = (np.append(one, terminated(*inputs)) for one in (once, again))
        if not np.array_equal(once, again, equal_nan=True):
            what = f"{names} give {once.tolist()} and then {again.tolist()}"
            yield Violation("determinism", what, probe.given(env))
            return


def _steadiness(env: Environment, probes: list[Probe]) -> Iterator[Violation]:
    key = key_at(jnp.asarray(0))
    for probe in probes:
        state, action = jnp.asarray(probe.state), jnp.asarray(probe.action)
        first, *others = (
            (t, np.append(*transition(env, state, action, jnp.asarray(t), key=key)))
            for t in (0, env.horizon // 2, env.horizon - 1)
        )
        for t, found in others:
            if not _close(first[1], found):
                what = (
                    f"continuing is True, but step and reward give {first[1].tolist()} at t = 0 "
                    f"and {found.tolist()} at t = {t}, and no policy would see t: what changes "
                    "with time has to be part of the state"
                )
                yield Violation("time", what, probe.given(env))
                return


def _compilation(
    env: Environment, probes: list[Probe], seen: list[np.ndarray]
) -> Iterator[Violation]:
    for probe, together in zip(probes, seen, strict=True):
        alone = _eagerly(env, probe)
        if _close(alone, together):
            continue
        inputs, t = jnp.append(probe.state, probe.action), jnp.asarray(probe.t)
        jitted = np.asarray(jax.jit(lambda x, t: outputs(env, x, t))(inputs, t))
        rule, other = ("vmap", together) if _close(alone, jitted) else ("jit", jitted)
        what = f"step and reward give {alone.tolist()}, and {other.tolist()} under jax.{rule}"
        yield Violation(rule, what, probe.given(env))
        return


def _derivatives(env: Environment, probes: list[Probe]) -> Iterator[Violation]:
    if not probes:
        return
    try:
        found = slopes(env, probes)
    except Exception as error:
        what = f"differentiating raises {_said(error)}"
        yield Violation("derivative", what, probes[0].given(env))
        return
    # Past the edge of a domain a difference is not a number, and the other side decides.
    lowest, highest = np.fmin(found.left, found.right), np.fmax(found.left, found.right)
    slack = found.noise + _TOLERANCE * np.fmax(np.abs(lowest), np.abs(highest))
    outside = (found.derivative < lowest - slack) | (found.derivative > highest + slack)
    wrong = outside | ~np.isfinite(found.derivative)
    for output, entry in np.argwhere(wrong.any(axis=0)).tolist():
        at = int(np.argmax(wrong[:, output, entry]))
        of = f"{_entry(env, output)} of step" if output < env.state_dim else "reward"
        by = f"{'state' if entry < env.state_dim else 'action'} {_entry(env, entry)}"
        got, left, right = (float(x[at, output, entry]) for x in found[:3])
        what = f"{of} by {by} is {got:.6g}, and by differences {left:.6g} to {right:.6g}"
        yield Violation("derivative", what, probes[at].given(env))


def _entry(env: Environment, number: int) -> str:
    # The entries of a state come first, and then those of an action.
    in_state = number < env.state_dim
    names = env.state_names if in_state else env.action_names
    number -= 0 if in_state else env.state_dim
    return f"entry {number}" + (f" ({names[number]})" if names else "")


def _clipping(env: Environment, probes: list[Probe]) -> Iterator[Violation]:
    for probe in probes:
        edge = np.where(probe.action < 0, -1, 1).astype(probe.action.dtype)
        beyond = probe._replace(action=1.5 * edge)
        try:
            outside = _eagerly(env, beyond)
        except Exception as error:
            yield Violation("clipping", f"raises {_said(error)}", beyond.given(env))
            return
        inside = _eagerly(env, probe._replace(action=edge))
        if not _close(inside, outside):
            what = f"step and reward give {outside.tolist()}, and {inside.tolist()} at the edge"
            yield Violation("clipping", what, beyond.given(env))
            return


def _eagerly(env: Environment, probe: Probe) -> np.ndarray:
    inputs = jnp.append(probe.state, probe.action)
    return np.asarray(outputs(env, inputs, jnp.asarray(probe.t)))


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    size = np.max(np.abs(a), initial=0, where=np.isfinite(a))
    return np.allclose(a, b, rtol=0, atol=1e-6 + _TOLERANCE * size, equal_nan=True)


def _said(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__} ({first})"
