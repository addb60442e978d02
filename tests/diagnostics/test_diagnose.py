"""Diagnoses of tasks and runs."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from beeline.build import build_model, build_policy
from beeline.config import Config
from beeline.diagnostics.diagnosis import TRUTH, measure
from beeline.envs import make
from beeline.examine import diagnose
from beeline.examine._subjects import of_environment, of_run


@pytest.mark.parametrize(
    "models", [["simulator"], pytest.param(["markov", "transformer-awm"], marks=pytest.mark.slow)]
)
def test_diagnosing_a_task(tmp_path, models):
    said = []
    report = diagnose(
        "one-bounce",
        models,
        [3],
        tmp_path,
        transitions=12,
        fit_steps=2,
        samples=2,
        points=5,
        say=said.append,
    )
    measured = report.diagnosis
    learned = set(models) - {"simulator"}
    assert set(measured.first_action_norms) == {TRUTH} | learned
    assert set(measured.alignments) == learned
    # The place and the speed two steps after a push: x = 0.01 v and v, with v = 10 (a - 2), then
    # one step of friction.
    expected = np.linalg.norm([0.1, 10 * 0.9])
    np.testing.assert_allclose(measured.first_action_norms[TRUTH][3], expected, rtol=1e-4)
    assert "growth-laws" not in report.tables
    assert measured.maps[TRUTH].total.shape == (2, 2)
    assert {f"H = 3: fitting {name}" for name in learned} <= set(said)
    assert measured.landscapes[0].returns[TRUTH].shape == (5,)


def test_all_models_see_the_same_draws():
    subject = of_environment(
        make("one-bounce", horizon=3),
        [],
        transitions=12,
        fit_steps=0,
        preset_name="default",
        key=jax.random.key(0),
        say=print,
    )
    truth = subject.models[TRUTH]
    twice = subject._replace(models={TRUTH: truth, "copy": truth})
    measured = measure({3: twice}, samples=2, points=5, key=jax.random.key(1))
    alignment = measured.alignments["copy"][3]
    np.testing.assert_allclose([alignment.cosine, alignment.norm_ratio], 1, rtol=1e-6)
    for landscape in measured.landscapes:
        np.testing.assert_array_equal(landscape.returns["copy"], landscape.returns[TRUTH])
        assert np.ptp(landscape.returns[TRUTH]) > 0


def a_run():
    config = Config(model="markov", horizon=6, env_steps=2000)
    env = make(config.task, horizon=6)
    return SimpleNamespace(
        config=config,
        env=env,
        model=build_model(config, env, key=jax.random.key(0)),
        policy=build_policy(config, env, key=jax.random.key(1)),
    )


def test_subjects_of_a_run():
    subjects = of_run(a_run(), (), (3, 6))
    assert set(subjects) == {3, 6}
    assert set(subjects[3].models) == {TRUTH, "markov"}
    with pytest.raises(ValueError, match="the run has a markov model, not rnn-awm"):
        of_run(a_run(), ("rnn-awm",), (3,))
    with pytest.raises(ValueError, match="horizon 7 is beyond the run's own 6"):
        of_run(a_run(), (), (7,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizons": []}, "no horizon was given"),
        ({"horizons": [1]}, "horizon is 1: give an integer of at least 2"),
        ({"models": ["markof"]}, "unknown model 'markof': did you mean 'markov'"),
        ({"transitions": 0}, "transitions is 0"),
        ({"fit_steps": -1}, "fit-steps is -1"),
        ({"samples": 1}, "samples is 1: give an integer of at least 2"),
        ({"points": 1}, "points is 1"),
        ({"subject": "one-bonce"}, "unknown task 'one-bonce'"),
        ({"preset_name": "papr"}, "unknown preset 'papr'"),
        ({"horizons": [3, 2]}, "horizon is 2, but one-bounce takes at least 3"),
        ({"seed": 2**32}, "seed is 4294967296: give an integer from 0 to 4294967295"),
        ({"seed": -1}, "seed is -1: give an integer from 0"),
    ],
)
def test_refusals(tmp_path, change, message, monkeypatch):
    # Before any work.
    monkeypatch.delattr("beeline.examine._diagnose.of_environment")
    given = {"subject": "one-bounce", "models": [], "horizons": [3], "out": tmp_path / "out"}
    with pytest.raises(ValueError, match=message):
        diagnose(**(given | change))
    assert not (tmp_path / "out").exists()


def test_a_directory_that_cannot_be_made_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.delattr("beeline.examine._diagnose.of_environment")
    (tmp_path / "file").touch()
    for out in ("file", "file/below/it"):
        with pytest.raises(ValueError, match=r"file is a file: name a directory with --out"):
            diagnose("one-bounce", [], [3], tmp_path / out)
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    with pytest.raises(ValueError, match=f"cannot write to {tmp_path}: name another"):
        diagnose("one-bounce", [], [3], tmp_path / "new" / "folder")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
