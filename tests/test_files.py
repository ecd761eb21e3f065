"""Saved runs come back whole or not at all."""

import os
from pathlib import Path

import numpy as np
import pytest

import flowkit
from flowkit.flows import storage

LENGTHS = [0, 1, 3, 4, 100, 0.25, 0.5, 0.9, -8, -1]


@pytest.fixture(scope="module")
def flow():
    w0 = 0.1 * np.random.default_rng(0).standard_normal((4, 6))
    return flowkit.integrate(flowkit.TeacherStudent(np.eye(6)[0], "leaky:0.0"), w0, 1e3, rtol=1e-8)


@pytest.fixture(scope="module")
def saved(flow, tmp_path_factory):
    file = tmp_path_factory.mktemp("runs") / "run.nc"
    flow.save(file)
    return file


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def refused(file):
    with pytest.raises(ValueError) as caught:
        flowkit.load(file)
    message = str(caught.value)
    assert message.startswith("file: ")
    assert "\n" not in message
    return message


# ---- round trip ----------------------------------------------------------------------------------


def test_everything_comes_back(flow, saved):
    other = flowkit.load(saved)
    for name in ("t", "w", "loss", "loss_error", "local_slope", "w0", "gradient_norm"):
        assert np.array_equal(getattr(other, name), getattr(flow, name), equal_nan=True), name
    for name in ("events", "stats", "status", "message", "t_max", "rtol"):
        assert getattr(other, name) == getattr(flow, name), name
    assert repr(other.problem) == repr(flow.problem)
    assert other.to_dict() == flow.to_dict()
    assert flow.events


def test_dense_output_comes_back(flow, saved):
    other = flowkit.load(saved)
    times = np.array([0.0, 0.123, 5.0, 12.2, 12.3, 456.7, 1e3])
    assert (other(times) == flow(times)).all()
    assert (other.loss_at(times) == flow.loss_at(times)).all()
    assert (other.slope_at(times[1:]) == flow.slope_at(times[1:])).all()


def test_saving_again_gives_the_same_run(saved, tmp_path):
    other = flowkit.load(saved)
    other.save(tmp_path / "again.nc")
    assert flowkit.load(tmp_path / "again.nc").to_dict() == other.to_dict()


def test_exponential_run_with_equal_neurons(tmp_path):
    """Covers the linear chart, groups of equal neurons and several teachers."""
    for teacher in ([1.0, 0.5], [[1.0, 0.5], [-0.2, 0.4]]):
        problem = flowkit.TeacherStudent(teacher, flowkit.LeakyReLU(0.1))
        flow = flowkit.integrate(problem, [[0.1, 0.3]] * 3, 30.0, t_eval=[0.0, 1.0, 30.0])
        flow.save(str(tmp_path / "run.nc"))
        other = flowkit.load(str(tmp_path / "run.nc"))
        assert (other.t == flow.t).all()
        assert (other(17.3) == flow(17.3)).all()
        assert other.loss_at(17.3) == flow.loss_at(17.3)


def test_readable_without_flowkit(flow, saved):
    from scipy.io import netcdf_file

    with netcdf_file(str(saved), "r", mmap=False) as source:
        assert (source.variables["t"][...] == flow.t).all()
        assert (source.variables["loss"][...] == flow.loss).all()


# ---- unreadable ----------------------------------------------------------------------------------


def test_missing(tmp_path):
    assert "nothing.nc" in refused(tmp_path / "nothing.nc")


def test_folder(tmp_path):
    refused(tmp_path)


@pytest.mark.parametrize("length", LENGTHS)
def test_truncated(saved, tmp_path, length):
    data = saved.read_bytes()
    cut = int(length * len(data)) if 0 < length < 1 else length
    (tmp_path / "cut.nc").write_bytes(data[:cut])
    refused(tmp_path / "cut.nc")


def test_one_altered_byte_anywhere(saved, tmp_path):
    """Either refused, or (padding, say) the run is the same."""
    data, whole = saved.read_bytes(), flowkit.load(saved).to_dict()
    file = tmp_path / "altered.nc"
    header = range(0, 400, 7)
    body = np.random.default_rng(0).integers(400, len(data), 60)
    for position in [*header, *map(int, body)]:
        changed = bytearray(data)
        changed[position] ^= 0x15
        file.write_bytes(changed)
        try:
            other = flowkit.load(file)
        except ValueError as problem:
            assert str(problem).startswith("file: "), position
            assert "\n" not in str(problem), position
        else:
            assert other.to_dict() == whole, position


def test_an_altered_number_is_refused(flow, saved, tmp_path):
    data = saved.read_bytes()
    number = np.array(flow.loss[5], dtype=">f8").tobytes()
    position = data.index(number) + 7
    changed = bytearray(data)
    changed[position] ^= 1
    (tmp_path / "altered.nc").write_bytes(changed)
    refused(tmp_path / "altered.nc")


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"\x89HDF\r\n\x1a\n" + bytes(200), b"CDF\x01"]
)
def test_something_else(tmp_path, content):
    (tmp_path / "other.nc").write_bytes(content)
    refused(tmp_path / "other.nc")


def test_another_netcdf_file(tmp_path):
    from scipy.io import netcdf_file

    with netcdf_file(str(tmp_path / "other.nc"), "w") as target:
        target.createDimension("x", 3)
        target.createVariable("x", ">f8", ("x",))[...] = np.arange(3.0)
    refused(tmp_path / "other.nc")


# ---- atomic --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("existing", [True, False])
def test_a_save_that_breaks_leaves_no_trace(flow, saved, tmp_path, monkeypatch, error, existing):
    file = tmp_path / "run.nc"
    if existing:
        file.write_bytes(saved.read_bytes())

    def break_off(temporary, *_):
        Path(temporary).write_bytes(b"half")
        raise error

    monkeypatch.setattr(storage, "_write", break_off)
    with pytest.raises(type(error)):
        flow.save(file)
    assert names(tmp_path) == (["run.nc"] if existing else [])
    if existing:
        assert file.read_bytes() == saved.read_bytes()


def test_a_failing_move_leaves_no_trace(flow, tmp_path, monkeypatch):
    def fail(*_):
        raise PermissionError("no")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(PermissionError):
        flow.save(tmp_path / "run.nc")
    assert names(tmp_path) == []


def test_save_over_an_old_run(saved, tmp_path):
    file = tmp_path / "run.nc"
    file.write_bytes(b"old")
    flowkit.load(saved).save(file)
    assert flowkit.load(file).to_dict() == flowkit.load(saved).to_dict()
    assert names(tmp_path) == ["run.nc"]


def test_save_into_a_missing_folder(flow, tmp_path):
    with pytest.raises(ValueError, match=r"^file: .*missing") as caught:
        flow.save(tmp_path / "missing" / "run.nc")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_save_onto_a_folder(flow, tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(ValueError, match=r"^file: "):
        flow.save(tmp_path / "runs")
    assert names(tmp_path) == ["runs"]
