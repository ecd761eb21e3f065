"""Symmetries of the loss at random integer weights, where they hold without any rounding."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowkit import TeacherStudent

# Orthogonal up to a factor, in integers: rotation 5 × and rotoreflection 3 ×.
TURNS = [
    (5, np.array([[3, -4, 0], [4, 3, 0], [0, 0, 5]])),
    (5, np.array([[5, 0, 0], [0, 3, 4], [0, -4, 3]])),
    (3, np.array([[1, 2, 2], [2, 1, -2], [2, -2, 1]])),
]


def rows(low, high):
    row = st.tuples(*[st.integers(-9, 9)] * 3).filter(any)
    return st.lists(row, min_size=low, max_size=high).map(lambda x: np.array(x, dtype=float))


def same(x, y):
    return abs(x - y) <= 4e-13 * max(abs(x), abs(y))


def close(x, y):
    return np.linalg.norm(x - y) <= 4e-13 * np.linalg.norm(x)


@given(W=rows(1, 4), V=rows(1, 3), turn=st.sampled_from(TURNS))
def test_rotation(W, V, turn):
    factor, Q = turn
    one, other = TeacherStudent(V), TeacherStudent(V @ Q)
    assert same(factor**2 * one.loss(W), other.loss(W @ Q))
    assert close(one.gradient(W) @ Q, other.gradient(W @ Q))


@given(W=rows(2, 5), V=rows(1, 3), draw=st.randoms(use_true_random=False))
def test_permutation(W, V, draw):
    order, others = list(range(len(W))), list(range(len(V)))
    draw.shuffle(order)
    draw.shuffle(others)
    one, other = TeacherStudent(V), TeacherStudent(V[others])
    assert same(one.loss(W), other.loss(W[order]))
    assert close(one.gradient(W)[order], other.gradient(W[order]))


@given(W=rows(1, 4), V=rows(1, 3), c=st.integers(2, 10**6))
def test_scaling(W, V, c):
    one, other = TeacherStudent(V), TeacherStudent(c * V)
    assert same(c**2 * one.loss(W), other.loss(c * W))
    assert close(c * one.gradient(W), other.gradient(c * W))


@given(W=rows(1, 4), V=rows(1, 3))
def test_non_negative(W, V):
    assert TeacherStudent(V).loss(W) >= 0


@given(W=rows(1, 4), V=rows(1, 2))
def test_teacher_and_students_may_change_places(W, V):
    assert same(TeacherStudent(V).loss(W), TeacherStudent(W).loss(V))


@given(W=rows(1, 4), V=rows(1, 3))
def test_loss_on_a_ray_is_a_parabola(W, V):
    """c ↦ L(cW) is a parabola: three values of the loss give its slope at 1, ⟨W, ∇L(W)⟩."""
    problem = TeacherStudent(V)
    at_zero, at_one, at_two = problem.loss(0 * W), problem.loss(W), problem.loss(2 * W)
    a = (at_two - 2 * at_one + at_zero) / 2
    b = at_one - at_zero - a
    slope = float(np.sum(W * problem.gradient(W)))
    assert abs(slope - (b + 2 * a)) <= 1e-12 * (at_zero + at_one + at_two)


@given(W=rows(1, 3), V=rows(1, 2), share=st.sampled_from([0.5, 0.25, 0.125]))
def test_splitting_a_neuron_changes_nothing(W, V, share):
    problem = TeacherStudent(V)
    halves = np.vstack([W[1:], share * W[:1], (1 - share) * W[:1]])
    assert same(problem.loss(W), problem.loss(halves))
