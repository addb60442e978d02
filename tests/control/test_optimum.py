"""Reference optima: known values, a closed form, replay and the cache."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs
from beeline.control import _optimum_store, optimum, solve_optimum
from beeline.control._rollout import Player
from beeline.storage.cache import cache_directory

# Found by three methods that agree to 1.2e-6: multi-start shooting, IPOPT and dynamic programming.
KNOWN = {
    "cancer-treatment": {20: -19.640479, 100: -20.525337, 500: -20.564157},
    "bioreactor": {20: 1.3961108, 100: 1.3882321, 500: 1.3866809},
    "mould-fungicide": {20: -84.158193, 100: -85.182472, 500: -85.321714},
    "bacteria": {20: 2.9542431, 100: 3.3371499, 500: 3.4412787},
    "harvest": {20: 6.0644399, 100: 6.4157464, 500: 6.4893108},
    "invasive-plant": {20: -10.520808, 100: -11.650358, 500: -11.818189},
    # At 20 steps this task is a knife edge, which only transcription gets right.
    "hiv-treatment": {20: 823.48674, 100: 823.26248, 500: 823.16124},
    "timber-harvest": {20: 3552.7137, 100: 4956.1441, 500: 5352.4117},
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("BEELINE_CACHE", str(folder))
    return folder


@pytest.fixture
def env():
    return envs.make("timber-harvest", horizon=5)


@pytest.fixture
def searches(monkeypatch):
    """Count the searches, which a hit in the cache saves, and answer them at no cost."""
    count = []

    def counting(env, replay, starts, constraints):
        count.append(starts)
        return np.random.default_rng(0).uniform(-1, 1, (starts + 2, env.horizon, env.action_dim))

    monkeypatch.setattr(optimum, "_search", counting)
    return count


def reaches_known(name, horizon, starts):
    found = solve_optimum(envs.make(name, horizon=horizon), starts=starts, cache=False)
    known = KNOWN[name][horizon]
    assert known - 1e-7 * abs(known) <= found.return_ <= known + 1e-5 * abs(known)
    assert found.starts.shape == (starts,)
    assert max(found.starts[0], found.transcriptions[0]) == found.return_
    for returns in (found.starts, found.transcriptions):
        assert np.all(np.diff(returns) <= 0)
    if (name, horizon) != ("hiv-treatment", 20):
        assert found.agreement == 1.0
        assert abs(found.difference) <= 1e-6


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_reaches_the_known_optimum(name):
    reaches_known(name, horizon=20, starts=6)


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [20, 100, 500])
@pytest.mark.parametrize("name", sorted(KNOWN))
def test_reaches_the_known_optimum_from_all_starts(name, horizon):
    reaches_known(name, horizon, 20)


@pytest.mark.parametrize("horizon", [2, 13, 60])
def test_timber_agrees_with_its_closed_form(horizon):
    found = solve_optimum(envs.make("timber-harvest", horizon=horizon), cache=False)
    # Re-invest everything for n steps, then nothing: the best n is found by trying them all.
    dt = 5 / horizon
    best = max(100 * dt * (1 + dt) ** n * (horizon - n) for n in range(horizon))
    assert found.return_ == pytest.approx(best, rel=1e-8)


def test_a_greedy_plan_is_found_where_the_plan_does_not_matter():
    # Two steps of the bacteria task leave only the first to choose: -u²/2 + x(u) at the second.
    found = solve_optimum(envs.make("bacteria", horizon=2), cache=False)
    u = np.linspace(0, 2, 2_000_001)
    x = np.clip(1 + 0.5 * (1 + u - 12 * u**2 * np.exp(-1)), 0, 10)
    assert found.return_ == pytest.approx(np.max(x - u**2 / 2), abs=1e-9)
    assert found.actions[1] == pytest.approx([-1.0], abs=1e-6)


@pytest.mark.parametrize("name", ["invasive-plant", "hiv-treatment"])
def test_the_plan_from_disk_replays_to_its_states_and_return(name):
    env = envs.make(name, horizon=20)
    solve_optimum(env, starts=4)
    found = solve_optimum(env, starts=4)
    assert np.all(np.abs(found.actions) <= 1.0)
    with jax.enable_x64(True):
        step, reward = jax.jit(env.step), jax.jit(env.reward)
        state, total = env.initial_state(), 0.0
        for t, action in enumerate(found.actions):
            np.testing.assert_allclose(state, found.states[t], rtol=1e-5, atol=1e-9)
            total += float(reward(state, jnp.asarray(action), t))
            state = step(state, jnp.asarray(action), t)
    np.testing.assert_allclose(state, found.states[-1], rtol=1e-5, atol=1e-9)
    assert total == pytest.approx(found.return_, rel=1e-6)


def test_precision_outside_is_left_alone(env):
    solve_optimum(env, starts=1, cache=False)
    assert jnp.ones(()).dtype == jnp.float32


def test_the_same_optimum_every_time(env):
    first, second = (solve_optimum(env, cache=False) for _ in range(2))
    np.testing.assert_array_equal(first.actions, second.actions)
    np.testing.assert_array_equal(first.starts, second.starts)


def test_agreement_counts_the_starts_that_met():
    found = optimum.Optimum(
        actions=np.zeros((2, 1)),
        states=np.zeros((3, 1)),
        return_=100.0,
        starts=np.array([100.0, 99.9995, 99.0, -np.inf]),
    )
    assert found.agreement == 0.5
    assert found.difference == -np.inf


def test_the_two_kinds_of_search_are_compared_by_their_best():
    found = optimum.Optimum(
        actions=np.zeros((2, 1)),
        states=np.zeros((3, 1)),
        return_=-98.0,
        starts=np.array([-98.0, -120.0]),
        transcriptions=np.array([-99.96, -100.0]),
    )
    assert found.difference == pytest.approx(-0.02)


def test_wrong_arguments(env):
    with pytest.raises(ValueError, match="starts must be at least 1, got 0"):
        solve_optimum(env, starts=0)
    with pytest.raises(TypeError, match="starts must be an integer of at least 1, got True"):
        solve_optimum(env, starts=True)
    noisy = envs.make("harvest", horizon=5, process_noise=0.1)
    with pytest.raises(
        ValueError, match=r"harvest starts or moves by chance, .* without process noise"
    ):
        solve_optimum(noisy)


def test_a_hit_saves_the_search(env, searches, cache):
    first, second = solve_optimum(env), solve_optimum(env)
    assert len(searches) == 1
    assert len(list(cache.iterdir())) == 1
    np.testing.assert_array_equal(first.actions, second.actions)
    np.testing.assert_array_equal(first.states, second.states)
    np.testing.assert_array_equal(first.starts, second.starts)
    assert first.return_ == second.return_


def test_without_the_cache_nothing_is_read_or_written(env, searches, cache):
    solve_optimum(env, cache=False)
    solve_optimum(env, cache=False)
    assert len(searches) == 2
    assert not cache.exists()


def test_a_changed_task_is_solved_anew(env, searches):
    changed = [
        envs.make("timber-harvest", horizon=6),
        envs.make("timber-harvest", horizon=5, k=1.0 + 1e-12),
        envs.make("timber-harvest", horizon=5, r=0.1),
        envs.make("timber-harvest", horizon=5, x_0=(101.0,)),
        envs.make("timber-harvest", horizon=5, duration=4.0),
        envs.make("timber-harvest", horizon=5, state_bounds=((0.0, 300.0),)),
        envs.make("timber-harvest", horizon=5, control_bounds=((0.0, 0.9),)),
    ]
    for task in [env, *changed]:
        solve_optimum(task, starts=2)
    solve_optimum(env, starts=3)
    assert len(searches) == len(changed) + 2


def npz_of_wrong_shape(path):
    forge(path, plans=np.zeros((22, 4, 1)))


def npz_of_objects(path):
    forge(path, plans=np.array([{"never": "run"}], dtype=object))


def npz_without_entries(path):
    np.savez(path, other=np.zeros(3))


def forge(path, **fields):
    """Overwrite fields of an entry, by values or by what a function makes of the old ones."""
    with np.load(path) as archive:
        arrays = dict(archive)
    changed = {name: new(arrays[name]) if callable(new) else new for name, new in fields.items()}
    np.savez(path, **(arrays | changed))


def is_solved_anew_and_mended(env, searches, cache, damage):
    first = solve_optimum(env)
    (path,) = cache.iterdir()
    damage(path)
    found = solve_optimum(env)
    assert len(searches) == 2
    assert solve_optimum(env).return_ == first.return_
    assert len(searches) == 2
    assert list(cache.iterdir()) == [path]
    for name, value in vars(first).items():
        np.testing.assert_array_equal(getattr(found, name), value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not an archive"),
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        npz_of_wrong_shape,
        npz_of_objects,
        npz_without_entries,
    ],
)
def test_a_damaged_entry_is_solved_anew_and_mended(env, searches, cache, damage):
    is_solved_anew_and_mended(env, searches, cache, damage)


@pytest.mark.parametrize(
    "fields",
    [
        {"return_": np.float64(1e6)},
        {"return_": np.float64(np.inf)},
        {"return_": np.float64(np.nan)},
        {"return_": lambda old: old + 1e-3},
        {"return_": lambda old: old.astype(np.float32)},
        {"states": lambda old: old + 1.0},
        {"states": lambda old: old[::-1]},
        {"actions": lambda old: -old},
        {"actions": lambda old: 0.5 * old},
        {"actions": lambda old: 3.0 * old},
        {"starts": lambda old: old + 1e6},
        {"starts": lambda old: np.full_like(old, old[0])},
        {"starts": lambda old: old[:-1]},
        {"transcriptions": lambda old: old + 1.0},
        {"transcriptions": lambda old: old[:0]},
        {"plans": lambda old: old[::-1]},
        {"plans": lambda old: 3.0 * old},
        {"plans": lambda old: old * np.nan},
        {"plans": lambda old: old[:0]},
        {"plans": lambda old: np.tile(old, (3, 1, 1))},
        {"more": np.zeros(1)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_forged_entry_is_solved_anew_and_mended(env, searches, cache, fields):
    is_solved_anew_and_mended(env, searches, cache, lambda path: forge(path, **fields))


def test_a_forged_return_with_plans_out_of_bounds_is_not_believed(env, searches, cache):
    # Everything in the entry fits together, but for the bounds of the actions.
    first = solve_optimum(env)
    (path,) = cache.iterdir()
    with jax.enable_x64(True):
        with np.load(path) as archive:
            plans = 3.0 * archive["plans"]
        _optimum_store.save(path, _optimum_store.replayed(Player(env), plans, 20))
    assert solve_optimum(env).return_ == first.return_
    assert len(searches) == 2


def test_a_cache_that_cannot_be_written_is_no_error(env, searches, cache):
    cache.write_text("a file where the folder should be")
    assert solve_optimum(env).return_ > 0
    assert len(searches) == 1


def test_a_failed_write_leaves_nothing_behind(env, searches, cache, monkeypatch):
    def refuse(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", refuse)
    assert solve_optimum(env).return_ > 0
    assert list(cache.iterdir()) == []
    assert len(searches) == 1


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_directory() == tmp_path / "cache"
    monkeypatch.delenv("BEELINE_CACHE")
    assert cache_directory() == tmp_path / "shared" / "beeline"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_directory() == tmp_path / "home" / ".cache" / "beeline"
