"""The reader of exported arrays: NumPy alone, and one line for a file that holds no policy."""

import io
import json
import shutil
import subprocess
import sys
import tracemalloc
import zipfile

import jax
import numpy as np
import pytest

from beeline.envs import make
from beeline.export import NumpyPolicy, PolicyFileError, export_policy, load_numpy, numpy_policy
from beeline.policies import SquashedGaussian
from tests.networks import drawn

STATE = np.array([0.3, -0.4, 2.0], np.float32)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    policy = drawn(SquashedGaussian, 3, 1, 20, hidden_sizes=(4,), frequencies=1)
    folder = tmp_path_factory.mktemp("policies")
    return export_policy(policy, make("pendulum", horizon=20), folder / "policy.npz")


@pytest.fixture
def members(file):
    """What is in the file, by name."""
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy(array, **options):
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asarray(array), **options)
    return content.getvalue()


def with_metadata(members, change):
    told = json.loads(np.load(io.BytesIO(members["metadata.npy"])).tobytes())
    change(told)
    text = np.frombuffer(json.dumps(told).encode(), np.uint8)
    return members | {"metadata.npy": npy(text)}


def refused(path):
    with pytest.raises(PolicyFileError) as refusal:
        load_numpy(path)
    message = str(refusal.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_it_runs_where_there_is_numpy_alone(file, tmp_path):
    shutil.copy(numpy_policy.__file__, tmp_path)
    code = (
        "import sys\n"
        "from numpy_policy import load\n"
        f"action = load({str(file)!r})({STATE.tolist()}, 7)\n"
        "others = {'jax', 'beeline', 'equinox', 'scipy'} & set(sys.modules)\n"
        "assert not others, others\n"
        "print(float(action[0]))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    (action,) = load_numpy(file)(STATE, 7)
    assert float(done.stdout) == action
    policy = drawn(SquashedGaussian, 3, 1, 20, hidden_sizes=(4,), frequencies=1)
    (right,) = make("pendulum", horizon=20).physical_action(jax.jit(policy.mode)(STATE, 7))
    assert action == pytest.approx(float(right), abs=1e-5)


def test_states_have_any_leading_axes(file):
    policy = load_numpy(file)
    states, t = np.tile(STATE, (2, 4, 1)), np.arange(8).reshape(2, 4)
    together = policy(states, t)
    assert together.shape == (2, 4, 1)
    for place in np.ndindex(2, 4):
        np.testing.assert_allclose(policy(STATE, t[place]), together[place], rtol=1e-5)
    np.testing.assert_allclose(policy(states, 3)[1, 2], policy(STATE, 3), rtol=1e-5)


def test_inputs_that_do_not_fit_are_refused(file):
    policy = load_numpy(file)
    with pytest.raises(ValueError, match=r"the state has shape \(2,\): its last axis must be 3"):
        policy(STATE[:2], 0)
    with pytest.raises(ValueError, match="give the index of the step too"):
        policy(STATE)


def test_files_that_are_none_are_refused(tmp_path):
    assert "there is no file" in refused(tmp_path / "missing.npz")
    assert "there is no file" in refused(tmp_path)
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    assert "File is not a zip file" in refused(text)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "large.npz"
    with path.open("wb") as file:
        file.truncate(2**34)
    tracemalloc.start()
    assert "larger than 67108864 bytes" in refused(path)
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()


def test_members_that_could_grow_are_not_unpacked(members, tmp_path):
    packed = write(tmp_path / "packed.npz", members, zipfile.ZIP_DEFLATED)
    assert "its members are compressed" in refused(packed)
    huge = npy(np.zeros(4, np.float32)).replace(b"(4,), }      ", b"(4000000,), }")
    assert b"4000000" in huge
    forged = write(tmp_path / "forged.npz", members | {"mean.npy": huge})
    assert "an array of shape (4000000,) has 16 bytes" in refused(forged)


def test_nothing_is_unpickled(members, tmp_path):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("it was unpickled",)

    pickled = npy(np.array([Bomb()], object), allow_pickle=True)
    path = write(tmp_path / "pickled.npz", members | {"mean.npy": pickled})
    assert "of type object, not float32" in refused(path)


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("mean", np.zeros(5, np.float32), r"mean is float32 (5,), not (6,)"),
        ("scale", np.zeros(6, np.float32), "scale is not above 0"),
        ("weight_0", np.full((6, 4), np.nan, np.float32), "weight_0 is not finite"),
        ("weight_1", np.zeros((5, 1), np.float32), r"weight_1 is float32 (5, 1), not (4, 1)"),
        ("bias_1", np.zeros(2, np.float32), "not (4, 2)"),
        ("low", np.zeros(1), "of type float64, not float32"),
        ("extra", np.zeros(1, np.float32), "it does not have the arrays"),
    ],
)
def test_arrays_that_do_not_fit_are_named(members, name, array, said, tmp_path):
    assert said in refused(write(tmp_path / "wrong.npz", members | {f"{name}.npy": npy(array)}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told.update(format="other"), "not of the format beeline-policy"),
        (lambda told: told.update(schema=3), "its schema is 3, and this reads 2"),
        (lambda told: told.update(horizon=0), "horizon is 0"),
        (lambda told: told.update(state=[]), "no list 'state' of entries"),
        (lambda told: told["formula"].update(squash="sigmoid"), "squash is 'sigmoid'"),
        (lambda told: told["formula"].update(squash=[]), "squash is []"),
        (lambda told: told["formula"].update(frequencies=10**9), "frequencies is 1000000000"),
        (lambda told: told["formula"].update(layers=10**9), "layers is 1000000000"),
        (lambda told: told["formula"].update(mean_bound=float("inf")), "mean_bound is inf"),
        (lambda told: told["formula"].pop("limit"), "does not have the entries"),
        (lambda told: told["formula"].update(more=3), "does not have the entries"),
        (lambda told: told["formula"].update(modes=10**9), "modes is 1000000000"),
        (lambda told: told["formula"].update(modes=1), "bias_1, centre, directions, high"),
    ],
)
def test_metadata_that_means_nothing_is_named(members, change, said, tmp_path):
    assert said in refused(write(tmp_path / "wrong.npz", with_metadata(members, change)))


def test_no_damage_ends_in_another_error(file, tmp_path):
    content, generator = file.read_bytes(), np.random.default_rng(0)
    path, read = tmp_path / "damaged.npz", 0
    for _ in range(300):
        damaged = bytearray(content[: generator.integers(1, len(content) + 1)])
        damaged[generator.integers(len(damaged))] ^= 1 << generator.integers(8)
        path.write_bytes(damaged)
        try:
            assert isinstance(load_numpy(path), NumpyPolicy)
            read += 1
        except PolicyFileError:
            refused(path)
    # Bytes between members belong to none, and members carry checksums.
    assert read < 30
