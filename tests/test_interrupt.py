"""Control-C during a run returns what there is so far."""

import numpy as np
import pytest

import flowkit
from flowkit.flows import pair_setting, steppers

TEACHER = np.eye(4)[0]
W0 = 0.05 * np.random.default_rng(0).standard_normal((2, 4))


def interrupted(monkeypatch, call, **settings):
    """The run in which the `call`-th step is interrupted."""
    advance, calls = steppers.Structured.advance, []

    def stop(self, *arguments):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return advance(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(steppers, "CHUNK", 1)
        patch.setattr(steppers.Structured, "advance", stop)
        return flowkit.integrate(flowkit.TeacherStudent(TEACHER), W0, 1e6, **settings)


@pytest.fixture(scope="module", autouse=True)
def warm():
    pair_setting.warm_up()


@pytest.fixture(scope="module")
def whole():
    return flowkit.integrate(flowkit.TeacherStudent(TEACHER), W0, 1e6)


@pytest.mark.parametrize("call", [1, 2, 10, 30])
def test_a_partial_flow_agrees_with_the_whole(monkeypatch, whole, call):
    flow = interrupted(monkeypatch, call)
    assert flow.status == "interrupted"
    assert "interrupted" in flow.message
    assert flow.t[0] == 0
    assert flow.t[-1] < 1e6
    assert flow.loss == pytest.approx(whole.loss_at(flow.t), rel=1e-7, abs=0)
    assert flow.w.shape == (len(flow.t), 2, 4)
    assert flow.loss_error.shape == flow.t.shape


def test_a_partial_flow_knows_its_end(monkeypatch):
    flow = interrupted(monkeypatch, 20)
    assert flow.loss_at(flow.t[-1]) == flow.loss[-1]
    with pytest.raises(ValueError, match=r"^t: must lie in \[0"):
        flow(1e6)


def test_a_partial_flow_can_be_saved(monkeypatch, tmp_path):
    flow = interrupted(monkeypatch, 20)
    flow.save(tmp_path / "run.nc")
    other = flowkit.load(tmp_path / "run.nc")
    assert other.status == "interrupted"
    assert (other.loss == flow.loss).all()


def test_times_not_reached_are_left_out(monkeypatch, whole):
    flow = interrupted(monkeypatch, 20, t_eval=[0.0, 0.01, 1e6])
    assert flow.t.tolist() == [0.0, 0.01]
    assert flow.loss == pytest.approx(whole.loss_at([0.0, 0.01]), rel=1e-7, abs=0)


def test_no_time_reached(monkeypatch):
    flow = interrupted(monkeypatch, 20, t_eval=[1e6])
    assert flow.t.shape == (0,)
    assert flow.w.shape == (0, 2, 4)
    assert flow.loss.shape == (0,)
    assert "interrupted" in repr(flow)
    assert "interrupted" in flow._repr_html_()


def test_work_done_is_counted(monkeypatch):
    stats = interrupted(monkeypatch, 20).stats
    assert stats["steps"] > 0
    assert stats["nfev"] >= stats["steps"]
