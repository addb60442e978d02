"""Simulators as they are stepped on the host: one for each seed, their steps counted.

They are kept in a vector environment of Gymnasium's own, in this process or in one for each.
Everything that they do is done in a thread of its own, so that a simulator that hangs can be left
behind.
"""

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, final

import numpy as np
from jaxtyping import Bool, Float

from beeline.envs._simulator_error import SimulatorError

T = TypeVar("T")

_LOG = logging.getLogger("beeline")
_SLACK = 1e-4
"""Of a bound, relative: simulators compute in single precision."""
_MAKING = 60.0
"""Seconds that they are given to be made, at least: a process takes a while to start."""
_CLOSING = 5.0
"""Seconds that a simulator is given to close."""


class Stepped(NamedTuple):
    """What a step of every simulator gave."""

    after: Float[np.ndarray, "seed state"]
    """The states that the steps led to."""
    rewards: Float[np.ndarray, " seed"]
    terminated: Bool[np.ndarray, " seed"]
    truncated: Bool[np.ndarray, " seed"]
    states: Float[np.ndarray, "seed state"]
    """The states to act on next: starts, where episodes have ended."""


class Spaces(NamedTuple):
    """What a simulator takes and gives."""

    observation: Any
    """Its own space."""
    action: Any
    """A `Box`."""
    low: Float[np.ndarray, " state"]
    """The least of each entry of a state, which is the observation laid flat."""
    high: Float[np.ndarray, " state"]


@final
class Simulators:
    """Made when they are first stepped; made anew when one of them goes wrong.

    Attributes:
        name: What they are called in errors.
        spaces: What each takes and gives.
        count: How many there have to be; None for as many as there are seeds.
        constants: What they were made with.
        steps: Steps that each was asked for.
        failures: How often one went wrong.
    """

    def __init__(
        self,
        name: str,
        spaces: Spaces,
        make: Callable[[int], Any],
        *,
        constants: str = "",
        count: int | None = None,
        timeout: float = 60.0,
        patience: int = 3,
    ) -> None:
        """Set them up; nothing is made yet.

        Args:
            name: What they are called in errors.
            spaces: What each takes and gives.
            make: Makes a vector environment of so many, which resets in the step that ends.
            constants: What they were made with, to tell others of the same name apart.
            count: How many there have to be; None for as many as are asked for.
            timeout: Seconds that a step or a reset may take.
            patience: How often in a row one may go wrong.
        """
        self.name, self.spaces, self.count, self.constants = name, spaces, count, constants
        self.steps = self.failures = 0
        self._make, self._timeout, self._patience = make, timeout, patience
        self._vector: Any = None
        self._worker = _Worker()
        self._seeds: list[int] | None = None
        self._states = np.zeros((0, len(spaces.low)), np.float32)
        self._fresh = np.zeros(0, bool)
        self._warned = False
        self._in_a_row = 0

    @property
    def seeds(self) -> int:
        """Count them.

        Returns:
            How many were asked for.
        """
        return len(self._fresh)

    def connect(self, seeds: Sequence[int]) -> None:
        """Ask for one simulator for each seed.

        Args:
            seeds: What each is reset with for the first time.

        Raises:
            SimulatorError: If there are more or fewer.
        """
        if self.count not in (None, len(seeds)):
            raise SimulatorError(
                f"{self.name} has {self.count} simulators, and each seed learns from one, but "
                f"there are {len(seeds)} seeds: give seeds={self.count}"
            )
        if self._fresh.shape != (len(seeds),):
            self.close()
            self._fresh = np.zeros(len(seeds), bool)
        self._seeds = [int(seed) % 2**31 for seed in seeds]

    def close(self) -> None:
        """Let go of them; they are made anew when they are stepped again."""
        if self._vector is not None:
            vector, self._vector = self._vector, None
            with contextlib.suppress(Exception):
                self._worker.do(vector.close, _CLOSING)
        self._fresh[:] = False

    def persistently(self, play: Callable[[], T]) -> T:
        """Play again, with simulators made anew, whenever one goes wrong.

        Args:
            play: Steps them from a start on.

        Returns:
            What it returns.

        Raises:
            SimulatorError: If one goes wrong too often in a row.
        """
        while True:
            try:
                played = play()
            except SimulatorError as error:
                self.failures += 1
                self._in_a_row += 1
                self._abandon()
                if self._in_a_row >= self._patience:
                    raise SimulatorError(
                        f"{self.name} went wrong {self._in_a_row} times in a row, at last so: "
                        f"{error}"
                    ) from error
                _LOG.warning("%s: its episode is discarded, and it is made anew", error)
            else:
                self._in_a_row = 0
                return played

    def begin(self, where: Bool[np.ndarray, " seed"] | None = None) -> np.ndarray:
        """Begin episodes, where one was not begun by the step that ended the last.

        Args:
            where: In which simulators; in all if not given.

        Returns:
            The states to act on.
        """
        due = ~self._fresh if where is None else where & ~self._fresh
        if due.any():
            options = None if due.all() else {"reset_mask": due}
            seeds, self._seeds = self._seeds, None
            vector = self._made()
            observations, _ = self._ask(lambda: vector.reset(seed=seeds, options=options))
            self._states = self._flat(observations, "at a reset")
        self._fresh[:] = True
        return self._states

    def step(self, actions: Float[np.ndarray, "seed action"]) -> Stepped:
        """Step every simulator.

        Args:
            actions: Actions in [-1, 1].

        Returns:
            What they gave.

        Raises:
            SimulatorError: If one fails, takes too long, or gives what it may not.
        """
        box, vector = self.spaces.action, self._made()
        low, high = box.low.ravel(), box.high.ravel()
        given = np.clip(low + 0.5 * (actions + 1.0) * (high - low), low, high)
        given = given.reshape(len(actions), *box.shape).astype(box.dtype)
        self.steps += 1
        self._fresh[:] = False
        observations, rewards, terminated, truncated, told = self._ask(lambda: vector.step(given))
        rewards = np.asarray(rewards, np.float32)
        if not np.isfinite(rewards).all():
            raise SimulatorError(
                f"{self.name} gave a reward of {rewards[~np.isfinite(rewards)][0]}"
            )
        self._states = self._flat(observations, "after a step")
        over, after = terminated | truncated, self._states.copy()
        for seed in np.flatnonzero(over):
            after[seed] = self._flat_one(told["final_obs"][seed], "at the end of an episode")
        self._fresh |= over
        return Stepped(after, rewards, terminated, truncated & ~terminated, self._states)

    def _made(self) -> Any:
        if self._vector is None:
            count = len(self._fresh)
            seconds = max(self._timeout, _MAKING)
            self._vector = self._ask(lambda: self._make(count), seconds)
        return self._vector

    def _abandon(self) -> None:
        vector, self._vector = self._vector, None
        self._fresh[:] = False
        if vector is not None:
            # One that hangs holds up its thread, and a process of its own is to be ended.
            closing = {"terminate": True} if hasattr(vector, "processes") else {}
            with contextlib.suppress(Exception):
                _Worker().do(lambda: vector.close(**closing), _CLOSING)
        self._worker = _Worker()

    def _ask(self, call: Callable[[], T], seconds: float | None = None) -> T:
        seconds = self._timeout if seconds is None else seconds
        try:
            return self._worker.do(call, seconds)
        except SimulatorError:
            raise
        except TimeoutError:
            raise SimulatorError(f"{self.name} did not answer within {seconds:g} seconds") from None
        except Exception as error:
            why = (str(error).strip().splitlines() or [""])[0]
            raise SimulatorError(f"{self.name} failed ({type(error).__name__}: {why})") from error

    def _flat(self, observations: Any, when: str) -> Float[np.ndarray, "seed state"]:
        from gymnasium.vector.utils import batch_space, iterate

        space = batch_space(self.spaces.observation, len(self._fresh))
        each = [self._flat_one(one, when) for one in iterate(space, observations)]
        return np.stack(each)

    def _flat_one(self, observation: Any, when: str) -> Float[np.ndarray, " state"]:
        from gymnasium.spaces import flatten

        low, high = self.spaces.low, self.spaces.high
        state = np.asarray(flatten(self.spaces.observation, observation), np.float32).ravel()
        if state.shape != low.shape:
            raise SimulatorError(
                f"{self.name} gave an observation of {state.size} entries {when}, not {low.size}"
            )
        bad = np.flatnonzero(~np.isfinite(state))
        if bad.size:
            raise SimulatorError(
                f"{self.name} gave {state[bad[0]]} as entry {bad[0]} of an observation {when}"
            )
        slack = _SLACK * (1 + np.abs(state))
        beyond = np.flatnonzero((state < low - slack) | (state > high + slack))
        if beyond.size and not self._warned:
            self._warned = True
            entry = beyond[0]
            _LOG.warning(
                "%s gave %g as entry %d of an observation, outside of the space that it declares "
                "(%g to %g): it is taken as it is",
                *(self.name, state[entry], entry, low[entry], high[entry]),
            )
        return state


class _Worker:
    """A thread that does one thing after another."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, call: Callable[[], T], seconds: float) -> T:
        if self._thread is None:
            # A daemon, for a process has to end even where this thread does not.
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._asked.put(call)
        try:
            good, answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None
        if good:
            return answer
        raise answer

    def _work(self) -> None:
        while True:
            call = self._asked.get()
            try:
                answer = True, call()
            except Exception as error:
                answer = False, error
            self._answers.put(answer)
