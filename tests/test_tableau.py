"""Radau IIA coefficients: the order conditions, known values, and the order that a run shows."""

import flint
import pytest
import sympy as sp
from flint import arb, arb_mat

from flowkit import VectorField
from flowkit.multiprecision.certify import stages_for
from flowkit.multiprecision.prepare import prepared
from flowkit.multiprecision.scale import ComponentScale
from flowkit.multiprecision.stages import Basis, Stages
from flowkit.multiprecision.tableau import tableau

BITS = 256
USED = sorted({1, 2, 3, *(stages_for(digits) for digits in (15, 30, 50, 53)), 60})


@pytest.mark.parametrize("stages", USED)
def test_simplifying_assumptions(stages):
    """B(2s − 1), C(s), D(s − 1) hold to the working precision: Hairer & Wanner II, IV.5."""
    table = tableau(stages, BITS)
    with flint.ctx.workprec(2 * BITS):
        c, b, A = table.c, table.b, table.A.tolist()
        allowed = arb(2) ** (6 - BITS) * stages
        inside = range(stages)
        for k in range(1, 2 * stages):
            assert abs(sum(b[j] * c[j] ** (k - 1) for j in inside) - arb(1) / k) < allowed
        for k in range(1, stages + 1):
            for i in inside:
                total = sum(A[i][j] * c[j] ** (k - 1) for j in inside)
                assert abs(total - c[i] ** k / k) < allowed
        for k in range(1, stages):
            for j in inside:
                total = sum(b[i] * c[i] ** (k - 1) * A[i][j] for i in inside)
                assert abs(total - b[j] * (1 - c[j] ** k) / k) < allowed


@pytest.mark.parametrize("stages", USED)
def test_differentiation_is_the_inverse(stages):
    table = tableau(stages, BITS)
    with flint.ctx.workprec(BITS):
        gap = table.A * table.D
        size = max(abs(x) for x in table.D.entries())
        for i in range(stages):
            for j in range(stages):
                assert abs(gap[i, j] - int(i == j)) < arb(2) ** (8 - BITS) * size * stages


def test_three_stages_are_those_of_the_book():
    """Hairer & Wanner II, table IV.5.6."""
    table = tableau(3, BITS)
    root = sp.sqrt(6)
    A = sp.Matrix(
        [
            [(88 - 7 * root) / 360, (296 - 169 * root) / 1800, (-2 + 3 * root) / 225],
            [(296 + 169 * root) / 1800, (88 + 7 * root) / 360, (-2 - 3 * root) / 225],
            [(16 - root) / 36, (16 + root) / 36, sp.Rational(1, 9)],
        ]
    )
    with flint.ctx.workprec(BITS):
        for mine, theirs in zip(table.A.entries(), A, strict=True):
            assert abs(mine - arb(str(theirs.evalf(90)))) < arb(2) ** (2 - BITS)


def fixed_steps(problem, y0, end, stages, steps):
    """y(end) by steps of equal length in x = t, no step control."""
    ready = prepared(problem, y0, BITS)
    y, h = ready.start, (arb(end) / steps).mid()
    for k in range(steps):
        x = (h * k).mid()
        run = Stages(ready.system, tableau(stages, BITS), x, h, y, Basis.standard(len(y)))
        values = run.solve(arb_mat([y] * stages), ComponentScale(1e-30, 0), 1e-70)
        y = values.tolist()[-1]
    return y


@pytest.mark.parametrize(("stages", "steps"), [(2, 64), (3, 32), (5, 16), (8, 32), (12, 16)])
def test_order_of_convergence(stages, steps):
    """y' = −y cos t, z' = −z² + y: 2s − 1 at the end point."""
    t, y, z = sp.symbols("t y z")
    problem = VectorField([-y * sp.cos(t), y - z**2], (y, z), t)
    with flint.ctx.workprec(BITS):
        truth = fixed_steps(problem, ["1", "0.5"], 2, 30, 10)
        coarse = fixed_steps(problem, ["1", "0.5"], 2, stages, steps)
        fine = fixed_steps(problem, ["1", "0.5"], 2, stages, 2 * steps)
        for a, b, exact in zip(coarse, fine, truth, strict=True):
            order = (abs(a - exact) / abs(b - exact)).log() / arb(2).log()
            assert abs(float(order) - (2 * stages - 1)) < 0.2
        closed = (-arb(2).sin()).exp()
        assert abs(truth[0] - closed) < 1e-60
