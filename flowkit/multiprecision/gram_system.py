"""The flow of students with any activation, from its pair kernel, in balls."""

from __future__ import annotations

from flint import arb, arb_mat

from flowkit.problems.gram import GramLoss, Kernel, RoundedVectors

Row = list[arb]
TOUCHING, NEAR = 1e-12, 1e-6  # sin θ


class GramSystem:
    """dw_g/dt = −∂L/∂w_g for n groups of equal students in R^d.

    Parameters
    ----------
    kernel : Kernel
        Of the activation; see `flowkit.problems.gram`.
    teachers : list of list of arb
        Rows v_k.
    counts : list of int
        How many students each row stands for.
    names : list of int, optional
        What the rows are called, in words to the user.
    cusp : bool
        The loss has no derivative where two vectors are parallel: no flow passes that.
    """

    gradient_flow = True

    def __init__(
        self,
        kernel: Kernel,
        teachers: list[Row],
        counts: list[int],
        names: list[int] | None = None,
        cusp: bool = False,
    ) -> None:
        self.teachers, self.n, self.d = teachers, len(counts), len(teachers[0])
        self.size = self.n * self.d
        self.form = GramLoss(kernel, [*counts, *[-1] * len(teachers)], self.n)
        self.cusp = cusp
        self.names = [f"neuron {i}" for i in names or range(self.n)]
        self.names += [f"teacher {k}" for k in range(len(teachers))]

    def field(self, _t: arb, y: Row) -> Row:
        """−∂L/∂w, flat."""
        at = self._at(y)
        touching = self._parallel(at, TOUCHING) if self.cusp else None
        if touching is not None:
            raise ValueError(touching)
        return [(-x).mid() for x in self.form.gradient(at).entries()]

    def jacobian(self, _t: arb, y: Row) -> arb_mat:
        """−∂²L/∂w∂w of the groups."""
        return (-self.form.hessian(self._at(y))).mid()

    def loss(self, y: Row) -> arb:
        """L."""
        return self.form.loss(self._at(y)).mid()

    def explain(self, y: Row) -> str | None:
        """Why the flow may end here."""
        return self._parallel(self._at(y), NEAR) if self.cusp else None

    def _parallel(self, at: RoundedVectors, sine: float) -> str | None:
        for j in range(len(self.names)):
            for i in range(min(j, self.n)):
                if at.wedge(i, j) < sine * (at.square(i) * at.square(j)).sqrt():
                    return f"{self.names[i]} becomes parallel to {self.names[j]}"
        return None

    def _at(self, y: Row) -> RoundedVectors:
        rows = [y[i * self.d : (i + 1) * self.d] for i in range(self.n)]
        return RoundedVectors(rows + self.teachers)
