import pytest

from beeline.config import MODELS, preset
from benchmarks import exports
from benchmarks.cases import OPERATIONS
from benchmarks.operations import COUNTED, count


@pytest.mark.parametrize(
    "model", [name for name in MODELS if name.split("-")[0] in {*COUNTED, "markov"}]
)
def test_operations_are_counted(model):
    for operation in OPERATIONS:
        short, long = (
            count(preset("default", model=model, horizon=h, env_steps=9000), 2, 1, operation, 16)
            for h in (100, 1000)
        )
        # An iteration makes updates in proportion to its steps.
        linear = 100 if operation == "iteration" else 10
        assert 0.99 * linear * short < long < 3 * linear * short


def test_every_form_of_a_policy_is_timed(monkeypatch, capsys):
    monkeypatch.setattr(exports, "_ROUNDS", 1)
    exports.run("pendulum", horizon=10, batch=2)
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.endswith("| one state | of 2 states, each |")
    assert [row.split("|")[1].split()[0] for row in rows] == [
        "`policy.mode`",
        "NumPy",
        "StableHLO,",
        "ONNX,",
    ]
