"""Stable-Baselines3's soft actor-critic, with fewer updates of the actor than of the critics."""

import math
from typing import Any

import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.utils import polyak_update
from torch.nn.functional import mse_loss


class DelayedSAC(SAC):
    """Soft actor-critic whose actor is updated once for every few updates of the critics.

    Table 2 of the paper has an update of the critics every 2 environment steps and one of the
    policy every 16; the library updates both together. With a delay of 1, this is the library's own
    update, number for number, but where both critics say the same to the last bit: the gradient
    then goes through both.

    Attributes:
        critic_losses: Losses of the critics since the list was last cleared.
        actor_losses: Losses of the actor since then.
    """

    def __init__(self, *arguments: Any, actor_delay: int, **options: Any) -> None:
        """Set the networks up.

        Args:
            arguments: As for Stable-Baselines3's SAC.
            actor_delay: Updates of the critics for each of the actor.
            options: As for Stable-Baselines3's SAC.
        """
        self.actor_delay = actor_delay
        self.critic_losses: list[float] = []
        self.actor_losses: list[float] = []
        super().__init__(*arguments, **options)

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Update on batches from the replay buffer.

        Args:
            gradient_steps: Updates of the critics.
            batch_size: Transitions an update.
        """
        self.policy.set_training_mode(True)
        for _ in range(gradient_steps):
            assert self.replay_buffer is not None
            batch = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
            self._n_updates += 1
            due = self._n_updates % self.actor_delay == 0
            # Drawn before the critics' update, as the library does.
            chosen = self.actor.action_log_prob(batch.observations) if due else None
            weight = self._entropy_weight(None if chosen is None else chosen[1])
            self._update_critics(batch, weight)
            if chosen is not None:
                self._update_actor(batch, *chosen, weight)
            polyak_update(self.critic.parameters(), self.critic_target.parameters(), self.tau)

    def _entropy_weight(self, log_density: torch.Tensor | None) -> torch.Tensor:
        if self.log_ent_coef is None or self.ent_coef_optimizer is None:
            return self.ent_coef_tensor
        # As it was before its own update.
        weight = self.log_ent_coef.detach().exp()
        if log_density is not None:
            missing = (log_density[:, None] + float(self.target_entropy)).detach()
            loss = -(self.log_ent_coef * missing).mean()
            self.ent_coef_optimizer.zero_grad()
            loss.backward()
            self.ent_coef_optimizer.step()
        return weight

    def _update_critics(self, batch: ReplayBufferSamples, weight: torch.Tensor) -> None:
        with torch.no_grad():
            actions, log_density = self.actor.action_log_prob(batch.next_observations)
            values = torch.cat(self.critic_target(batch.next_observations, actions), dim=1)
            soft = values.amin(dim=1, keepdim=True) - weight * log_density[:, None]
            targets = batch.rewards + (1 - batch.dones) * self.gamma * soft
        estimates = self.critic(batch.observations, batch.actions)
        loss = 0.5 * torch.stack([mse_loss(estimate, targets) for estimate in estimates]).sum()
        self.critic.optimizer.zero_grad()
        loss.backward()
        self.critic.optimizer.step()
        self._keep(self.critic_losses, loss)

    def _update_actor(
        self,
        batch: ReplayBufferSamples,
        actions: torch.Tensor,
        log_density: torch.Tensor,
        weight: torch.Tensor,
    ) -> None:
        values = torch.cat(self.critic(batch.observations, actions), dim=1)
        loss = (weight * log_density[:, None] - values.amin(1, keepdim=True)).mean()
        self.actor.optimizer.zero_grad()
        loss.backward()
        self.actor.optimizer.step()
        self._keep(self.actor_losses, loss)

    def take_losses(self) -> tuple[float, float]:
        """Average the losses since the last time this was asked.

        Returns:
            The critics' and the actor's mean loss, NaN if there was no update.
        """
        means = _mean(self.critic_losses), _mean(self.actor_losses)
        self.critic_losses, self.actor_losses = [], []
        return means

    def _keep(self, losses: list[float], loss: torch.Tensor) -> None:
        losses.append(loss.item())
        # Otherwise the library fails a little later, and does not say why.
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"a loss is {losses[-1]}")


def _mean(losses: list[float]) -> float:
    return float(np.mean(losses)) if losses else np.nan
