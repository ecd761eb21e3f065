"""Flows and equations that come as SymPy expressions, in balls."""

from __future__ import annotations

from flint import arb, arb_mat

from flowkit.problems.symbolic_loss import SymbolicLoss
from flowkit.problems.vector_field import VectorField

Row = list[arb]


class LossSystem:
    """dx/dt = −∇L(x)."""

    gradient_flow = True

    def __init__(self, problem: SymbolicLoss) -> None:
        self.size = len(problem.variables)
        self.forms = problem._lowered

    def field(self, _t: arb, y: Row) -> Row:
        return [-arb(x) for x in self.forms["gradient"](*y)]

    def jacobian(self, _t: arb, y: Row) -> arb_mat:
        return -arb_mat(self.size, self.size, self.forms["hessian"](*y))

    def loss(self, y: Row) -> arb:
        """L."""
        return arb(self.forms["loss"](*y)[0])


class FieldSystem:
    """dy/dt = f(t, y)."""

    gradient_flow = False

    def __init__(self, problem: VectorField) -> None:
        self.size = len(problem.variables)
        self.forms = problem._lowered

    def field(self, t: arb, y: Row) -> Row:
        return [arb(x) for x in self.forms["field"](t, *y)]

    def jacobian(self, t: arb, y: Row) -> arb_mat:
        return arb_mat(self.size, self.size, self.forms["jacobian"](t, *y))
