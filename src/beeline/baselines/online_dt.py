"""The online decision transformer, in the place of Algorithm 1.

It imitates its own episodes, each labelled in hindsight with the return that it had, and acts by
asking for a better one. Beside the original, there is no dropout, the parts of episodes that it
imitates are never shorter than its context, and the network sees returns as differences from
those of random actions, in units of the gap between these and the optimum.

References:
    Zheng et al. 2022, "Online decision transformer".
    Paper, Appendix F.3 and Figure 10.
"""

from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from beeline.baselines._base import Baseline, BaselineState
from beeline.baselines._decision_transformer import DecisionTransformer
from beeline.baselines._imitation import Imitation
from beeline.baselines._return_seeker import ReturnSeeker, SeekerRecord, SeekerState, evaluate
from beeline.config import Config
from beeline.control import random_return, solve_optimum
from beeline.envs import make
from beeline.training import CorrelatedNoise, Episode, IndependentNoise


@final
class OnlineDT(Baseline):
    """Seeds side by side, each with its own transformer."""

    def __init__(self, config: Config) -> None:
        """Set it up; nothing is computed yet.

        Args:
            config: The run.
        """
        self.config = config
        self.env = make(config.task, horizon=config.horizon)
        self.iterations = config.iterations
        self._state: Any = None
        self._iterate: Any = None

    def prepare(self, seeds: Sequence[int]) -> None:
        """Draw the networks, warm up, and compile.

        Args:
            seeds: One for each policy to learn.
        """
        seeker = self._seeker()

        @eqx.filter_jit
        @eqx.filter_vmap
        def start(seed: Array) -> SeekerState:
            policy_key, key = jax.random.split(jax.random.key(seed))
            return seeker.init(self._draw(policy_key), key=key)

        in_axes = (eqx.if_array(0), None)
        iterate: Any = eqx.filter_jit(eqx.filter_vmap(seeker.iterate, in_axes=in_axes))
        self._state = start(jnp.asarray(seeds, jnp.uint32))
        self._iterate = iterate.lower(self._state, jnp.asarray(0)).compile()

    def warm_up(self) -> BaselineState:
        """Hand over what `prepare` warmed up.

        Returns:
            The state before the first iteration.
        """
        return BaselineState(self._state.policy)

    def iterate(self, index: int) -> tuple[BaselineState, SeekerRecord]:
        """Collect an episode and imitate.

        Args:
            index: Number of iterations done before this one.

        Returns:
            The state after, and what was measured.
        """
        self._state, record = self._iterate(self._state, jnp.asarray(index))
        return BaselineState(self._state.policy), jax.tree.map(np.asarray, record)

    def skeleton(self) -> BaselineState:
        """Shape the state without computing anything.

        Returns:
            The state with `jax.ShapeDtypeStruct` in place of arrays.
        """
        keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), self.config.seeds))
        return BaselineState(eqx.filter_eval_shape(eqx.filter_vmap(self._draw), keys))

    def evaluate(self, policy: DecisionTransformer, *, key: PRNGKeyArray) -> Episode:
        """Live through an episode with the deterministic actions.

        Args:
            policy: The policy of one seed.
            key: Random key of the environment.

        Returns:
            The episode.
        """
        return evaluate(self.env, policy, key=key)

    def _draw(self, key: PRNGKeyArray) -> DecisionTransformer:
        env, fields = self.env, self.config.online_dt
        return DecisionTransformer(
            env.state_dim,
            env.action_dim,
            env.horizon,
            width=fields.width,
            layers=fields.layers,
            heads=fields.heads,
            context=fields.context,
            key=key,
        )

    def _seeker(self) -> ReturnSeeker:
        fields = self.config.online_dt
        random = random_return(self.env).mean
        gap = solve_optimum(self.env).return_ - random
        correlated = self.config.exploration.correlated
        return ReturnSeeker(
            env=self.env,
            exploration=CorrelatedNoise(0.0) if correlated else IndependentNoise(),
            imitation=Imitation(
                learning_rate=fields.learning_rate,
                rate_warmup=fields.rate_warmup,
                weight_decay=fields.weight_decay,
                clip=fields.clip,
                temperature=fields.temperature,
                temperature_rate=fields.temperature_rate,
                batch_size=fields.batch_size,
            ),
            target=random + fields.target * gap,
            unit=gap,
            capacity=fields.capacity,
            warmup_episodes=self.config.warmup_episodes,
            steps_per_update=fields.env_steps_per_update,
            iterations=self.iterations,
        )
