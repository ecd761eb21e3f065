"""How the loss of several quadratic students ends: t²L → 3m/(32 C²(m + 3)).

Near the minimum the flow is that of S = C WᵀW = v vᵀ + M, in axes along and across the teacher

    M = [[ρ, cᵀ], [c, P]],   S' = −C(S𝒢 + 𝒢S),   𝒢 = 2M + (tr M) I,

where c dies exponentially, ρ follows T = tr Q, and the eigenvalues q_i of Q = P − ccᵀ/(s + ρ), m of
which are not zero, fall like 1/t.  m = rank W(0) − 1 if W(0)v ≠ 0: the flow keeps the rank.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.quadratic_loss import PAPER, S
from symbolic.quadratic_scale import C
from symbolic.traces import trace

M = sp.Symbol("m", positive=True, integer=True)
TIME = sp.Symbol("t", positive=True)
RHO, CROSS = sp.symbols("rho c", real=True)
PART = sp.Symbol("P", nonnegative=True)
Q1, Q2 = sp.symbols("q_1 q_2", nonnegative=True)
TRACE = Q1 + Q2

PROFILE = 3 / (4 * C * (M + 3))  # q_i → PROFILE/t
RATE_CONSTANT = 3 * M / (32 * C**2 * (M + 3))  # t² L
SADDLE_LOSS = S**2 * (M + 3) / (2 * (M + 2))  # where W(0)v = 0, m = rank W(0)


@derivation(
    "quadratic-rate",
    "Several students: t²L → 3m/(32C²(m + 3)), m = rank W(0) − 1, for W(0)v ≠ 0",
    f"against the linear convergence of {PAPER}, Lemma 1",
)
def quadratic_rate() -> Derived:
    """The slow manifold, the reduced flow on it, its self-similar solution and its loss."""
    steps = (*_matrix_flow(), *_slow_manifold(), *_similar(), *_exponent(), *_saddle())
    return steps, RATE_CONSTANT


def pull(matrix: sp.Matrix) -> sp.Matrix:
    """𝒢(M) = 2M + (tr M) I, twice the derivative of the loss by M."""
    return 2 * matrix + matrix.trace() * sp.eye(matrix.rows)


def flow(matrix: sp.Matrix) -> sp.Matrix:
    """S' = M' for M and S = v vᵀ + M, the first axis along v."""
    whole = matrix + sp.diag(S, *[0] * (matrix.rows - 1))
    return -C * (whole * pull(matrix) + pull(matrix) * whole)


def matrix_loss(matrix: sp.Matrix) -> sp.Expr:
    """½‖M‖² + ¼(tr M)²."""
    return sp.Add(*(x**2 for x in matrix)) / 2 + matrix.trace() ** 2 / 4


def _flow_of_m(matrix: sp.Matrix) -> Step:
    """ρ', c', P' as entries of −C(S𝒢 + 𝒢S), from the right by the unit matrices E_ij."""
    whole, g = sp.MatrixSymbol("S", 2, 2), sp.MatrixSymbol(r"\mathcal{G}", 2, 2)
    at = {whole: matrix + sp.diag(S, 0), g: pull(matrix)}
    units = {
        sp.MatrixSymbol("E_11", 2, 2): sp.diag(1, 0),
        sp.MatrixSymbol("E_21", 2, 2): sp.Matrix([[0, 0], [1, 0]]),
        sp.MatrixSymbol("E_22", 2, 2): sp.diag(0, 1),
    }
    written = [
        (S + RHO) * (3 * RHO + PART) + 2 * CROSS**2,
        CROSS * (S + 3 * RHO + 3 * PART),
        PART * (3 * PART + RHO) + 2 * CROSS**2,
    ]
    return Step(
        "flow of M",
        "W' = −C W𝒢 gives S' = C(W'ᵀW + WᵀW') = −C(S𝒢 + 𝒢S); ρ', c', P' for d = 2, tr(S'E_ij). "
        "Near the minimum c' = −2Cs c: c dies exponentially",
        -C * sp.Matrix([trace((whole * g + g * whole) * unit, at | units) for unit in units]),
        -2 * C * sp.Matrix(written),
        reference="quadratic-gradient, quadratic-scale",
    )


def _matrix_flow() -> tuple[Step, ...]:
    a, b = (sp.Matrix(sp.symbols(f"{name}_1:3", real=True)) for name in "ab")
    corner = sp.Symbol("G_11", real=True)
    matrix = sp.Matrix([[RHO, CROSS], [CROSS, PART]])
    velocity = flow(matrix)
    schur = PART - CROSS**2 / (S + RHO)
    slopes = [sp.diff(schur, x) for x in (RHO, CROSS, PART)]
    change = sp.Matrix([velocity[0, 0], velocity[0, 1], velocity[1, 1]])
    return (
        _flow_of_m(matrix),
        Step(
            "components along the teacher",
            "W = (a, b), c = C a·b: a' = −C(𝒢_11 a + 2c b) is linear in a: zero only if a(0) is",
            -C * (corner * a + 2 * (C * a.dot(b)) * b),
            -C * (corner * sp.eye(2) + 2 * C * b * b.T) * a,
        ),
        Step(
            "rank",
            "det S = (s + ρ)Q, s + ρ = C‖a‖²: rank S = rank W = 1 + rank Q if a ≠ 0",
            (matrix + sp.diag(S, 0)).det(),
            (S + RHO) * schur,
        ),
        Step(
            "flow of Q",
            "Q' = −2CQ(…): zero only if Q(0) is. For any d, W(t) = W(0)X(t) with X invertible: "
            "m = rank Q = rank W(0) − 1 for all t",
            sp.Matrix([slopes]).dot(change),
            -2 * C * schur * (3 * schur + RHO + CROSS**2 / (S + RHO)),
            {RHO: (0, 1)},
        ),
    )


def _slow_manifold() -> tuple[Step, ...]:
    """c = 0 and m = 2: M = diag(ρ, q_1, q_2)."""
    diagonal = sp.diag(RHO, Q1, Q2)
    velocity = sp.Matrix(flow(diagonal).diagonal()).T
    settled = {RHO: -TRACE / 3}
    return (
        Step(
            "where ρ settles",
            "∂L/∂ρ = 0 at ρ = −T/3, to which ρ falls at the rate 6Cs; critical points with "
            "a ≠ 0 are only q = 0, the minima",
            sp.Derivative(matrix_loss(diagonal), RHO),
            3 * (RHO + TRACE / 3) / 2,
        ),
        Step(
            "reduced flow",
            "c = 0, m = 2: q_i' = −2C q_i(2q_i + ρ + T), which is −4C q_i(q_i + T/3) at ρ = −T/3",
            velocity[1:, :].subs(settled),
            -4 * C * sp.Matrix([q * (q + TRACE / 3) for q in (Q1, Q2)]),
        ),
        Step(
            "reduced loss",
            "½Σq_i² + T²/6, of degree 4 in R, Q = C RᵀR",
            matrix_loss(diagonal).subs(settled),
            (Q1**2 + Q2**2) / 2 + TRACE**2 / 6,
        ),
    )


def _similar() -> tuple[Step, Step]:
    q = PROFILE / TIME
    return (
        Step(
            "self-similar solution",
            "q_i = q/t for all m, T = m q/t, with q = 3/(4C(m + 3))",
            sp.Derivative(q, TIME),
            -4 * C * q * (q + M * q / 3),
        ),
        Step(
            "constant",
            "t² times the reduced loss; M → 0, so that this is the limit of t²L",
            TIME**2 * (M * q**2 / 2 + (M * q) ** 2 / 6),
            RATE_CONSTANT,
        ),
    )


def _exponent() -> tuple[Step, Step]:
    degree, above_two = sp.Symbol("p", positive=True), sp.Symbol("n", positive=True)
    height, radius = sp.symbols("ell r", positive=True)
    inward = -degree * height * radius ** (above_two + 1)
    loss = height * (degree * above_two * height * TIME) ** (-degree / above_two)
    return (
        Step(
            "flow of a homogeneous loss",
            "loss ℓr^p on a ray, n = p − 2: r' = −pℓr^{p−1}, (r^{−n})' = pnℓ, r^{−n} = pnℓt",
            -above_two * radius ** (-above_two - 1) * inward,
            degree * above_two * height,
        ),
        Step(
            "exponent",
            "d ln L/d ln t of L = ℓ(pnℓt)^{−p/n}; it is −p/(p − 2) = −2 for p = 4",
            TIME * sp.Derivative(sp.log(loss), TIME),
            -degree / above_two,
        ),
    )


def _saddle() -> tuple[Step, Step]:
    q = S / (M + 2)
    return (
        Step(
            "a start orthogonal to the teacher",
            "a = 0 stays: ρ = −s, and q_i' = 0 at q_i = s/(m + 2), m = rank W(0)",
            2 * q - S + M * q,
            sp.S.Zero,
        ),
        Step(
            "loss at this saddle",
            "½(ρ² + Σq_i²) + ¼(ρ + Σq_i)²",
            (S**2 + M * q**2) / 2 + (-S + M * q) ** 2 / 4,
            SADDLE_LOSS,
        ),
    )
