"""How the loss of `TeacherStudent` is evaluated for an activation that is known by its kernel."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import combinations
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from flowkit.problems.problem import checked_count
from symbolic.activations import Activation

if TYPE_CHECKING:
    from flowkit.problems.gram import Kernel

Array = np.ndarray

# Bits at which a value that is not finite is undefined, and one by quadrature that may be 0 is 0.
ENOUGH = 4096
SAFETY, FINER = 3.0, 4  # of an estimated quadrature error


class GramForm:
    """Loss and derivatives from K(p, c, q); doubles are rounded from balls."""

    def __init__(self, exact_teacher: Array, activation: Activation) -> None:
        self.exact_teacher, self.activation = exact_teacher, activation

    def __reduce__(self) -> Any:
        return GramForm, (self.exact_teacher, self.activation)  # lowered functions are not pickled

    @cached_property
    def kernel(self) -> Kernel:
        """In balls; of a `Smooth` activation, with its number of nodes."""
        nodes = getattr(self.activation, "nodes", None)
        return self._quadrature(nodes) if nodes else self._closed()

    def _closed(self) -> Kernel:
        from flowkit.problems.closed_kernel import closed_kernel

        return closed_kernel(self.activation.kernel())

    def _quadrature(self, nodes: int) -> Kernel:
        from flowkit.problems.quadrature import QuadratureKernel

        return QuadratureKernel(self.activation, nodes)

    def expressions(self, n: int) -> Any:
        """The SymPy loss, gradient, Hessian of n students, a `gram_loss.GramExpressions`."""
        from symbolic.gram_loss import gram_expressions

        k, d = self.exact_teacher.shape
        return gram_expressions(checked_count(n), k, d, self.activation.kernel())

    def check_differentiable(self, students: Array, name: str) -> None:
        """No zero and no parallel vectors, if the activation says so."""
        from flowkit.problems.numbers import parallel, rationals

        rows = rationals(students)
        if not self.activation.at_zero:
            zero = [i for i, row in enumerate(rows) if not any(row)]
            if zero:
                raise ValueError(
                    f"{name}: neuron {zero[0]} is zero, where the loss has no derivative"
                )
        if not self.activation.at_parallel:
            named = [(f"neuron {i}", row) for i, row in enumerate(rows)]
            teachers = [(f"teacher {k}", row) for k, row in enumerate(self.exact_teacher)]
            pairs = [*combinations(named, 2), *((a, b) for b in teachers for a in named)]
            for (one, x), (other, y) in pairs:
                if parallel(x, y):
                    raise ValueError(
                        f"{name}: {one} is parallel to {other}, where the loss has no derivative"
                    )

    def loss(self, students: Array) -> tuple[float, float]:
        """No doubles: the bound on their error is infinite."""
        return 0.0, inf

    def gradient(self, students: Array) -> tuple[Array, float]:
        return np.zeros(1), inf

    def hessian(self, students: Array) -> tuple[Array, float]:
        return np.zeros(1), inf

    def exact(self, students: Array, quantity: str, digits: int | None) -> Array:
        """ "loss", "gradient" or "hessian" from the exact weights, all digits correct; flat."""
        from flowkit.problems import exact

        target = exact.FLOAT_BITS if digits is None else exact.bits(digits)
        values = getattr(self, f"_{quantity}_balls")(students, self.kernel, target)
        convert = exact.to_float if digits is None else exact.to_mpf
        result = np.array([convert(x) for x in values], float if digits is None else object)
        return result.reshape(()) if quantity == "loss" else result

    def quadrature_error(self, students: Array) -> tuple[float, float]:
        """Three times the largest distance of N, N − 1 and N − 2 nodes from 4N nodes.

        The slowest convergence there is, that of a step, halves the error with four times the
        nodes; two neighbours see to it that the loss does not happen to cross its limit at N.
        """
        from flowkit.problems import exact

        nodes = getattr(self.activation, "nodes", None)
        if nodes is None:
            return 0.0, 0.0
        counts = (nodes, nodes - 1, nodes - 2, FINER * nodes)
        values = [
            self._loss_balls(students, self._quadrature(count), exact.FLOAT_BITS)[0]
            for count in counts
        ]
        gap = max(exact.to_float((x - values[-1]).abs_upper()) for x in values[:-1])
        size = abs(exact.to_float(values[0]))
        absolute = SAFETY * gap
        return absolute, absolute / size if size else (0.0 if absolute == 0 else inf)

    def _loss_balls(self, students: Array, kernel: Kernel, target: int) -> list[Any]:
        """Equal vectors are counted first: what cancels exactly is not computed."""
        from flowkit.problems.gram import GramLoss

        counts: dict[tuple, int] = {}
        for sign, rows in ((1, _tuples(students)), (-1, _tuples(self.exact_teacher))):
            for row in rows:
                counts[row] = counts.get(row, 0) + sign
        if not self.activation.at_zero:
            counts.pop((0,) * self.exact_teacher.shape[1], None)
        kept = {row: sign for row, sign in counts.items() if sign}
        if not kept:
            return [_zero()]
        at, form = _vectors(list(kept)), GramLoss(kernel, list(kept.values()), 0)
        return _certified(kernel, lambda: [form.loss(at)], target)

    def _gradient_balls(self, students: Array, kernel: Kernel, target: int) -> list[Any]:
        from flowkit.problems.gram import GramLoss

        rows = _tuples(students)
        groups = list(dict.fromkeys(rows))
        teachers = _tuples(self.exact_teacher)
        others = [v for v in dict.fromkeys(teachers) if v not in groups]
        signs = [rows.count(row) - teachers.count(row) for row in groups + others]
        at, form = _vectors(groups + others), GramLoss(kernel, signs, len(groups))
        values = _certified(kernel, lambda: form.gradient(at).entries(), target)
        d = len(rows[0])
        starts = [d * groups.index(row) for row in rows]
        return [values[start + k] for start in starts for k in range(d)]

    def _hessian_balls(self, students: Array, kernel: Kernel, target: int) -> list[Any]:
        from flowkit.problems.gram import GramLoss

        rows, teachers = _tuples(students), _tuples(self.exact_teacher)
        signs = [1] * len(rows) + [-1] * len(teachers)
        at, form = _vectors(rows + teachers), GramLoss(kernel, signs, len(rows))
        return _certified(kernel, lambda: form.hessian(at).entries(), target)


def _tuples(rows: Array) -> list[tuple]:
    from flowkit.problems.numbers import rationals

    return [tuple(row) for row in rationals(rows).tolist()]


def _vectors(rows: list[tuple]) -> Any:
    from flowkit.problems.gram import ExactVectors
    from flowkit.problems.numbers import integers

    whole, unit = integers(np.array(rows, dtype=object))
    return ExactVectors(whole.tolist(), unit)


def _certified(kernel: Kernel, evaluate: Callable[[], list[Any]], target: int) -> list[Any]:
    """`exact.certify`, unless precision does not make the values finite."""
    import flint

    from flowkit.problems.exact import certify
    from flowkit.problems.quadrature import QuadratureKernel

    def finite() -> list[Any]:
        values = evaluate()
        if flint.ctx.prec < max(ENOUGH, 4 * target):
            return values
        if not all(x.is_finite() for x in values):
            raise ValueError("W: the kernel of the activation has no finite value there")
        vanishing = isinstance(kernel, QuadratureKernel) and all(0 in x for x in values)
        return [_zero()] * len(values) if vanishing else values

    return certify(finite, target)


def _zero() -> Any:
    from flint import arb

    return arb(0)
