"""Datasets of Minari: by an object of its interface, and by Minari itself where that is there."""

import json
import types
from typing import Any, NamedTuple

import numpy as np
import pytest
from gymnasium import spaces

import beeline
from beeline.cli import main
from beeline.data import DataError, Episodes, read


class Logged(NamedTuple):
    """What Minari gives for an episode."""

    id: int
    observations: Any
    actions: Any
    rewards: Any
    terminations: Any
    truncations: Any


class Dataset:
    """As much of `minari.MinariDataset` as is used."""

    id = "tank/random-v0"

    def __init__(self, episodes, observation_space, action_space):
        self.episodes = episodes
        self.observation_space, self.action_space = observation_space, action_space
        self.total_episodes = len(episodes)
        self.total_steps = sum(len(episode.rewards) for episode in episodes)

    def iterate_episodes(self):
        return iter(self.episodes)


OBSERVED = spaces.Dict(
    {"x": spaces.Box(-9, 9, (2, 1), np.float32), "kind": spaces.Discrete(3), "a": spaces.Box(0, 9)}
)
ACTED = spaces.Box(-2, 4, (1,), np.float32)


def logged(number, steps, terminated, actions=None):
    rows = np.arange(steps + 1.0)
    seen = {
        "x": np.stack([rows, -rows], axis=1)[..., None].astype(np.float32),
        "kind": np.arange(steps + 1) % 3,
        "a": (rows[:, None] + number).astype(np.float32),
    }
    over = np.arange(1, steps + 1) == steps
    ends = (over, ~over & over) if terminated else (~over & over, over)
    done = np.linspace(-1, 1, steps)[:, None].astype(np.float32) if actions is None else actions
    return Logged(number, seen, done, np.arange(steps) * 0.5, *ends)


EPISODES = [logged(0, 3, True), logged(4, 5, False)]


def check(episodes):
    assert episodes.labels == ("0", "4")
    first, second = episodes
    assert (first.terminated, second.terminated) == (True, False)
    # Entries by name: a, kind as one of three, x.
    np.testing.assert_array_equal(first.states, [[i, *np.eye(3)[i % 3], i, -i] for i in range(4)])
    np.testing.assert_array_equal(second.states[:, 0], 4 + np.arange(6))
    np.testing.assert_array_equal(second.actions[:, 0], [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_array_equal(first.rewards, [0, 0.5, 1])
    assert (episodes.action_low, episodes.action_high) == ([-2.0], [4.0])


def test_episodes_are_those_logged():
    check(Episodes.from_minari(Dataset(EPISODES, OBSERVED, ACTED)))


def test_states_are_laid_flat_as_those_of_a_simulator():
    episodes = Episodes.from_minari(Dataset(EPISODES, OBSERVED, ACTED))
    for index, state in enumerate(episodes[0].states):
        one = {name: values[index] for name, values in EPISODES[0].observations.items()}
        np.testing.assert_array_equal(state, spaces.flatten(OBSERVED, one))


def test_bounds_are_those_given_or_of_the_data():
    given = Dataset(EPISODES, OBSERVED, ACTED)
    assert Episodes.from_minari(given, action_low=-3).action_low == [-3.0]
    endless = Dataset(EPISODES, OBSERVED, spaces.Box(-np.inf, np.inf, (1,)))
    assert Episodes.from_minari(endless).action_low == [-1.0]
    wide = Dataset([logged(0, 2, True, np.array([[0.0], [4.5]]))], OBSERVED, ACTED)
    with pytest.raises(DataError, match=r"minari:tank/random-v0: .* is 4.5, outside its bounds"):
        Episodes.from_minari(wide)


def with_gap():
    return logged(7, 3, True)._replace(terminations=np.array([True, False, True]))


def misshapen():
    return logged(7, 3, True)._replace(actions=np.zeros((4, 1)))


def of_nan():
    return logged(7, 3, True, np.array([[0.0], [np.nan], [1.0]]))


def without_names():
    return logged(7, 3, True)._replace(observations={})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Dataset(EPISODES, OBSERVED, spaces.Discrete(3)), "has actions of Discrete, but models"),
        (Dataset(EPISODES, spaces.Sequence(ACTED), ACTED), "observations of Sequence, which have"),
        (Dataset([with_gap()], OBSERVED, ACTED), "episode '7' terminates in step 0, but goes on"),
        (Dataset([misshapen()], OBSERVED, ACTED), r"shape \(4, 1\), where .* ask for \(3, 1\)"),
        (Dataset([of_nan()], OBSERVED, ACTED), "episode 7, step 1, column 'action 0' is nan"),
        (Dataset([], OBSERVED, ACTED), "there are no episodes"),
        (Dataset([without_names()], OBSERVED, ACTED), r"cannot be read \('a'\)"),
        (object(), "is no dataset: give a minari.MinariDataset"),
    ],
    ids=["discrete", "sequence", "gap", "shape", "nan", "none", "broken", "object"],
)
def test_what_cannot_be_learned_from_is_refused(given, said):
    with pytest.raises(DataError, match=said) as caught:
        Episodes.from_minari(given)
    assert "\n" not in str(caught.value)


def test_too_much_is_not_read():
    large = Dataset(EPISODES, OBSERVED, ACTED)
    large.total_steps = 2**27
    with pytest.raises(DataError, match="hand over a part of it, by its filter_episodes"):
        Episodes.from_minari(large)


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """As much of the package as is used, with a dataset described in its folder."""
    dataset = Dataset(EPISODES, OBSERVED, ACTED)
    package = types.ModuleType("minari")
    package.load_dataset = {"tank/random-v0": dataset}.__getitem__  # pyright: ignore
    root = types.ModuleType("minari.storage.datasets_root_dir")
    root.get_dataset_path = lambda name="": tmp_path / name  # pyright: ignore
    for module in (package, types.ModuleType("minari.storage"), root):
        monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    folder = tmp_path / "tank" / "random-v0" / "data"
    folder.mkdir(parents=True)
    described = {"observation_space": "{}", "action_space": "{}"}
    (folder / "metadata.json").write_text(json.dumps(described))
    return folder


def test_a_dataset_is_read_by_name(storage):
    check(read("minari:tank/random-v0"))
    check(Episodes.from_minari("tank/random-v0"))
    with pytest.raises(DataError, match="no columns are to be named"):
        read("minari:tank/random-v0", states=["x"])
    with pytest.raises(
        DataError, match=r"minari:tank/human-v0: is not in .*minari download tank/h"
    ):
        read("minari:tank/human-v0")
    # Without its spaces Minari would make what it names.
    (storage / "metadata.json").write_text('{"env_spec": "..."}')
    with pytest.raises(DataError, match="does not say its observation_space"):
        read("minari:tank/random-v0")
    (storage / "metadata.json").write_text("{")
    with pytest.raises(DataError, match=r"has a metadata.json that is truncated or not JSON"):
        read("minari:tank/random-v0")


def test_the_command_line_takes_it(storage, tmp_path, capsys):
    command = ["fit", "minari:tank/random-v0", "--model", "markov", "--window", "2"]
    out = tmp_path / "fit"
    assert main([*command, "--updates", "2", "--held-out", "0.5", "--out", str(out)]) == 0
    assert "2 episodes, 8 steps in all" in capsys.readouterr().out
    assert beeline.forecast.load(out).state_names[0] == "state 0"
    assert main(["fit", "minari:tank/human-v0"]) == 2
    assert "minari download tank/human-v0" in capsys.readouterr().err


def test_without_minari_what_to_do_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "minari", None)
    with pytest.raises(DataError, match=r"needs the package minari: pip install 'beeline\[data\]'"):
        read("minari:tank/random-v0")


# Minari warns of what its datasets should say of their authors.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("form", "reader"), [("hdf5", "h5py"), ("arrow", "pyarrow")])
def test_what_minari_writes_is_read(tmp_path, monkeypatch, form, reader):
    minari = pytest.importorskip("minari")
    pytest.importorskip(reader)
    from minari.data_collector.episode_buffer import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    buffers = [
        EpisodeBuffer(
            id=index,
            observations={name: list(x) for name, x in episode.observations.items()},
            actions=list(episode.actions),
            rewards=list(episode.rewards),
            terminations=list(episode.terminations),
            truncations=list(episode.truncations),
        )
        for index, episode in enumerate(EPISODES)
    ]
    minari.create_dataset_from_buffers(
        "tank/random-v0",
        buffers,
        observation_space=OBSERVED,
        action_space=ACTED,
        data_format=form,
    )
    found = Episodes.from_minari("tank/random-v0")
    expected = Episodes.from_minari(Dataset(EPISODES, OBSERVED, ACTED))
    for one, other in zip(found, expected, strict=True):
        for ours, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert found.action_high == [4.0]
