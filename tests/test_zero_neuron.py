"""Neurons that reach zero norm: located, told from near misses, released when zero lets go."""

import numpy as np
import pytest

import flowkit


def gaussian_run(n, d, sigma, seed, t_max, **settings):
    W = sigma * np.random.default_rng(seed).standard_normal((n, d))
    return flowkit.integrate(flowkit.TeacherStudent(np.eye(d)[0]), W, t_max, **settings)


# ---- one death, against the reference ------------------------------------------------------------


def test_the_death_is_one_event_at_the_reference_time(reference_flow, references):
    death = references["death-n4"].death
    (event,) = reference_flow("death-n4").events
    assert (event.kind, event.neuron) == ("zero-neuron", death["neuron"])
    assert event.t == pytest.approx(float(death["t"]), abs=1e-5)
    assert "neuron 2" in event.message


@pytest.mark.parametrize("rtol", [1e-6, 1e-8])
def test_death_time_follows_the_tolerance(references, rtol):
    case = references["death-n4"]
    flow = flowkit.integrate(flowkit.TeacherStudent(case.teacher), case.w0, 20.0, rtol=rtol)
    (event,) = flow.events
    assert event.t == pytest.approx(float(case.death["t"]), rel=1000 * rtol, abs=0)


def test_the_row_is_zero_after_death_and_not_before(reference_flow):
    flow = reference_flow("death-n4")
    (event,) = flow.events
    norms = np.linalg.norm(flow.w[:, 2], axis=1)
    assert (norms[flow.t > event.t] == 0).all()
    assert (norms[flow.t < event.t] > 0).all()
    before = flow(event.t - np.array([1e-2, 1e-4]))[:, 2]
    rho = np.linalg.norm(before, axis=1)
    assert rho[1] < 2e-2 * rho[0]


def test_power_law_after_the_death(reference_flow):
    flow = reference_flow("death-n4")
    assert flow.slope_at(1e12) == pytest.approx(-3, abs=1e-6)
    assert 1e36 * flow.loss_at(1e12) == pytest.approx(1e27 * flow.loss_at(1e9), rel=1e-4, abs=0)


def test_loss_and_survivors_are_continuous_at_the_death(reference_flow):
    flow = reference_flow("death-n4")
    t = flow.events[0].t
    before, after = t * (1 - 1e-9), t * (1 + 1e-9)
    assert flow.loss_at(before) == pytest.approx(flow.loss_at(after), rel=1e-7, abs=0)
    assert np.abs(flow(before) - flow(after)).max() <= 1e-8


def test_survivors_follow_the_flow_without_the_dead_neuron(reference_flow, references):
    """A new run of the three living neurons from t = 20 joins the old one."""
    flow, case = reference_flow("death-n4"), references["death-n4"]
    living = flow(20.0)[[0, 1, 3]]
    alone = flowkit.integrate(flowkit.TeacherStudent(case.teacher), living, 1e3)
    times = np.array([1.0, 30.0, 980.0])
    assert np.abs(alone(times) - flow(20 + times)[:, [0, 1, 3]]).max() <= 1e-8


def test_deaths_among_many_students():
    """So many that single steps are looked at; in 50 dimensions no component is near the norm."""
    flow = gaussian_run(60, 50, 0.5, 0, 0.16, rtol=1e-6)
    assert flow.status == "finished"
    assert [event.kind for event in flow.events] == ["zero-neuron"] * 2


# ---- slow arrivals -------------------------------------------------------------------------------


def weak_pull(seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(3), 0.05 * rng.standard_normal((3, 3))


def textbook_pulls(textbook, teacher, others):
    """γ(u) = Σ K(u, w_j) − K(u, v) in ±v̄, in the others' directions and in random ones."""
    book = textbook(teacher, digits=40)
    random = np.random.default_rng(0).standard_normal((100, 3))
    directions = np.vstack([teacher, -teacher, others, random])
    for u in directions / np.linalg.norm(directions, axis=1)[:, None]:
        (row,) = book.rows([u])
        signed = sum(book.kernel(row, w) for w in book.rows(others))
        yield float(signed - book.kernel(row, book.teacher[0]))


@pytest.mark.parametrize(
    ("seed", "neuron", "t"), [(16, 1, 12.5302), (27, 2, 18.1077), (43, 0, 16.747)]
)
def test_a_death_under_a_weak_pull(textbook, time_limit, seed, neuron, t):
    """ρ̇ = −γ with γ of 5e-5 and 4e-6: the norm still falls to zero in finite time."""
    v, W = weak_pull(seed)
    with time_limit(15):
        flow = flowkit.integrate(flowkit.TeacherStudent(v), W, 30.0)
    assert flow.status == "finished", flow.message
    assert [(e.kind, e.neuron) for e in flow.events] == [("zero-neuron", neuron)]
    assert flow.events[0].t == pytest.approx(t, abs=1e-3)
    others = np.delete(flow(flow.events[0].t), neuron, axis=0)
    assert min(textbook_pulls(textbook, v, others)) > 0


def test_a_vanishing_leaky_neuron_is_no_failure(time_limit):
    rng = np.random.default_rng(209200)
    v, W = rng.standard_normal((1, 2)), rng.standard_normal((3, 2))
    with time_limit(20):
        flow = flowkit.integrate(flowkit.TeacherStudent(v, "leaky:0.9"), W, 1e5)
    assert flow.status == "finished", flow.message


# ---- near miss -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def near_miss():
    return gaussian_run(2, 4, 1.0, 17, 1e3)


def test_a_near_miss_is_no_event(near_miss):
    """Down to 5.5e-7 of the teacher's norm, where it has turned towards v and stays."""
    smallest = np.linalg.norm(near_miss.w[:, 1], axis=1).min()
    assert near_miss.events == []
    assert near_miss.status == "finished"
    assert smallest == pytest.approx(5.5e-7, rel=0.02, abs=0)
    last = near_miss.w[-1, 1]
    assert last[0] > 0.99 * np.linalg.norm(last)


def test_an_explicit_solver_sees_the_near_miss_too(near_miss, explicit_field):
    from scipy.integrate import solve_ivp

    field, W = explicit_field(near_miss.problem.teacher), near_miss.w0
    times = np.array([5.0, 20.0, 50.0])
    settings = {"method": "DOP853", "t_eval": times, "rtol": 1e-12, "atol": 1e-14}
    truth = solve_ivp(
        lambda _, y: field(y.reshape(W.shape)).ravel(), (0, 50), W.ravel(), **settings
    )
    norms = np.linalg.norm(truth.y.T.reshape(-1, *W.shape)[:, 1], axis=1)
    assert np.linalg.norm(near_miss(times)[:, 1], axis=1) == pytest.approx(norms, rel=5e-3, abs=0)


# ---- death, release, death -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def released():
    return gaussian_run(4, 6, 10.0, 7, 1e3)


def descent_norms(field, W, step, times):
    """Norms of neuron 0 along explicit Euler steps of the textbook gradient.

    At zero the steps jump around zero within O(step), which in the limit is to stay there: Euler's
    method converges to Filippov's solution of a discontinuous gradient, with an error O(step).
    """
    norms, done = [], 0
    for t in times:
        for _ in range(round(t / step) - done):
            W = W + step * field(W)
        done = round(t / step)
        norms.append(np.linalg.norm(W[0]))
    return np.array(norms)


def test_death_release_and_second_death(released):
    assert [e.kind for e in released.events] == ["zero-neuron", "released-neuron", "zero-neuron"]
    assert {e.neuron for e in released.events} == {0}
    assert [e.t for e in released.events] == pytest.approx([2.42, 8.78, 24.16], abs=0.01)
    norms = np.linalg.norm(released([2.0, 5.0, 8.0, 15.0, 24.0, 25.0, 1e3])[:, 0], axis=1)
    assert (norms > 0).tolist() == [True, False, False, True, True, False, False]


def test_released_neuron_is_where_gradient_descent_has_it(released, explicit_field):
    times = [10.0, 12.0, 15.0, 18.0]
    field, W = explicit_field(released.problem.teacher), released.w0
    coarse, fine = (descent_norms(field, W, step, times) for step in (2e-3, 1e-3))
    limit = 2 * fine - coarse
    assert np.abs(limit / fine - 1).max() < 0.15
    assert np.linalg.norm(released(times)[:, 0], axis=1) == pytest.approx(limit, rel=5e-3, abs=0)


def test_while_dead_descent_stays_within_its_step_of_zero(released, explicit_field):
    """No jump is longer than the step times the gradient of other neurons of norm 10."""
    field = explicit_field(released.problem.teacher)
    for step in (4e-3, 1e-3):
        assert descent_norms(field, released.w0, step, [4.0, 6.0, 8.0]).max() < 10 * step


# ---- closed forms on a line ----------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2])
def test_an_overshoot_kills_the_smaller_neuron(d):
    """w = (2.9, 0.1) v̄: both sink at the same speed, the second is at zero at t = −ln 0.9.

    After it the first alone decays to v: L = ¼ · 1.8² e^{−(t + ln 0.9)}.
    """
    v = np.eye(d)[0]
    flow = flowkit.integrate(flowkit.TeacherStudent(v), np.outer([2.9, 0.1], v), 20.0)
    assert flow.status == "finished"
    assert [(e.kind, e.neuron) for e in flow.events] == [("zero-neuron", 1)]
    assert flow.events[0].t == pytest.approx(-np.log(0.9), abs=1e-9)
    times = np.array([1.0, 10.0, 20.0])
    assert flow.loss_at(times) == pytest.approx(0.81 * np.exp(-times) / 0.9, rel=1e-8, abs=0)
    assert (flow(times)[:, 1] == 0).all()


def test_on_a_line_the_two_sides_do_not_meet():
    """d = 1: L = ¼ ((p₀ − 1)² e^{−2t} + m₀² e^{−t}) of two positive neurons and a negative one."""
    flow = flowkit.integrate(flowkit.TeacherStudent([1.0]), [[0.5], [-0.3], [0.2]], 20.0)
    times = np.array([0.3, 2.0, 5.0, 10.0, 20.0])
    error = np.abs(flow.loss_at(times) / (0.0225 * (np.exp(-2 * times) + np.exp(-times))) - 1)
    assert error[:3].max() <= 1e-7
    assert (error <= 30 * np.interp(times, flow.t, flow.loss_error)).all()


# ---- students opposite to the teacher ------------------------------------------------------------


def opposite_loss(W, v, t):
    """Up to the first crossing Σw decays as e^{−nt/2}: L = ¼ (‖Σw‖² e^{−nt} + ‖v‖²)."""
    total = np.linalg.norm(np.sum(W, axis=0))
    return (total**2 * np.exp(-len(W) * t) + np.dot(v, v)) / 4


OPPOSITE = {
    "line": ([[-0.5]], [1.0]),
    "plane": ([[-0.5, 0.0]], [1.0, 0.0]),
    "tilted": ([[-0.3, -0.6]], [0.5, 1.0]),
    "two equal on a line": ([[-0.5], [-0.5]], [1.0]),
    "two equal": ([[-0.5, 0.0], [-0.5, 0.0]], [1.0, 0.0]),
}


@pytest.mark.parametrize("name", OPPOSITE)
def test_opposite_students_decay_by_themselves(name):
    W, v = np.array(OPPOSITE[name][0]), np.array(OPPOSITE[name][1])
    flow = flowkit.integrate(flowkit.TeacherStudent(v), W, 10.0)
    times = np.array([0.5, 2.0, 10.0])
    assert flow.status == "finished"
    assert flow.loss_at(times) == pytest.approx(
        [opposite_loss(W, v, t) for t in times], rel=1e-8, abs=0
    )
    expected = np.exp(-len(W) * times / 2)[:, None, None] * W
    assert np.abs(flow(times) - expected).max() <= 1e-8


@pytest.mark.parametrize("name", OPPOSITE)
def test_opposite_students_fade(name):
    """They never leave v̄'s far side; long after, the loss is that of no students at all."""
    W, v = np.array(OPPOSITE[name][0]), np.array(OPPOSITE[name][1])
    problem = flowkit.TeacherStudent(v)
    flow = flowkit.integrate(problem, W, 1e4)
    assert flow.status == "finished"
    assert flow.loss[-1] == pytest.approx(problem.loss(0 * W), rel=1e-13, abs=0)
    assert {event.kind for event in flow.events} == {"fading-neuron"}
    # Given up when 1e-18 of what there is to learn.
    norm = np.linalg.norm(W[0])
    rate = len(W) / 2
    faded = np.log(norm / (1e-18 * np.sqrt(problem.loss(0 * W)))) / rate
    assert flow.events[0].t == pytest.approx(faded, rel=0.2)
    assert not flow.w[-1].any()


def test_both_sides_of_a_line():
    """d = 1: w₁, w₃ > 0 and w₂ < 0 never meet, L = ¼ (w₁ + w₃ − v)² + ¼ w₂², all exponentials."""
    W, v = np.array([[0.5], [-0.3], [0.2]]), np.array([1.0])
    flow = flowkit.integrate(flowkit.TeacherStudent(v), W, 60.0)
    t = np.array([1.0, 10.0, 20.0, 60.0])
    exact = 0.25 * (0.3 * np.exp(-t)) ** 2 + 0.25 * (0.3 * np.exp(-t / 2)) ** 2
    assert flow.loss_at(t) == pytest.approx(exact, rel=1e-8, abs=0)


@pytest.mark.parametrize("d", [1, 2])
def test_an_opposite_student_that_crosses_zero(d):
    """w = (−½, −¼) v̄: the second one is at zero at ln 3 and goes on to v; exact on both sides.

    After it, with s = t − ln 3: h₁ = −¼ e^{−s/2}, h₂ = 1 − e^{−s/2}, L = ¼ (h₁² + (1 − h₂)²).
    """
    v = np.eye(d)[0]
    W = np.outer([-0.5, -0.25], v)
    flow = flowkit.integrate(flowkit.TeacherStudent(v), W, 10.0)
    assert flow.status == "finished"
    assert flow.events[0].kind == "zero-neuron"
    assert flow.events[0].neuron == 1
    assert flow.events[0].t == pytest.approx(np.log(3), abs=1e-8)
    assert flow.loss_at(1.0) == pytest.approx(opposite_loss(W, v, 1.0), rel=1e-8, abs=0)
    for t in (1.5, 4.0, 10.0):
        decay = np.exp(-(t - np.log(3)) / 2)
        expected = np.outer([-decay / 4, 1 - decay], v)
        assert np.abs(flow(t) - expected).max() <= 1e-7
        assert flow.loss_at(t) == pytest.approx(17 / 64 * decay**2, rel=1e-6, abs=0)


# ---- how often -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "sigma", "count"), [(4, 0.01, 0), (4, 0.1, 1), (4, 1.0, 12), (8, 0.1, 6), (8, 1.0, 30)]
)
def test_deaths_in_thirty_seeds(n, sigma, count):
    flows = [gaussian_run(n, n + 2, sigma, seed, 1e3, rtol=1e-8) for seed in range(30)]
    assert all(flow.status == "finished" for flow in flows)
    deaths = [any(e.kind == "zero-neuron" for e in flow.events) for flow in flows]
    assert sum(deaths) == count


def test_a_slow_fall_is_not_cut_short():
    """A pull of 1e-15 on a neuron of 1e-13: the others move on before it arrives.

    58.0289737098 from a flow in 20 digits; times before it can be asked for.
    """
    flow = flowkit.integrate(
        flowkit.TeacherStudent([1.0, 0.0]), [[3, 0.1], [2.9, 0.1], [0.01, 0.03]], 300
    )
    (event,) = flow.events
    assert event.kind == "zero-neuron" and event.neuron == 2
    assert event.t == pytest.approx(58.0289737098, rel=1e-10)
    norms = [np.linalg.norm(flow(t)[2]) for t in (50, 55, 57, 58, 59)]
    assert norms == sorted(norms, reverse=True) and norms[-1] == 0


@pytest.mark.parametrize("count", [1, 2])
def test_alone_at_zero_nothing_holds_a_neuron(count):
    """Leaky students −h v: ḣ = −(n mean h + α) down to zero, then along v, L ~ e^(−2n mean t)."""
    alpha, mean = 0.3, (1 + 0.3**2) / 2
    problem = flowkit.TeacherStudent([1.0, 0.0], f"leaky:{alpha}")
    flow = flowkit.integrate(problem, [[-0.3, 0.0]] * count, 30)
    arrival = np.log1p(count * mean * 0.3 / alpha) / (count * mean)
    assert [event.kind for event in flow.events] == ["zero-neuron"] * count + [
        "released-neuron"
    ] * count
    assert [event.t for event in flow.events] == pytest.approx([arrival] * 2 * count, rel=1e-9)
    exact = 0.5 * mean * np.exp(-2 * count * mean * (20 - arrival))
    assert flow.loss_at(20) == pytest.approx(exact, rel=1e-8)
