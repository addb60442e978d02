"""One seed of soft actor-critic: its networks, its buffer, its task and its randomness."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import gymnasium
import jax.numpy as jnp
import numpy as np
import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from beeline._layers import Linear
from beeline.baselines._actor import Actor
from beeline.baselines._delayed_sac import DelayedSAC
from beeline.config import Config
from beeline.envs._gymnasium_names import gymnasium_name


class SeedLearner:
    """Learns with one seed, step by step, and gives its policy at any time.

    Two learners in one process do not disturb each other: the library draws from generators of
    the whole process, and what they would give next is kept for each.

    Attributes:
        updates: Updates of the critics and of the actor so far.
    """

    def __init__(self, config: Config, seed: int) -> None:
        """Draw the networks.

        Args:
            config: The run.
            seed: The seed.
        """
        fields = config.sac
        self._generators: Any = None
        self._normaliser = None
        env: Any = DummyVecEnv([lambda: Monitor(_make(config))])
        if fields.normalise:
            env = self._normaliser = VecNormalize(env, gamma=fields.discount)
        with self._own_randomness():
            self._sac = DelayedSAC(
                "MlpPolicy",
                env,
                actor_delay=fields.env_steps_per_policy_update // fields.env_steps_per_update,
                learning_rate=fields.learning_rate,
                buffer_size=min(fields.buffer_size, config.env_steps),
                learning_starts=config.warmup_episodes * config.horizon,
                batch_size=fields.batch_size,
                tau=1 - fields.averaging,
                gamma=fields.discount,
                train_freq=fields.env_steps_per_update,
                ent_coef=fields.entropy_weight,
                policy_kwargs={"net_arch": list(fields.hidden)},
                seed=seed,
                # Networks this small are faster on the processor than on its way to another.
                device="cpu",
            )
        self._sac.set_logger(Logger(None, []))

    def learn(self, env_steps: int) -> None:
        """Learn until the task has been stepped so often in all, or a loss is not finite.

        Args:
            env_steps: Steps since the beginning; what is between updates may be taken ahead.
        """
        missing = env_steps - self._sac.num_timesteps
        if missing > 0:
            with self._own_randomness(), contextlib.suppress(FloatingPointError):
                self._sac.learn(missing, reset_num_timesteps=False)

    @property
    def updates(self) -> tuple[int, int]:
        """Count the updates so far.

        Returns:
            Those of the critics and of the actor.
        """
        return self._sac._n_updates, self._sac._n_updates // self._sac.actor_delay

    def take_losses(self) -> tuple[float, float]:
        """Average the losses since the last time this was asked.

        Returns:
            The critics' and the actor's, NaN if there was no update.
        """
        return self._sac.take_losses()

    @property
    def collected_return(self) -> float:
        """Look up the last whole episode that was collected.

        Returns:
            Its return.
        """
        episodes = self._sac.ep_info_buffer
        return episodes[-1]["r"] if episodes else np.nan

    def policy(self, like: Actor) -> Actor:
        """Copy the actor.

        Args:
            like: A policy of the same shape.

        Returns:
            The policy.
        """
        actor: Any = self._sac.actor
        hidden = [layer for layer in actor.latent_pi if isinstance(layer, torch.nn.Linear)]
        layers = [_linear(old, new) for old, new in zip(like.network.layers, hidden, strict=False)]
        last = _linear(like.network.layers[-1], actor.mu, actor.log_std)
        statistics = like.mean, like.deviation
        if self._normaliser is not None:
            seen: Any = self._normaliser.obs_rms
            spread = np.sqrt(seen.var + self._normaliser.epsilon)
            statistics = jnp.asarray(seen.mean, float), jnp.asarray(spread, float)
        return eqx.tree_at(
            lambda policy: (policy.network.layers, policy.mean, policy.deviation),
            like,
            ((*layers, last), *statistics),
        )

    @contextlib.contextmanager
    def _own_randomness(self) -> Iterator[None]:
        others = _generators()
        if self._generators is not None:
            _restore(self._generators)
        try:
            yield
        finally:
            self._generators = _generators()
            _restore(others)


def _make(config: Config) -> gymnasium.Env[np.ndarray, np.ndarray]:
    name = gymnasium_name(config.task)
    return gymnasium.make(name, horizon=config.horizon, disable_env_checker=True)


def _linear(like: Linear, *parts: Any) -> Linear:
    weight = np.concatenate([part.weight.detach().numpy() for part in parts]).T
    bias = np.concatenate([part.bias.detach().numpy() for part in parts])
    values = jnp.asarray(weight), jnp.asarray(bias)
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), like, values)


def _generators() -> tuple[Any, Any, Any]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def _restore(states: tuple[Any, Any, Any]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
