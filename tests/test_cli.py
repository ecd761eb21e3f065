"""The commands: results, exit codes, one-line errors, nothing half-written."""

import json
import subprocess
import sys

import numpy as np
import pytest

import flowkit
from flowkit.cli import main

TOY = [[0.3, 0.2], [0.3, -0.2]]


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / "w0.npy"
    np.save(file, TOY)
    return str(file)


def test_flow_json(weights, capsys):
    assert (
        main(
            ["flow", "--weights", weights, "--t-max", "1e6", "--times", "1,1e3,1e6", "--json", "-"]
        )
        == 0
    )
    data = json.loads(capsys.readouterr().out)
    flow = flowkit.integrate(flowkit.TeacherStudent([1.0, 0.0]), TOY, 1e6)
    assert data["t"] == [1.0, 1e3, 1e6]
    assert np.allclose(data["loss"], flow.loss_at([1.0, 1e3, 1e6]), rtol=1e-12)
    assert np.shape(data["w"]) == (3, 2, 2)
    assert data["status"] == "finished"
    assert data["events"] == []
    assert data["stats"]["steps"] > 0


def test_flow_random_start_and_event(capsys):
    arguments = [
        "flow",
        "--neurons",
        "4",
        "--dim",
        "6",
        "--sigma",
        "0.1",
        "--seed",
        "0",
        "--t-max",
        "20",
    ]
    assert main([*arguments, "--json", "-"]) == 0
    (event,) = json.loads(capsys.readouterr().out)["events"]
    assert (event["kind"], event["neuron"]) == ("zero-neuron", 2)


def test_flow_files_and_fit(weights, tmp_path, capsys):
    out, plot = tmp_path / "run.nc", tmp_path / "run.png"
    arguments = [
        "flow",
        "--weights",
        weights,
        "--t-max",
        "1e9",
        "--out",
        str(out),
        "--plot",
        str(plot),
    ]
    assert main(arguments) == 0
    assert "finished" in capsys.readouterr().out
    assert plot.read_bytes()[:4] == b"\x89PNG"
    assert main(["fit", str(out)]) == 0
    assert "power law" in capsys.readouterr().out
    assert main(["fit", str(out), "--quantity", "gradient_norm"]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.nc", "run.png", "w0.npy"]


def test_flow_teacher_and_leaky(weights, tmp_path, capsys):
    file = tmp_path / "v.npy"
    np.save(file, [0.0, 2.0])
    arguments = ["flow", "--weights", weights, "--teacher", str(file), "--activation", "leaky:0.5"]
    assert main([*arguments, "--t-max", "10", "--json", "-"]) == 0
    data = json.loads(capsys.readouterr().out)
    problem = flowkit.TeacherStudent([0.0, 2.0], activation=flowkit.LeakyReLU(0.5))
    assert data["loss"][-1] == pytest.approx(problem.loss(data["w"][-1]), rel=1e-9)


BAD = [
    ["flow", "--weights", "missing.npy", "--t-max", "1"],
    ["flow", "--t-max", "1"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "0"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "nan"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "one"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--rtol", "1e-20"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--sigma", "nan"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--sigma", "0"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--seed", "-1"],
    ["flow", "--neurons", "-2", "--dim", "2", "--t-max", "1"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--times", "1,b"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--times", "2"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--activation", "tanh"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--activation", "leaky:2"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--activation", "cubic"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--precision", "10"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--out", "no/such/folder/run.nc"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--json", "."],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--plot", "run.unknown"],
    ["flow", "--neurons", "0", "--dim", "2", "--t-max", "1"],
    ["flow", "--neurons", "2", "--dim", "2", "--t-max", "1", "--sigma", "-1"],
    ["flow", "--neurons", "999999999999", "--dim", "999999", "--t-max", "1"],
    ["fit", "missing.nc"],
    ["verify", "no/claim"],
    ["verify", "--profile", "slow"],
    ["verify", "--jobs", "0"],
    ["dance"],
    [],
]


@pytest.mark.parametrize("arguments", BAD, ids=lambda a: " ".join(a) or "nothing")
def test_bad_input_is_one_line(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("flowkit: ")
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_unreadable_weights(tmp_path, capsys):
    for content in (b"", b"not numpy", b"\x93NUMPY\x01\x00"):
        (tmp_path / "w.npy").write_bytes(content)
        assert main(["flow", "--weights", str(tmp_path / "w.npy"), "--t-max", "1"]) == 2
        assert capsys.readouterr().err.startswith("flowkit: --weights: ")


def test_interrupt_leaves_a_whole_file(weights, tmp_path, monkeypatch, capsys):
    """Ctrl-C in the middle of a run: what was reached is saved and loads."""
    from flowkit.flows import pair_setting, steppers

    pair_setting.warm_up()
    original, calls = steppers.Structured.advance, []

    def step(*arguments):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(steppers, "CHUNK", 1)
    monkeypatch.setattr(steppers.Structured, "advance", step)
    out = tmp_path / "run.nc"
    assert main(["flow", "--weights", weights, "--t-max", "1e9", "--out", str(out)]) == 130
    assert flowkit.load(out).status == "interrupted"
    assert "interrupted" in capsys.readouterr().out


def test_no_bar_in_a_pipe(weights):
    command = [sys.executable, "-m", "flowkit", "flow", "--weights", weights, "--t-max", "1e3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
