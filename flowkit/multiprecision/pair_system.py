"""The flow of (leaky) ReLU students in balls: velocity, Jacobian, loss at the working precision."""

from __future__ import annotations

from functools import cache
from typing import Any

from flint import arb, arb_mat

from flowkit.problems.exact import ball
from flowkit.problems.pairs import PairFunctions

Row = list[arb]
DYING = 1e-6


@cache
def plain_pair_functions() -> PairFunctions:
    """The pair functions with the named ones written out: errors are absolute, and that is enough
    where the working precision grows with what cancels."""
    from symbolic import pairs as source
    from symbolic.gaussian import THETA
    from symbolic.lower import lower
    from symbolic.special import written_out

    forms = ([source.REMAINDER], source.pair_gradient().result, source.pair_hessian().result)
    return PairFunctions(*(lower([written_out(x) for x in form], [THETA], "arb") for form in forms))


class PairSystem:
    """dw_g/dt = −∂L/∂w_g for n groups of equal students in R^d.

    Parameters
    ----------
    teachers : list of list of arb
        Rows v_k.
    counts : list of int
        How many students each row stands for.
    mean, kink_weight : Fraction
        Weights of the activation; see `symbolic.pairs`.
    names : list of int, optional
        What the rows are called, in words to the user.
    """

    gradient_flow = True

    def __init__(
        self,
        teachers: list[Row],
        counts: list[int],
        mean: Any,
        kink: Any,
        names: list[int] | None = None,
    ) -> None:
        self.teachers, self.counts = teachers, counts
        self.n, self.d = len(counts), len(teachers[0])
        self.size = self.n * self.d
        self.signs = [*counts, *[-1] * len(teachers)]
        self.mean, self.kink = mean, kink
        self.functions = plain_pair_functions()
        self.names = names or list(range(self.n))

    def field(self, _t: arb, y: Row) -> Row:
        """−∂L/∂w, flat."""
        rows, norms, units = self._vectors(y)
        mean, kink = ball(self.mean), ball(self.kink)
        weights = [[-mean * c for c in self.signs] for _ in range(self.n)]
        for a, b, theta in self._angles(units):
            u, q = self.functions.gradient(theta)
            q *= kink
            along = kink * u + q
            ratio = norms[b] / norms[a]
            weights[a][a] -= self.signs[b] * ratio * along
            weights[a][b] += self.signs[b] * q
            if b < self.n:
                weights[b][b] -= self.signs[a] / ratio * along
                weights[b][a] += self.signs[a] * q
        return (arb_mat(weights) * arb_mat(rows)).mid().entries()

    def jacobian(self, _t: arb, y: Row) -> arb_mat:
        """−∂²L/∂w∂w of the groups."""
        _, norms, units = self._vectors(y)
        n, d = self.n, self.d
        mean, kink = ball(self.mean), ball(self.kink)
        total: list[list[Any]] = [[[] for _ in range(n)] for _ in range(n)]
        diagonal = [[-mean * self.counts[j] for j in range(n)] for _ in range(n)]
        for a, b, theta in self._angles(units):
            nu, omega = self.functions.hessian(theta)
            nu, omega = kink * nu, kink * omega
            if b < n:
                diagonal[a][b] += omega * self.counts[b]
                diagonal[b][a] += omega * self.counts[a]
            sine = theta.sin()
            if sine.contains(0):
                continue
            cosine = theta.cos()
            x, z = units[a], units[b]
            normal = [(q - cosine * p) / sine for p, q in zip(x, z, strict=True)]
            weight = self.signs[b] * nu * norms[b] / norms[a]
            diagonal[a][a] -= weight
            total[a][a] += [(weight, x, x), (-weight, normal, normal)]
            if b < n:
                back = [(p - cosine * q) / sine for p, q in zip(x, z, strict=True)]
                weight = self.signs[a] * nu * norms[a] / norms[b]
                diagonal[b][b] -= weight
                total[b][b] += [(weight, z, z), (-weight, back, back)]
                # sin θ (f̄f̄ᵀ − ēēᵀ) = n̄_ba b̄ᵀ + n̄_ab āᵀ
                share = nu / sine
                nu_b, nu_a = -share * self.counts[b], -share * self.counts[a]
                total[a][b] += [(nu_b, back, z), (nu_b, normal, x)]
                total[b][a] += [(nu_a, normal, x), (nu_a, back, z)]
        return _assembled(total, diagonal, d)

    def loss(self, y: Row) -> arb:
        """L."""
        rows, norms, units = self._vectors(y)
        total = arb(0)
        for column in zip(*rows, strict=True):
            r = sum((c * x for c, x in zip(self.signs, column, strict=True)), arb(0))
            total += r * r
        pairs = arb(0)
        for a, b, theta in self._angles(units, len(units)):
            (remainder,) = self.functions.remainder(theta)
            pairs += self.signs[a] * self.signs[b] * norms[a] * norms[b] * remainder
        return (ball(self.mean) / 2 * total + ball(self.kink) * pairs).mid()

    def explain(self, y: Row) -> str | None:
        """Why the flow may end here."""
        _, norms, _ = self._vectors(y)
        smallest = min(range(self.n), key=lambda i: norms[i])
        if norms[smallest] < max(norms) * DYING:
            return f"neuron {self.names[smallest]} reaches zero"
        return None

    def _vectors(self, y: Row) -> tuple[list[Row], Row, list[Row]]:
        """Rows of students and teachers, their norms, their units."""
        rows = [y[i * self.d : (i + 1) * self.d] for i in range(self.n)] + self.teachers
        norms = [sum((x * x for x in row), arb(0)).sqrt() for row in rows]
        units = [[x / norm for x in row] for row, norm in zip(rows, norms, strict=True)]
        return rows, norms, units

    def _angles(self, units: list[Row], first: int | None = None) -> list[tuple[int, int, arb]]:
        """(a, b, θ_ab), a < b, a below `first` (the number of students)."""
        pairs = []
        limit = self.n if first is None else first
        for b, z in enumerate(units):
            for a in range(min(b, limit)):
                chord = arb(0)
                for p, q in zip(units[a], z, strict=True):
                    gap = p - q
                    chord += gap * gap
                if chord < 3:
                    span = 4 - chord
                else:
                    totals = [p + q for p, q in zip(units[a], z, strict=True)]
                    span = sum((x * x for x in totals), arb(0))
                theta = 2 * arb.atan2(chord.mid().sqrt(), span.mid().sqrt())
                pairs.append((a, b, theta.mid()))
        return pairs


def _assembled(total: list[list[Any]], diagonal: list[list[arb]], d: int) -> arb_mat:
    """Blocks Σ weight · column rowᵀ + diagonal · I as one matrix."""
    rows: list[Row] = []
    for i, blocks in enumerate(total):
        strip: list[Row] = [[] for _ in range(d)]
        for j, terms in enumerate(blocks):
            if terms:
                left = arb_mat([[w * x for x in column] for w, column, _ in terms])
                block = (left.transpose() * arb_mat([row for *_, row in terms])).tolist()
            else:
                block = [[arb(0)] * d for _ in range(d)]
            for p in range(d):
                block[p][p] += diagonal[i][j]
                strip[p] += block[p]
        rows += strip
    return arb_mat(rows).mid()
