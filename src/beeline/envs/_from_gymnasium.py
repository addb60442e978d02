"""A simulator of Gymnasium's interface, made an environment that can be learned from.

The other way, our tasks for agents of Gymnasium's, is `beeline.envs.gymnasium`.
"""

import importlib.util
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from beeline.envs._checks import check_horizon
from beeline.envs._gymnasium_names import PREFIX
from beeline.envs._registered import imported
from beeline.envs._simulator import Simulator
from beeline.envs._simulator_error import SimulatorError
from beeline.envs._simulators import Simulators, Spaces


def from_gymnasium(
    given: Any,
    horizon: int | None = None,
    *,
    reward: Callable[..., Any] | str | None = None,
    termination: Callable[..., Any] | str | None = None,
    processes: bool = False,
    timeout: float = 60.0,
    failures: int = 3,
    **options: Any,
) -> Simulator:
    """Learn from a simulator of Gymnasium's interface, which is stepped on the host.

    Actions have to be a `Box` with bounds. Observations may be a `Box` of any shape and bounds, or
    a `Dict` or `Tuple` that Gymnasium can lay flat, and are taken as the state.

    Args:
        given: A name that `gymnasium.make` knows, an environment, or a vector environment, which
            has a simulator for each seed and resets in the step that ends an episode.
        horizon: Steps in an episode at most; left out, as many as the simulator allows.
        reward: The reward as a JAX function of a state, an action in the simulator's unit and a
            step index, and of `next_state` if it has such a parameter; or `module:name` of one. It
            is learned if left out.
        termination: The termination, likewise, of a state, an action, a step index and the next
            state.
        processes: Whether each simulator has a process of its own.
        timeout: Seconds that a reset or a step may take.
        failures: How often in a row it may go wrong.
        options: What `gymnasium.make` takes.

    Returns:
        The environment.

    Raises:
        TypeError: If something else is given.
        ValueError: If there is no such simulator, or its spaces cannot be learned with.
    """
    if importlib.util.find_spec("gymnasium") is None:
        raise ValueError("gymnasium is not installed: pip install 'beeline[gymnasium]'")
    name, first, make, count = _source(given, processes, options)
    try:
        spaces = _spaces(name, first)
        steps = _horizon(name, first, horizon)
        host = Simulators(
            *(name, spaces, make),
            constants=_constants(first),
            count=count,
            timeout=float(timeout),
            patience=int(failures),
        )
        return simulator(host, steps, reward, termination)
    except SimulatorError as error:
        raise ValueError(str(error)) from None


def is_gymnasium(given: Any) -> bool:
    """Tell whether something is of Gymnasium, without importing it.

    Args:
        given: Anything.

    Returns:
        Whether it is an environment or a vector environment, or a name that begins with `PREFIX`.
    """
    if isinstance(given, str):
        return given.startswith(PREFIX)
    gymnasium = sys.modules.get("gymnasium")
    return gymnasium is not None and isinstance(given, gymnasium.Env | gymnasium.vector.VectorEnv)


def check_actions(name: str, action: Any) -> None:
    """Refuse a space of actions in which a policy cannot choose numbers within bounds.

    Args:
        name: What the simulator is called.
        action: The space.

    Raises:
        ValueError: If it is no `Box`, or has an entry without finite bounds.
    """
    from gymnasium.spaces import Box

    if not isinstance(action, Box):
        raise ValueError(
            f"{name} takes actions of {type(action).__name__}, but a policy gives numbers within "
            "bounds: choose a simulator whose action space is a Box"
        )
    low, high = action.low.astype(float), action.high.astype(float)
    if action.low.size == 0 or not np.isfinite([low, high]).all() or not (low < high).all():
        raise ValueError(
            f"{name} takes actions from {low.ravel().tolist()} to {high.ravel().tolist()}: give "
            "each entry finite bounds, for one without them by gymnasium.wrappers.TransformAction "
            "with another Box"
        )


def simulator(host: Simulators, horizon: int, reward: Any, termination: Any) -> Simulator:
    """Make an environment of what is stepped.

    Args:
        host: What is stepped.
        horizon: Steps in an episode at most.
        reward: The reward as a function, or `module:name` of one; None to learn it.
        termination: The termination, likewise.

    Returns:
        The environment.

    Raises:
        TypeError: If something else than a function is named.
        ValueError: If there is no such module or name.
    """
    box = host.spaces.action
    low, high = (tuple(map(float, edge.ravel())) for edge in (box.low, box.high))
    return Simulator(
        name=host.name,
        state_dim=len(host.spaces.low),
        action_dim=len(low),
        horizon=horizon,
        action_low=low,
        action_high=high,
        host=host,
        own_reward=_function("reward", reward),
        own_termination=_function("termination", termination),
    )


def _source(
    given: Any, processes: bool, options: dict[str, Any]
) -> tuple[str, Any, Callable[[int], Any], int | None]:
    # The name, one to read the spaces of, what makes so many, and how many there have to be.
    import gymnasium

    if isinstance(given, str):
        spec = given.removeprefix(PREFIX)

        def one() -> Any:
            return gymnasium.make(spec, **options)

        try:
            first = one()
        except Exception as error:
            why = re.sub(r"\s+", " ", str(error)).strip()
            raise ValueError(f"gymnasium makes no {spec!r}: {why}") from error
        return PREFIX + spec, first, _vectors(PREFIX + spec, one, processes, first), None
    if options:
        raise TypeError(f"the simulator is made already: leave out {', '.join(options)}")
    if isinstance(given, gymnasium.vector.VectorEnv):
        return _of_vector(given)
    if not isinstance(given, gymnasium.Env):
        raise TypeError(
            f"{given!r} is no simulator: give a name that gymnasium.make knows, or a gymnasium.Env"
        )
    spec = given.spec
    name = PREFIX + (spec.id if spec is not None else type(given.unwrapped).__name__)
    one = (lambda: given) if spec is None else (lambda: gymnasium.make(spec))
    return name, given, _vectors(name, one, processes, given), None if spec is not None else 1


def _vectors(
    name: str, one: Callable[[], Any], processes: bool, first: Any
) -> Callable[[int], Any]:
    from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

    spare = [first]

    def make(count: int) -> Any:
        if processes:
            # A process that has used JAX must not be forked.
            return AsyncVectorEnv(
                [lambda: _of_one_shape(name, one())] * count,
                context="spawn",
                autoreset_mode=AutoresetMode.SAME_STEP,
            )
        # The one whose spaces were read is the first to be stepped.
        made = [_of_one_shape(name, spare.pop() if spare else one()) for _ in range(count)]
        return SyncVectorEnv(
            [lambda env=env: env for env in made], autoreset_mode=AutoresetMode.SAME_STEP
        )

    return make


def _of_one_shape(name: str, env: Any) -> Any:
    # Gymnasium stacks observations before anybody sees them.
    from gymnasium.spaces import Box
    from gymnasium.wrappers import TransformObservation

    space = env.observation_space
    if not isinstance(space, Box):
        return env

    def check(observation: Any) -> Any:
        if np.shape(observation) != space.shape:
            raise SimulatorError(
                f"{name} gave an observation of shape {np.shape(observation)}, not {space.shape}"
            )
        return observation

    return TransformObservation(env, check, space)


def _of_vector(given: Any) -> tuple[str, Any, Callable[[int], Any], int]:
    from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

    name = PREFIX + (given.spec.id if given.spec is not None else type(given.unwrapped).__name__)
    mode = given.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(
            f"{name} is a vector environment whose autoreset_mode is "
            f"{getattr(mode, 'name', mode)}, which spends a step on a reset: make it with "
            "autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP"
        )
    functions, whole = getattr(given.unwrapped, "env_fns", None), [given]

    def make(count: int) -> Any:
        if whole:
            return whole.pop()
        if functions is None or given is not given.unwrapped:
            # What cannot be made anew is reset.
            return given
        if isinstance(given, AsyncVectorEnv):
            return AsyncVectorEnv(functions, context="spawn", autoreset_mode=mode)
        return SyncVectorEnv(functions, autoreset_mode=mode)

    return name, given, make, given.num_envs


def _spaces(name: str, env: Any) -> Spaces:
    from gymnasium import spaces

    observation = getattr(env, "single_observation_space", env.observation_space)
    action = getattr(env, "single_action_space", env.action_space)
    check_actions(name, action)
    try:
        flat = spaces.flatten_space(observation)
    except NotImplementedError:
        flat = observation
    if not isinstance(flat, spaces.Box) or flat.shape == (0,):
        raise ValueError(
            f"{name} gives observations of {type(observation).__name__}, which have no fixed "
            "number of entries: choose a simulator whose observations are a Box, or a Dict of such"
        )
    with np.errstate(over="ignore"):
        edges = flat.low.astype(np.float32), flat.high.astype(np.float32)
    return Spaces(observation, action, *edges)


def _constants(env: Any) -> str:
    given = {} if env.spec is None else dict(env.spec.kwargs)
    for apart in ("render_mode", "vectorization_mode", "vector_kwargs", "num_envs"):
        given.pop(apart, None)
    # Where functions happen to lie in memory is not part of what they do.
    return re.sub(r"0x[0-9a-f]+", "", repr(sorted(given.items())))


def _horizon(name: str, env: Any, horizon: int | None) -> int:
    if horizon is not None:
        return check_horizon(horizon)
    limit = None if env.spec is None else env.spec.max_episode_steps
    if limit is None:
        raise ValueError(f"{name} has no limit of steps in an episode: give a horizon")
    return limit


def _function(what: str, given: Any) -> Callable[..., Any] | None:
    function = imported(given) if isinstance(given, str) else given
    if function is not None and not callable(function):
        raise TypeError(f"{what} is {given!r}: give a function, or module:name of one")
    return function
