"""Where a run stops before t_max, what it finds on the way, and how it goes on."""

import numpy as np
import pytest

import flowkit
from flowkit import TeacherStudent, integrate

PROBLEM = TeacherStudent([2.0, 0.0])
V = 2.0
H0 = 0.1
START = [[H0 * V, 0.0]]
LINE = {"problem": PROBLEM, "w0": START, "t_max": 100.0}
PLANE = TeacherStudent([1.0, 0.0])
TOY = [[0.3, 0.2], [0.3, -0.2]]


def height(t):
    """One student w = h v: h = 1 − (1 − h₀) e^{−t/2}, L = ¼ (1 − h)² ‖v‖², ‖∇L‖ = ½ (1 − h) ‖v‖."""
    return 1 - (1 - H0) * np.exp(-np.asarray(t) / 2)


def passing(h):
    """When h is reached."""
    return 2 * np.log((1 - H0) / (1 - h))


def event(function, **attributes):
    for name, value in attributes.items():
        setattr(function, name, value)
    return function


def reaches(h):
    return lambda t, w: w[0, 0] / V - h


def times_of(flow):
    return [found.t for found in flow.events]


@pytest.mark.parametrize("h", [0.2, 0.5, 0.9, 0.999999])
def test_event_is_located(h):
    flow = integrate(**LINE, events=reaches(h))
    (found,) = flow.events
    assert found.neuron is None
    assert found.t == pytest.approx(passing(h), rel=1e-9 / (1 - h) ** 0.5, abs=0)
    assert flow.status == "finished" and flow.t[-1] == 100.0


def test_event_sees_the_users_students():
    """Time and shape are as given, in the user's units and order, at every call."""
    seen = []

    def watch(t, w):
        seen.append((t, w.copy()))
        return 1.0

    rng = np.random.default_rng(0)
    w0 = 50 * rng.standard_normal((3, 5))
    w0[2] = w0[0]
    flow = integrate(TeacherStudent(70 * rng.standard_normal(5)), w0, 10.0, events=[watch])
    assert flow.events == []
    np.testing.assert_allclose(seen[0][1], w0, rtol=1e-12)
    for t, w in seen[:: max(1, len(seen) // 5)]:
        np.testing.assert_allclose(w, flow(t), rtol=1e-9, atol=1e-9)


def test_several_events_come_in_order_with_their_names():
    def late(t, w):
        return w[0, 0] / V - 0.8

    def early(t, w):
        return 0.3 - w[0, 0] / V

    flow = integrate(**LINE, events=[late, early, lambda t, w: t - 2.0])
    assert times_of(flow) == pytest.approx(sorted([passing(0.3), 2.0, passing(0.8)]), rel=1e-9)
    assert [found.kind for found in flow.events] == ["early", "event 2", "late"]


@pytest.mark.parametrize("direction", [-1, 0, 1])
@pytest.mark.parametrize("sign", [-1, 1])
def test_direction(direction, sign):
    """h − ½ rises: found for direction ≥ 0; ½ − h falls: for ≤ 0."""
    function = event(lambda t, w: sign * (w[0, 0] / V - 0.5), direction=direction)
    flow = integrate(**LINE, events=function)
    wanted = direction * sign >= 0
    assert times_of(flow) == (pytest.approx([passing(0.5)], rel=1e-9) if wanted else [])


@pytest.mark.parametrize("direction, found", [(0, [0.3, 0.9999]), (1, [0.9999]), (-1, [0.3])])
def test_direction_as_in_scipy(direction, found):
    """A function that falls through zero and comes back; SciPy finds the same zeros."""
    from scipy.integrate import solve_ivp

    def h(w):
        return w / V

    def twice(t, w):
        x = float(np.ravel(w)[0]) / V
        return (x - 0.3) * (x - 0.9999)

    twice.direction = direction
    flow = integrate(**LINE, events=twice)
    ours, exact = times_of(flow), [passing(x) for x in found]
    assert ours == pytest.approx(exact, rel=1e-9)
    theirs = solve_ivp(
        lambda t, w: 0.5 * (V - w), (0, 100), [H0 * V], events=twice, rtol=1e-10, atol=1e-12
    )
    assert ours == pytest.approx(list(theirs.t_events[0]), rel=1e-5)


def test_terminal_event_ends_the_run():
    stop = event(reaches(0.9), terminal=True)
    flow = integrate(**LINE, events=stop)
    assert flow.status == "event"
    assert "t = " in flow.message
    assert flow.t[-1] == flow.events[-1].t == pytest.approx(passing(0.9), rel=1e-9)
    assert flow.loss[-1] == pytest.approx(0.25 * 0.01 * V**2, rel=1e-9, abs=0)
    assert flow.w[-1, 0, 0] == pytest.approx(0.9 * V, rel=1e-9)
    with pytest.raises(ValueError, match=r"^t: "):
        flow(flow.t[-1] * 1.01)


def test_nothing_after_a_terminal_event_is_reported():
    """Two events in the same step: the later one did not happen."""
    first, second = event(reaches(0.5), terminal=True), reaches(0.5001)
    flow = integrate(**LINE, events=[second, first])
    assert times_of(flow) == [pytest.approx(passing(0.5), rel=1e-9)]


def test_terminal_count():
    """As in SciPy, an integer is how many occurrences end the run."""
    twice = event(lambda t, w: (w[0, 0] / V - 0.3) * (w[0, 0] / V - 0.9999), terminal=2)
    flow = integrate(**LINE, events=twice)
    assert flow.status == "event"
    assert times_of(flow) == pytest.approx([passing(0.3), passing(0.9999)], rel=1e-9)


@pytest.mark.parametrize("t", [1e-9, 1.0, 7.0, 1e30])
def test_event_in_time_alone(t):
    flow = integrate(PLANE, TOY, 1e40, events=event(lambda s, w: s - t, terminal=True))
    assert flow.t[-1] == pytest.approx(t, rel=1e-12, abs=0)


@pytest.mark.parametrize("method", ["Radau", "BDF", "LSODA"])
def test_event_with_other_methods(method):
    stop = event(reaches(0.9), terminal=True)
    flow = integrate(**LINE, events=stop, method=method, rtol=1e-9)
    assert flow.status == "event"
    assert flow.t[-1] == pytest.approx(passing(0.9), rel=1e-7)


BAD_EVENTS = {
    "number": 3,
    "entry": [reaches(0.5), 3],
    "text": "loss",
    "no number": lambda t, w: "x",
    "an array": lambda t, w: w,
    "nothing": lambda t, w: None,
    "one argument": lambda t: t,
}


@pytest.mark.parametrize("case", BAD_EVENTS)
def test_bad_events(case):
    with pytest.raises(ValueError, match=r"^events: "):
        integrate(PLANE, TOY, 10.0, events=BAD_EVENTS[case])


@pytest.mark.parametrize("value", [0.5, 1e-3, 1e-12, 1e-100, 1e-290])
def test_stop_loss(value):
    flow = integrate(PROBLEM, START, 1e4, stop_loss=value)
    assert flow.status == "loss reached"
    assert flow.loss[-1] == pytest.approx(value, rel=1e-9, abs=0)
    exact = np.log(0.25 * (1 - H0) ** 2 * V**2 / value)
    assert flow.t[-1] == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("value", [0.5, 1e-3, 1e-12, 1e-100, 1e-140, 1e-200])
def test_stop_gradient(value):
    flow = integrate(PROBLEM, START, 1e4, stop_gradient=value)
    assert flow.status == "gradient reached"
    assert flow.gradient_norm[-1] == pytest.approx(value, rel=1e-9, abs=0)
    assert flow.t[-1] == pytest.approx(2 * np.log(0.5 * (1 - H0) * V / value), rel=1e-9)


@pytest.mark.parametrize("value", [1e-6, 1e-60, 1e-250])
def test_stop_loss_on_the_slow_manifold(value):
    """L → π²/6 t⁻³: the time, too, is known."""
    flow = integrate(PLANE, TOY, 1e100, stop_loss=value)
    assert flow.status == "loss reached"
    assert flow.loss[-1] == pytest.approx(value, rel=1e-9, abs=0)
    tolerance = 1e-9 if value < 1e-50 else 0.5
    assert flow.t[-1] == pytest.approx((np.pi**2 / 6 / value) ** (1 / 3), rel=tolerance)


@pytest.mark.parametrize("value", [1e-6, 1e-60, 1e-150, 1e-190])
def test_stop_gradient_on_the_slow_manifold(value):
    """‖∇L‖ = √(−dL/dt) → π/√2 t⁻²."""
    flow = integrate(PLANE, TOY, 1e100, stop_gradient=value)
    assert flow.status == "gradient reached"
    assert flow.gradient_norm[-1] == pytest.approx(value, rel=1e-9, abs=0)
    tolerance = 1e-9 if value < 1e-50 else 0.5
    assert flow.t[-1] == pytest.approx((np.pi / np.sqrt(2) / value) ** 0.5, rel=tolerance)


@pytest.mark.parametrize("name", ["stop_loss", "stop_gradient"])
def test_a_stop_that_is_never_reached(name):
    flow = integrate(PLANE, TOY, 100.0, **{name: 1e-200})
    assert flow.status == "finished" and flow.t[-1] == 100.0


@pytest.fixture(scope="module")
def whole():
    return integrate(PLANE, TOY, 1e100, rtol=1e-11)


def check_partial(flow, whole):
    """Usable: every query works, and what was reached is right."""
    assert 0 < flow.t[-1] < 1e100
    truth = whole.loss_at(flow.t)
    assert np.abs(flow.loss / truth - 1).max() <= 1e-8
    middle = 0.5 * flow.t[-1]
    assert flow.loss_at(middle) == pytest.approx(whole.loss_at(middle), rel=1e-8, abs=0)
    assert flow(middle).shape == (2, 2)
    assert flow.loss_error.max() <= 1e-7
    assert flow.status in repr(flow)


@pytest.mark.parametrize("steps", [1, 5, 63, 64, 65, 150])
def test_step_limit(steps, whole):
    flow = integrate(PLANE, TOY, 1e100, max_steps=steps)
    assert flow.status == "step limit"
    assert flow.stats["steps"] == steps
    check_partial(flow, whole)


def test_time_limit(whole):
    flow = integrate(PLANE, TOY, 1e100, max_seconds=1e-6)
    assert flow.status == "time limit"
    check_partial(flow, whole)


LATER = np.logspace(-2, 30, 20)


def test_resume_is_the_uninterrupted_run(tmp_path, whole):
    file = tmp_path / "run.nc"
    part = integrate(PLANE, TOY, 1e100, max_steps=40, checkpoint=file)
    assert part.status == "step limit" and file.exists()
    flow = flowkit.resume(file)
    assert flow.status == "finished" and flow.t[-1] == 1e100
    assert np.abs(flow.loss_at(LATER) / whole.loss_at(LATER) - 1).max() <= 1e-8
    np.testing.assert_array_equal(flow.w0, TOY)


def test_resume_again_and_again(tmp_path, whole):
    """Also from its own checkpoints, and to ever later times."""
    file = tmp_path / "run.nc"
    integrate(PLANE, TOY, 10.0, checkpoint=file)
    for t_max in [10.0, 1e3, 1e3, 1e30]:
        flow = flowkit.resume(file, t_max, checkpoint=file)
        assert flow.status == "finished" and flow.t[-1] == t_max
        known = np.array([t for t in LATER if t <= t_max])
        assert np.abs(flow.loss_at(known) / whole.loss_at(known) - 1).max() <= 1e-8


def test_resume_to_an_earlier_time(tmp_path):
    file = tmp_path / "run.nc"
    integrate(PLANE, TOY, 1e3, checkpoint=file)
    with pytest.raises(ValueError, match=r"^t_max: "):
        flowkit.resume(file, 999.0)


def test_resume_after_a_death(tmp_path, references):
    """A neuron has died before the checkpoint: it stays dead, and its event stays listed."""
    case = next(case for case in references.values() if case.death)
    problem, end = TeacherStudent(case.teacher), float(case.t[-1])
    once = integrate(problem, case.w0, end)
    death = once.events[0].t
    file = tmp_path / "run.nc"
    integrate(problem, case.w0, 0.5 * (death + end), checkpoint=file)
    flow = flowkit.resume(file, end)
    assert [(e.kind, e.neuron) for e in flow.events] == [(e.kind, e.neuron) for e in once.events]
    assert times_of(flow) == pytest.approx(times_of(once), rel=1e-8)
    times = np.linspace(0, end, 12)
    assert np.abs(flow.loss_at(times) / once.loss_at(times) - 1).max() <= 1e-8


def test_resume_of_an_exponential_flow(tmp_path):
    """The checkpoint is in the other coordinates: relative accuracy survives it."""
    file = tmp_path / "run.nc"
    integrate(PROBLEM, START, 300.0, checkpoint=file)
    flow = flowkit.resume(file, 600.0)
    times = np.array([1.0, 100.0, 299.0, 301.0, 600.0])
    exact = 0.25 * (1 - height(times[:1])) ** 2 * V**2 * np.exp(1.0 - times)
    assert np.abs(flow.loss_at(times) / exact - 1).max() <= 1e-8


NAN, INF = float("nan"), float("inf")
BAD = {
    "stop_loss": [0.0, -1.0, NAN, INF, "small", [1.0, 2.0]],
    "stop_gradient": [0.0, -1.0, NAN, INF, "small"],
    "max_steps": [0, -3, 2.5, "many", True, None, NAN],
    "max_seconds": [0.0, -1.0, NAN, "long", None],
}


@pytest.mark.parametrize("name, value", [(k, x) for k, values in BAD.items() for x in values])
def test_bad_limits(name, value):
    with pytest.raises(ValueError, match=rf"^{name}: "):
        integrate(PLANE, TOY, 1.0, **{name: value})


def test_checkpoint_without_a_folder(tmp_path):
    """Said before the run, not after it."""
    for file in (tmp_path / "missing" / "run.nc", tmp_path):
        with pytest.raises(ValueError, match=r"^checkpoint: "):
            integrate(PLANE, TOY, 1.0, checkpoint=file)


def test_resume_from_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"^file: "):
        flowkit.resume(tmp_path / "none.nc")


def test_a_loss_that_is_small_enough_stops_at_once():
    flow = integrate(**LINE, stop_loss=1e9)
    assert flow.status == "loss reached"
    assert flow.t[-1] == 0


def test_the_error_estimate_has_a_limit_of_its_own(monkeypatch):
    """The finer run may take ten times the run's seconds, not for ever."""
    from flowkit.flows import flow as module

    w0 = 0.5 * np.random.default_rng(0).standard_normal((40, 20))
    flow = integrate(TeacherStudent(np.eye(20)[0]), w0, 1e6, max_seconds=0.2)
    assert flow.status == "time limit"
    monkeypatch.setattr(module, "PATIENCE", -10 * flow.path.seconds + 1e-3)
    assert flow.loss_error[-1] == np.inf
