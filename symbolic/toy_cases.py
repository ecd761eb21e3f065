"""Invariant subspaces of the gradient flow, each reduced to its scalar equation (Xu & Du's toys).

μ = mean and κ = kink weight of the activation: μ = ½, κ = 1 for the ReLU, ½(1 + α²) and (1 − α)²
for the leaky one.  One teacher v = (V, 0).
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derived, Step, derivation
from symbolic.gaussian import THETA
from symbolic.pairs import pair_gradient
from symbolic.special import kink, written_out

MU, KAPPA, V = sp.symbols("mu kappa V", positive=True)
R, H_0 = sp.symbols("r H_0", real=True)
RHO = sp.Symbol("rho", positive=True)
T = sp.Symbol("t", nonnegative=True)
N = sp.Symbol("n", integer=True, positive=True)
ACUTE = {THETA: (sp.S.Zero, sp.pi / 2)}
PAPER = "Xu & Du 2023, case study"
SYMBOLS = "V = ‖v‖; μ and κ are the weights mean and kink of leaky-split (ReLU: ½ and 1)"
TEACHER = sp.Matrix([V, 0])


def direction(angle: sp.Expr) -> sp.Matrix:
    """The unit vector at this angle to the teacher."""
    return sp.Matrix([sp.cos(angle), sp.sin(angle)])


def pull(own: sp.Matrix, norm: sp.Expr, other: sp.Matrix, angle: sp.Expr) -> sp.Matrix:
    """∂(A B R)/∂a = B [(u + q) ā − q b̄] at unit vectors ā, b̄, of `pair-gradient`."""
    u, q = pair_gradient().result
    along, back = (f.subs(THETA, angle) for f in (sp.expand(written_out(u + q)), q))
    return along * norm * own - back * norm * other


def no_pull(norm: sp.Expr) -> sp.Matrix:
    """The same for parallel vectors, standing unevaluated."""
    acting = pull(direction(sp.S.Zero), norm, direction(THETA), THETA)
    return acting.applyfunc(lambda entry: sp.Subs(entry, THETA, 0))


@derivation(
    "toy-1",
    "Toy case 1: two students that are mirror images about the teacher stay so; on w₁ + w₂ = v the "
    f"flow is a scalar equation for their angle θ to it. {SYMBOLS}",
    f"{PAPER}, toy case 1",
)
def toy_1() -> Derived:
    """The result is (θ', L) on the invariant set r = 0."""
    first, second = direction(THETA), direction(-THETA)
    along, across = first, sp.Matrix([-sp.sin(THETA), sp.cos(THETA)])
    residual = sp.Matrix([2 * RHO * sp.cos(THETA) - V, 0])

    def velocity(own: sp.Matrix, other: sp.Matrix) -> sp.Matrix:
        students = pull(own, RHO, other, 2 * THETA)
        return -MU * residual - KAPPA * (students - pull(own, V, sp.Matrix([1, 0]), THETA))

    speed = velocity(first, second)
    drift = 2 * speed[0]  # of r, along the teacher
    sum_is_teacher = {RHO: V / (2 * sp.cos(THETA))}
    angular = (MU * residual[0] * sp.sin(THETA) / RHO) + KAPPA * THETA / (2 * sp.pi) * (
        V * sp.sin(THETA) / RHO - 2 * sp.sin(2 * THETA)
    )
    on_set = sum_is_teacher[RHO]
    scalar = -KAPPA * THETA * sp.sin(2 * THETA) / (2 * sp.pi)
    pairs = (RHO**2 * kink(2 * THETA) - 2 * RHO * V * kink(THETA)) / (2 * sp.pi)
    loss = KAPPA * V**2 / (2 * sp.pi)
    loss *= kink(2 * THETA) / (4 * sp.cos(THETA) ** 2) - kink(THETA) / sp.cos(THETA)
    steps = (
        Step(
            "mirror",
            "w₁, w₂ = ρ(cos θ, ± sin θ): the velocity of w₂ is the mirror image of that of w₁",
            velocity(second, first),
            sp.diag(1, -1) * speed,
            ACUTE,
        ),
        Step(
            "angular velocity",
            "dθ/dt = ē·dw₁/dt/ρ, ē = (−sin θ, cos θ), r = 2ρ cos θ − V; pulls of pair-gradient",
            sp.expand(across.dot(speed) / RHO),
            angular,
            ACUTE,
        ),
        Step(
            "radial velocity",
            "dρ/dt = w̄₁·dw₁/dt",
            along.dot(speed),
            -MU * residual[0] * sp.cos(THETA)
            - KAPPA
            / (2 * sp.pi)
            * (
                RHO * (sp.sin(2 * THETA) - 2 * THETA * sp.cos(2 * THETA))
                - V * (sp.sin(THETA) - THETA * sp.cos(THETA))
            ),
            ACUTE,
        ),
        Step(
            "invariance of r = 0",
            "dr/dt = 2 v̄·dw₁/dt vanishes at ρ = V/(2 cos θ)",
            drift.subs(sum_is_teacher),
            sp.S.Zero,
            ACUTE,
        ),
        Step(
            "attraction to r = 0",
            "∂(dr/dt)/∂r at θ = 0: r decays at the rate n μ, n = 2",
            sp.Limit(sp.diff(drift, RHO) / (2 * sp.cos(THETA)), THETA, 0),
            -2 * MU,
        ),
        Step(
            "scalar equation",
            "dθ/dt on r = 0; it does not depend on V",
            angular.subs(sum_is_teacher),
            scalar,
            ACUTE,
        ),
        Step(
            "loss",
            "κ Σ c_a c_b ‖a‖‖b‖ s(θ_ab)/2π over pairs at ρ = V/(2 cos θ), s(θ) = sin θ − θ cos θ",
            sp.Subs(KAPPA * pairs, RHO, on_set),
            loss,
            ACUTE,
        ),
        Step(
            "energy identity",
            "dL/dt = −‖∇L‖² = −2‖dw₁/dt‖²; on r = 0, dw₁/dt = (dρ/dθ w̄₁ + ρ ē) dθ/dt",
            sp.Derivative(loss, THETA) * scalar,
            -2 * (on_set**2 + sp.Derivative(on_set, THETA) ** 2) * scalar**2,
            ACUTE,
        ),
    )
    return steps, sp.Tuple(scalar, loss)


@derivation(
    "toy-2",
    f"Toy case 2: students parallel to the teacher stay so, and converge exponentially. {SYMBOLS}",
    f"{PAPER}, toy case 2",
)
def toy_2() -> Derived:
    """The result is L(t)."""
    h = sp.Function("H")(T)
    i = sp.Symbol("i", integer=True)
    decay = H_0 * sp.exp(-N * MU * T)
    unit = sp.Matrix([1, 0])
    loss = MU * V**2 * H_0**2 / 2 * sp.exp(-2 * N * MU * T)
    steps = (
        Step(
            "no pair acts",
            "w_i = V h_i v̄, h_i > 0: at the angle 0 the gradient of every pair vanishes",
            no_pull(V),
            sp.zeros(2, 1),
        ),
        Step(
            "one direction",
            "dw_i/dt = −μ r, r = −V H v̄ with H = 1 − Σ h_i: along v",
            (-MU * R * unit).applyfunc(lambda entry: sp.Subs(entry, R, -V * h)),
            MU * V * h * unit,
        ),
        Step(
            "scalar equation",
            "dH/dt = −Σ dh_i/dt and dh_i/dt = μ H",
            -sp.Sum(MU * h, (i, 1, N)),
            -N * MU * h,
        ),
        Step(
            "solution",
            "H = H_0 exp(−n μ t) satisfies it",
            sp.Derivative(decay, T),
            -N * MU * decay,
        ),
        Step(
            "loss", "no pair contributes: L = ½ μ ‖r‖²", sp.Subs(MU * R**2 / 2, R, V * decay), loss
        ),
        Step(
            "ReLU",
            "μ = ½: L = ¼ ‖v‖² H_0² exp(−n t)",
            sp.Subs(loss, MU, sp.Rational(1, 2)),
            V**2 * H_0**2 / 4 * sp.exp(-N * T),
        ),
    )
    return steps, loss


@derivation(
    "toy-3",
    "Toy case 3: equal students stay equal, and their sum follows one neuron at n times the speed. "
    f"{SYMBOLS}",
    f"{PAPER}, toy case 3",
)
def toy_3() -> Derived:
    """The result is the velocity of u = Σ w_i."""
    own, teacher = direction(THETA), sp.Matrix([1, 0])

    def velocity(norm: sp.Expr, count: sp.Expr) -> sp.Matrix:
        """Of one of `count` students of this norm at the angle θ to the teacher."""
        others = (count - 1) * pull(own, norm, own, sp.S.Zero)
        towards = pull(own, V, teacher, THETA)
        return -MU * (count * norm * own - TEACHER) - KAPPA * (others - towards)

    norm, i = sp.Symbol("omega", positive=True), sp.Symbol("i", integer=True)
    single = velocity(RHO, sp.S.One)
    angles = {THETA: (sp.S.Zero, sp.pi)}
    steps = (
        Step(
            "equal students do not act",
            "at the angle 0 the gradient of a pair vanishes",
            no_pull(RHO),
            sp.zeros(2, 1),
        ),
        Step(
            "equal velocities",
            "dw_i/dt depends on the sum u = n w only: at ‖w‖ = ρ/n it is what one neuron of norm ρ "
            "feels; pulls of pair-gradient",
            velocity(norm, N).applyfunc(lambda entry: sp.Subs(entry, norm, RHO / N)),
            single,
            angles,
        ),
        Step(
            "sum",
            "du/dt = Σ dw_i/dt: one neuron, n times as fast",
            single.applyfunc(lambda entry: sp.Sum(entry, (i, 1, N))),
            N * single,
            angles,
        ),
    )
    return steps, N * single


@derivation(
    "sum-invariance",
    "Two students with w₁ + w₂ = v keep that sum: the slow manifold of n = 2 is r = 0, exactly",
)
def sum_invariance() -> Derived:
    """The result is d(w₁ + w₂)/dt there, zero."""
    one, two = sp.symbols("theta_1 theta_2", positive=True)
    acute = {one: (sp.S.Zero, sp.pi / 2), two: (sp.S.Zero, sp.pi / 2)}
    first, second, teacher = direction(one), direction(-two), sp.Matrix([1, 0])
    # The triangle of w₁, w₂ and v.
    norm_1 = V * sp.sin(two) / sp.sin(one + two)
    norm_2 = V * sp.sin(one) / sp.sin(one + two)
    pulls = [
        pull(first, norm_2, second, one + two) - pull(first, V, teacher, one),
        pull(second, norm_1, first, one + two) - pull(second, V, teacher, two),
    ]
    steps = (
        Step(
            "triangle",
            "law of sines, angles θ₁ and θ₂ to v on either side: w₁ + w₂ = v",
            norm_1 * first + norm_2 * second,
            TEACHER,
            acute,
        ),
        Step(
            "pull on the first",
            "‖w₂‖ sin θ₁₂ = V sin θ₁: what acts along w₁ cancels, (θ₁ v − θ₁₂ w₂)/2π is left",
            pulls[0],
            (one * TEACHER - (one + two) * norm_2 * second) / (2 * sp.pi),
            acute,
        ),
        Step(
            "pulls cancel",
            "θ₁₂ = θ₁ + θ₂, and μ r = 0",
            pulls[0] + pulls[1],
            sp.zeros(2, 1),
            acute,
        ),
    )
    return steps, sp.zeros(2, 1)
