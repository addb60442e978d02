"""What soft actor-critic goes on from, as arrays alone and without the library it comes from."""

from typing import Any, NamedTuple

import jax
from jaxtyping import Float, Float64, Int, UInt8, UInt32

from beeline.config import Config
from beeline.envs import Environment

_NUMPY_WORDS = 625
_TORCH_BYTES = 5056


class Network(NamedTuple):
    """Weights and biases, layer by layer, and what Adam knows of them."""

    weights: tuple[Any, ...]
    means: tuple[Any, ...]
    """Running means of the gradients."""
    squares: tuple[Any, ...]
    """Running means of their squares."""
    updates: Float[Any, ""]


class Transitions(NamedTuple):
    """The replay buffer, of which the oldest are replaced when it is full."""

    observations: Float[Any, "capacity observation"]
    next_observations: Float[Any, "capacity observation"]
    actions: Float[Any, "capacity action"]
    rewards: Float[Any, " capacity"]
    dones: Float[Any, " capacity"]
    """Whether there is nothing to earn afterwards."""


class Moments(NamedTuple):
    """Running mean and variance."""

    mean: Float64[Any, "*entry"]
    variance: Float64[Any, "*entry"]
    count: Float64[Any, ""]


class Normaliser(NamedTuple):
    """Statistics of all that was seen."""

    observation: Moments
    discounted_return: Moments
    discounted: Float64[Any, ""]
    """Discounted sum of the rewards of the episode under way."""


class Randomness(NamedTuple):
    """The generators that it draws from: NumPy's integers, PyTorch's normal numbers."""

    numpy: UInt32[Any, " word"]
    torch: UInt8[Any, " byte"]


class LearnerState(NamedTuple):
    """Everything that one seed needs to go on, but for what follows from the seed itself."""

    actor: Network
    critic: Network
    entropy_weight: Network | None
    """Its logarithm; None where it is not tuned."""
    target: tuple[Any, ...]
    """Weights and biases of the critics' slow copy."""
    transitions: Transitions
    normaliser: Normaliser | None
    """None where nothing is normalised."""
    env_steps: Int[Any, ""]
    updates: Int[Any, ""]
    """Those of the critics."""
    observation: Float[Any, " observation"]
    """The last, in physical units."""
    rewards: Float64[Any, " time"]
    """Those of the episode under way, and zeros."""
    played: Int[Any, "2"] | None
    """Episodes before it, and its steps; None where all last as long as the horizon."""
    collected_return: Float64[Any, ""]
    """That of the last whole episode."""
    randomness: Randomness


def capacity(config: Config) -> int:
    """Count the transitions that there is room for: no more than a run will see.

    Args:
        config: The run.

    Returns:
        Their number.
    """
    between = config.sac.env_steps_per_update
    # What is between two updates is taken as a whole, over the end of the run.
    return min(config.sac.buffer_size, -(-config.env_steps // between) * between)


def skeleton(config: Config, env: Environment) -> LearnerState:
    """Shape the state, with an axis of seeds.

    Args:
        config: The run.
        env: Its environment.

    Returns:
        The state with `jax.ShapeDtypeStruct` in place of arrays.
    """

    def shaped(*shape: int, of: str = "float32") -> Any:
        return jax.ShapeDtypeStruct((config.seeds, *shape), of)

    def layer(inputs: int, outputs: int) -> tuple[Any, Any]:
        return shaped(outputs, inputs), shaped(outputs)

    def moments(*shape: int) -> Moments:
        double = "float64"
        return Moments(shaped(*shape, of=double), shaped(*shape, of=double), shaped(of=double))

    def layers(*sizes: int) -> tuple[Any, ...]:
        return sum(map(layer, sizes[:-1], sizes[1:]), ())

    observation = env.state_dim + (not (config.sac.time_limit or env.continuing))
    action, hidden = env.action_dim, config.sac.hidden
    body = observation, *hidden
    actor = layers(*body) + 2 * layer(body[-1], action)
    critics = 2 * layers(observation + action, *hidden, 1)
    room = capacity(config)
    weight = (shaped(1),)
    tuned = Network(weight, weight, weight, shaped())
    normaliser = Normaliser(moments(observation), moments(), shaped(of="float64"))
    return LearnerState(
        actor=Network(actor, actor, actor, shaped()),
        critic=Network(critics, critics, critics, shaped()),
        entropy_weight=tuned if config.sac.tune_entropy else None,
        target=critics,
        transitions=Transitions(
            shaped(room, observation),
            shaped(room, observation),
            shaped(room, action),
            shaped(room),
            shaped(room),
        ),
        normaliser=normaliser if config.sac.normalise else None,
        env_steps=shaped(of="int32"),
        updates=shaped(of="int32"),
        observation=shaped(observation),
        rewards=shaped(config.horizon, of="float64"),
        played=None if env.terminated is None else shaped(2, of="int32"),
        collected_return=shaped(of="float64"),
        randomness=Randomness(shaped(_NUMPY_WORDS, of="uint32"), shaped(_TORCH_BYTES, of="uint8")),
    )
