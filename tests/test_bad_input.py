"""Every bad argument is one line of ValueError that starts with the argument's name."""

import numpy as np
import pytest

import flowkit
from flowkit import LeakyReLU, TeacherStudent, integrate

PROBLEM = TeacherStudent([1.0, 0.0])
W0 = [[0.3, 0.2], [0.3, -0.2]]
NAN, INF = float("nan"), float("inf")


def refused(name, call):
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(f"{name}: "), message
    assert "\n" not in message
    assert len(message) > len(name) + 8
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


TEACHERS = {
    "nan": [1.0, NAN],
    "infinite": [[1.0, 0.0], [0.0, -INF]],
    "zero": [0.0, 0.0],
    "one of two zero": [[1.0, 0.0], [0.0, 0.0]],
    "scalar": 1.0,
    "cube": np.ones((2, 2, 2)),
    "empty": [],
    "no columns": np.ones((2, 0)),
    "text": ["a", "b"],
    "ragged": [[1.0], [1.0, 2.0]],
    "complex": [1 + 2j, 0.0],
    "none": None,
}


@pytest.mark.parametrize("case", TEACHERS)
def test_teacher(case):
    refused("teacher", lambda: TeacherStudent(TEACHERS[case]))


@pytest.mark.parametrize("activation", ["tanh", "leaky", "leaky:", "leaky:x", "leaky:2", 3, None])
def test_activation(activation):
    refused("activation", lambda: TeacherStudent([1.0], activation))


@pytest.mark.parametrize("slope", [1.5, 1.0, -0.1, NAN, INF])
def test_slope(slope):
    refused("slope", lambda: LeakyReLU(slope))


WEIGHTS = {
    "nan": [[NAN, 1.0]],
    "infinite": [[INF, 1.0]],
    "vector": [1.0, 2.0],
    "too wide": [[1.0, 2.0, 3.0]],
    "too narrow": [[1.0]],
    "cube": np.ones((1, 1, 2)),
    "empty": [],
    "no rows": np.ones((0, 2)),
    "scalar": 2.0,
    "text": [["a", "b"]],
    "ragged": [[1.0, 2.0], [1.0]],
    "complex": [[1j, 0.0]],
    "none": None,
}


@pytest.mark.parametrize("case", WEIGHTS)
@pytest.mark.parametrize("precision", [None, 30])
def test_weights_of_a_loss(case, precision):
    for quantity in (PROBLEM.loss, PROBLEM.gradient, PROBLEM.hessian):
        refused("W", lambda quantity=quantity: quantity(WEIGHTS[case], precision=precision))


@pytest.mark.parametrize("case", WEIGHTS)
def test_start_of_a_flow(case):
    refused("w0", lambda: integrate(PROBLEM, WEIGHTS[case], 1.0))


def test_start_with_a_zero_neuron():
    refused("w0", lambda: integrate(PROBLEM, [[1.0, 0.0], [0.0, 0.0]], 1.0))


@pytest.mark.parametrize("precision", [10, 0, -5, 30.5, "x", "50", True, [30], NAN, INF])
def test_precision_of_a_loss(precision):
    for quantity in (PROBLEM.loss, PROBLEM.gradient, PROBLEM.hessian):
        refused("precision", lambda quantity=quantity: quantity(W0, precision=precision))


@pytest.mark.parametrize("n", [0, -1])
def test_number_of_students(n):
    refused("n", lambda: PROBLEM.expressions(n))


@pytest.mark.parametrize("t_max", [0, -1.0, NAN, INF, -INF, "x", None, [1.0, 2.0]])
def test_t_max(t_max):
    refused("t_max", lambda: integrate(PROBLEM, W0, t_max))


@pytest.mark.parametrize("rtol", [1e-17, 0.0, -1e-8, 0.5, INF, NAN, "x", [1e-8, 1e-9]])
def test_rtol(rtol):
    refused("rtol", lambda: integrate(PROBLEM, W0, 1.0, rtol=rtol))


@pytest.mark.parametrize("method", ["RK45", "", None, 5])
def test_method(method):
    refused("method", lambda: integrate(PROBLEM, W0, 1.0, method=method))


TIMES = {
    "unsorted": [0.5, 0.2],
    "repeated": [0.5, 0.5],
    "negative": [-0.1, 0.5],
    "after the end": [0.5, 1.5],
    "empty": [],
    "nan": [0.1, NAN],
    "table": [[0.1, 0.2]],
    "text": ["a"],
    "ragged": [[0.1], [0.1, 0.2]],
}


@pytest.mark.parametrize("case", TIMES)
def test_t_eval(case):
    refused("t_eval", lambda: integrate(PROBLEM, W0, 1.0, t_eval=TIMES[case]))


@pytest.mark.parametrize("problem", [None, 3, [1.0, 0.0], "relu", TeacherStudent])
def test_problem(problem):
    refused("problem", lambda: integrate(problem, W0, 1.0))


@pytest.mark.parametrize("t", [-1e-9, 1.01, NAN, [0.5, 2.0], "x"])
def test_time_of_a_flow(t):
    flow = integrate(PROBLEM, W0, 1.0)
    for quantity in (flow, flow.loss_at, flow.slope_at):
        refused("t", lambda quantity=quantity: quantity(t))


def test_unknown_name_of_the_package():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = flowkit.nonsense


def test_arguments_are_not_changed():
    w0, teacher = np.array(W0), np.array([1.0, 0.0])
    flow = integrate(TeacherStudent(teacher), w0, 1.0)
    w0 *= 0
    teacher *= 0
    assert np.abs(flow(0.0) - W0).max() <= 1e-15
    assert flow.problem.teacher.any()
