"""Students learning teachers with one layer of neurons on Gaussian data."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from flowkit.problems.gram_form import GramForm
from flowkit.problems.homogeneous import HomogeneousForm
from flowkit.problems.problem import Problem, checked_teacher
from symbolic.activations import Activation, LeakyReLU, ReLU, parse_activation

Array = np.ndarray


class QuadratureError(NamedTuple):
    """Of a loss: by how much it differs from the integral that it stands for."""

    absolute: float
    relative: float


class TeacherStudent(Problem):
    """L(W) = E ½ (Σ_i σ(w_i·x) − Σ_k σ(v_k·x))², x ~ N(0, I_d).

    Parameters
    ----------
    teacher : array_like, shape (d,) or (k, d)
        v, or v_1 … v_k; finite, no zero row.
    activation : str, `ReLU`, `LeakyReLU`, `ArcCosine`, `Erf`, `Monomial`, `Polynomial`, `Smooth`
        σ, or its name: "relu", "leaky:ALPHA", "arccos:0", "arccos:2", "erf", "monomial:DEGREE",
        "polynomial:C0,C1,…"; or an `Activation` of your own.

    Notes
    -----
    Gradient and Hessian of ReLU and arc-cosine activations exist where no student is zero, those of
    "arccos:0" where besides no student is parallel to another one or to a teacher.

    References
    ----------
    W. Xu & S. S. Du, arXiv 2302.10034; I. Safran, G. Yehudai & O. Shamir, arXiv 2006.01005;
    Y. Cho & L. K. Saul, NeurIPS 2009; C. K. I. Williams, NeurIPS 1996.
    """

    def __init__(self, teacher: Any, activation: Any = "relu") -> None:
        self.teacher, self.exact_teacher = checked_teacher(teacher)
        if isinstance(activation, str):
            activation = parse_activation(activation)
        if not isinstance(activation, ReLU | LeakyReLU | Activation):
            raise ValueError(f"activation: expected a name or an Activation, got {activation!r}")
        self.activation = activation
        self.form: HomogeneousForm | GramForm
        if isinstance(activation, Activation):
            self.form = GramForm(self.exact_teacher, activation)
        else:
            self.form = HomogeneousForm(self.teacher, self.exact_teacher, activation)

    @property
    def homogeneous(self) -> bool:
        """Whether σ(λz) = λσ(z) for λ > 0: (leaky) ReLU, whose flows run in doubles."""
        return isinstance(self.form, HomogeneousForm)

    @property
    def one_sided(self) -> bool:
        """Whether σ(z) = 0 for z < 0, as for the ReLU."""
        return self.homogeneous and self.weights[0] == self.weights[1] / 2

    @property
    def weights(self) -> tuple[Any, Any]:
        """Of a homogeneous activation: (mean, kink_weight), see `symbolic.pairs`."""
        if not isinstance(self.form, HomogeneousForm):
            raise AttributeError(f"the activation {self.activation} is not homogeneous")
        return self.form.weights

    def __repr__(self) -> str:
        return f"TeacherStudent(teacher={self.teacher.tolist()}, activation='{self.activation}')"

    def expressions(self, n: int) -> Any:
        """The SymPy loss, gradient, Hessian of n students, a `teacher_student.Expressions` or
        `gram_loss.GramExpressions`."""
        return self.form.expressions(n)

    def quadrature_error(self, W: Any) -> QuadratureError:
        """Estimated error of the loss at W for a `Smooth` activation; 0 for all others.

        Parameters
        ----------
        W : array_like, shape (n, d)

        Raises
        ------
        ValueError
            Not finite, or wrong shape.
        """
        return QuadratureError(*self.form.quadrature_error(self.students(W, exact=True)))

    def check_differentiable(self, students: Array, name: str) -> None:
        """Refuse students at which the loss has no derivatives; `name` is the argument's."""
        self.form.check_differentiable(students, name)

    def _differentiable(self, W: Any, precision: int | None) -> Array:
        students = self.students(W, exact=precision is not None)
        self.check_differentiable(students, "W")
        return students

    def _exact(self, students: Array, quantity: str, digits: int | None) -> Array:
        return self.form.exact(students, quantity, digits)

    def _loss(self, students: Array) -> tuple[float, float]:
        return self.form.loss(students)

    def _gradient(self, students: Array) -> tuple[Array, float]:
        return self.form.gradient(students)

    def _hessian(self, students: Array) -> tuple[Array, float]:
        return self.form.hessian(students)
