"""Activations other than ReLU: kernels against integrals, derivatives, flows, files, bad input."""

import pickle
import re
from fractions import Fraction
from functools import cache
from pathlib import Path

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import flowkit
from flowkit import ArcCosine, Erf, Monomial, Polynomial, Smooth, TeacherStudent
from symbolic.activations import parse_activation
from symbolic.arc_cosine import arccos_0, arccos_2
from symbolic.erf_kernel import erf_kernel
from symbolic.moments import monomial_kernel

Z = sp.Symbol("z")
MP = mpmath.MPContext()
MP.dps = 60
TANH, SOFTPLUS = sp.tanh(Z), sp.log(1 + sp.exp(Z))
SIGMOID = 1 / (1 + sp.exp(-Z))
CLOSED = [ArcCosine(0), ArcCosine(2), Erf(), Monomial(3), Polynomial([1, "-1/2", 0, "1/3"])]
ALL = [*CLOSED, Smooth(TANH, nodes=16), Smooth(SOFTPLUS, nodes=11)]
V = [[Fraction(1), Fraction(1, 2)]]
W = [[Fraction(3, 10), Fraction(-2, 5)], [Fraction(-1, 5), Fraction(3, 5)]]


def named(values):
    return pytest.mark.parametrize("activation", values, ids=str)


def fractions(rows):
    return np.array([[Fraction(x) for x in row] for row in rows], dtype=object)


def mpf(rows):
    """Of mpmath's global context, as results are."""
    return np.vectorize(lambda x: mpmath.mpf(x.numerator) / x.denominator, otypes=[object])(rows)


def digits(value, truth):
    """Common decimal digits; of arrays relative to the largest entry."""
    x, y = (np.ravel(np.asarray(a, dtype=object)) for a in (value, truth))
    x, y = ([MP.convert(v) for v in a] for a in (x, y))
    size = max(map(abs, y))
    gap = max(abs(p - q) for p, q in zip(x, y, strict=True))
    return 1000 if gap == 0 else float(-MP.log10(gap / size))


# ---- kernels -------------------------------------------------------------------------------------


def phi(x):
    return MP.exp(-x * x / 2) / MP.sqrt(2 * MP.pi)


def below(x):
    return MP.erfc(-x / MP.sqrt(2)) / 2


def half_line(order, p, c, q):
    """E [u]₊ⁿ[v]₊ⁿ: v given u = √p x is normal with mean m = c x/√p and variance τ² = w²/p."""
    tau = MP.sqrt((p * q - c * c) / p)

    def given(m):
        if order == 0:
            return below(m / tau)
        return (m * m + tau * tau) * below(m / tau) + m * tau * phi(m / tau)

    def integrand(x):
        return phi(x) * (MP.sqrt(p) * x) ** order * given(c * x / MP.sqrt(p))

    return MP.quad(integrand, [0, 0.5, 1, 2, 4, 8, 16])


def plane(sigma, p, c, q, step=0.3125):
    """E σ(u)σ(v) for entire σ by the trapezoidal rule in two independent variables."""
    ticks = [k * MP.mpf(step) for k in range(-int(13 / step), int(13 / step) + 1)]
    weights = [phi(x) * step for x in ticks]
    root, tau = MP.sqrt(p), MP.sqrt((p * q - c * c) / p)
    total = MP.zero
    for x, one in zip(ticks, weights, strict=True):
        m = c * x / root  # the mean of v given u
        inner = MP.fsum(b * sigma(m + tau * y) for y, b in zip(ticks, weights, strict=True))
        total += one * sigma(root * x) * inner
    return total


def cubic(z):
    return 1 - z / 2 + z**3 / 3


INTEGRALS = {
    ArcCosine(0): lambda *gram: half_line(0, *gram),
    ArcCosine(2): lambda *gram: half_line(2, *gram),
    Erf(): lambda *gram: plane(lambda z: MP.erf(z / MP.sqrt(2)), *gram),
    Monomial(3): lambda *gram: plane(lambda z: z**3, *gram),
    Polynomial([1, "-1/2", 0, "1/3"]): lambda *gram: plane(cubic, *gram),
}


@named(CLOSED)
@pytest.mark.parametrize("gram", [(1.25, 0.5, 0.75), (0.5, -0.5, 2.0)])
def test_kernel_is_the_integral(activation, gram):
    p, c, q = map(MP.mpf, gram)
    values = {x: sp.Rational(g) for x, g in zip(symbols(), gram, strict=True)}
    stated = activation.kernel().subs(values).evalf(50)
    assert digits(str(stated), INTEGRALS[activation](p, c, q)) > 31


def symbols():
    from symbolic.gram import C, P, Q

    return P, C, Q


def test_the_loss_is_the_integral():
    """One student, one teacher, in the exact Gram matrix: ½(K(w, w) − 2K(w, v) + K(v, v))."""
    w, v = np.array(W[0]) / 2, np.array(V[0]) / 2
    gram = [(w @ w, w @ w, w @ w), (w @ w, w @ v, v @ v), (v @ v, v @ v, v @ v)]
    truth = MP.zero
    for weight, entries in zip((1, -2, 1), gram, strict=True):
        p, c, q = (MP.mpf(x.numerator) / x.denominator for x in entries)
        truth += weight * plane(lambda z: MP.erf(z / MP.sqrt(2)), p, c, q) / 2
    assert digits(TeacherStudent([v], "erf").loss([w], precision=40), truth) > 31


def test_numbers_come_from_the_derivations():
    assert ArcCosine(0).kernel() == arccos_0().result
    assert ArcCosine(2).kernel() == arccos_2().result
    assert Erf().kernel() == erf_kernel().result


DERIVATIONS = [arccos_0, arccos_2, erf_kernel, monomial_kernel]


# ---- derivatives ---------------------------------------------------------------------------------

STEP = Fraction(1, 10**30)


def differences(function, at):
    """Central differences by every component, to sixty digits."""
    columns = []
    for index in np.ndindex(at.shape):
        plus, minus = at.copy(), at.copy()
        plus[index] += STEP
        minus[index] -= STEP
        gap = np.ravel(function(plus)) - np.ravel(function(minus))
        columns.append(gap * 10**30 / 2)
    return np.array(columns)


def check_derivatives(problem, at, wanted=40):
    at = fractions(at)
    with mpmath.workdps(120):
        slope = differences(lambda x: problem.loss(x, precision=110), at)
        bend = differences(lambda x: problem.gradient(x, precision=80), at)
    assert digits(problem.gradient(at, precision=50), slope) > wanted
    assert digits(problem.hessian(at, precision=50), bend) > wanted
    truth = np.ravel(problem.gradient(at, precision=30)).astype(float)
    assert problem.gradient(at).ravel() == pytest.approx(truth, rel=0, abs=1e-13 * abs(truth).max())
    assert problem.loss(at) == pytest.approx(float(problem.loss(at, precision=30)), rel=1e-14)
    assert (problem.hessian(at) == problem.hessian(at).T).all()


@named(ALL)
def test_gradient_and_hessian_are_derivatives(activation):
    check_derivatives(TeacherStudent([*V, [-1, 1]], activation), W)


@named([a for a in ALL if a != ArcCosine(0)])
def test_derivatives_where_vectors_are_parallel(activation):
    """A student on the teacher's line, one opposite to it, two of them equal."""
    at = [[2, 1], [-1, Fraction(-1, 2)], [-1, Fraction(-1, 2)]]
    check_derivatives(TeacherStudent(V, activation), at, wanted=25)


@named([a for a in ALL if not isinstance(a, ArcCosine)])
def test_derivatives_at_zero(activation):
    check_derivatives(TeacherStudent(V, activation), [[0, 0], W[0]])


@pytest.mark.parametrize("size", ["1e-9", "1e-40", "1e9"])
@named([Erf(), ArcCosine(2), Smooth(sp.atan(Z), nodes=12)])
def test_small_and_large_students(activation, size):
    """W·∇L is the derivative of L(λW) at λ = 1, where nothing is of order one."""
    problem, at = TeacherStudent(V, activation), fractions(W) * Fraction(size)
    with mpmath.workdps(200):
        shift = Fraction(1, 10**20)
        rise = problem.loss(at * (1 + shift), precision=180)
        rise -= problem.loss(at * (1 - shift), precision=180)
        slope = problem.gradient(at, precision=60).ravel() @ mpf(at).ravel()
        assert digits(slope, rise * 10**20 / 2) > 25


@named(CLOSED)
def test_expressions_are_what_is_evaluated(activation):
    problem = TeacherStudent(V, activation)
    form = problem.expressions(2)
    point = {s: sp.Rational(str(x)) for s, x in zip(form.students, np.ravel(W), strict=True)}
    point |= {s: sp.Rational(str(x)) for s, x in zip(form.teachers, np.ravel(V), strict=True)}

    def values(entries):
        return [str(sp.sympify(x).subs(point).evalf(60)) for x in entries]

    assert digits([problem.loss(W, precision=50)], values([form.loss])) > 48
    assert digits(problem.gradient(W, precision=50), values(form.gradient)) > 48
    row = [sp.diff(form.gradient[0], s) for s in form.students]
    assert digits(problem.hessian(W, precision=50)[0], values(row)) > 48


@pytest.mark.parametrize("quantity", ["loss", "gradient", "hessian"])
def test_degree_two_is_phase_retrieval(quantity):
    """½ E (…)² here, ¼ E (…)² there."""
    rng = np.random.default_rng(0)
    v, w = rng.standard_normal(4), rng.standard_normal((3, 4))
    mine = getattr(TeacherStudent(v, "monomial:2"), quantity)(w)
    theirs = getattr(flowkit.PhaseRetrieval(v), quantity)(w)
    assert np.ravel(mine) == pytest.approx(2 * np.ravel(theirs), rel=1e-12)


def test_degree_one_is_linear():
    """L = ½ ‖Σ w − v‖²."""
    r = np.sum(W, axis=0) - V[0]
    assert TeacherStudent(V, "monomial:1").loss(W) == pytest.approx(float(r @ r) / 2, rel=1e-15)


@named([*CLOSED, Smooth(TANH, nodes=16)])
def test_the_teacher_is_a_minimum(activation):
    teacher = fractions([*V, [-1, 1]])
    problem = TeacherStudent(teacher, activation)
    assert problem.loss(teacher[::-1]) == 0
    if activation != ArcCosine(0):
        assert not problem.gradient(teacher[::-1]).any()
        assert np.linalg.eigvalsh(problem.hessian(teacher)).min() > -1e-12


def test_a_zero_student_of_a_step_counts_nothing():
    problem = TeacherStudent(V, "arccos:0")
    assert problem.loss([*W, [0, 0]]) == problem.loss(W)


# ---- invariances ---------------------------------------------------------------------------------

TURN = fractions([["3/5", "-4/5", 0], ["4/5", "3/5", 0], [0, 0, 1]]) @ fractions(
    [["1/3", "2/3", "2/3"], ["2/3", "1/3", "-2/3"], ["2/3", "-2/3", "1/3"]]
)


def some_rows(low, high):
    row = st.tuples(*[st.integers(-9, 9)] * 3).filter(any)
    return st.lists(row, min_size=low, max_size=high, unique=True).map(fractions)


@named(ALL)
@hypothesis_settings(max_examples=5)
@given(w=some_rows(1, 3), v=some_rows(1, 2), draw=st.randoms(use_true_random=False))
def test_rotation_and_permutation(activation, w, v, draw):
    w = w / 4
    order = list(range(len(w)))
    draw.shuffle(order)
    one, other = TeacherStudent(v, activation), TeacherStudent((v @ TURN)[::-1], activation)
    turned = (w @ TURN)[order]
    loss = one.loss(w, precision=30)
    assert loss >= 0
    assert abs(other.loss(turned, precision=30) - loss) <= 1e-28 * loss
    if activation != ArcCosine(0):
        with mpmath.workdps(40):
            expected = (one.gradient(w, precision=30) @ mpf(TURN))[order]
            found = other.gradient(turned, precision=30)
            assert abs(found - expected).max() <= 1e-28 * abs(expected).max()


# ---- quadrature ----------------------------------------------------------------------------------


@cache
def parallel_loss(name, w):
    """½ E (σ(w x) − σ(x))² in one dimension."""
    sigma = {"tanh": MP.tanh, "softplus": lambda z: MP.log1p(MP.exp(z))}.get(name)
    sigma = sigma or (lambda z: 1 / (1 + MP.exp(-z)))
    edges = [-12, -5, -2, -1, -0.3, -0.05, 0, 0.05, 0.3, 1, 2, 5, 12]
    with MP.workdps(25):
        return MP.quad(lambda x: (sigma(w * x) - sigma(x)) ** 2 * phi(x) / 2, edges)


@pytest.mark.parametrize("nodes", [8, 21])
@pytest.mark.parametrize("w", [-0.5, 20.0])
@pytest.mark.parametrize("name", ["tanh", "softplus", "sigmoid"])
def test_the_quadrature_error_is_not_below_the_true_one(name, w, nodes):
    sigma = {"tanh": TANH, "softplus": SOFTPLUS, "sigmoid": SIGMOID}[name]
    problem, truth = TeacherStudent([1.0], Smooth(sigma, nodes=nodes)), parallel_loss(name, w)
    error = abs(MP.convert(problem.loss([[w]], precision=25)) - truth)
    stated = problem.quadrature_error([[w]])
    assert error <= stated.absolute <= 200 * error
    loss = problem.loss([[w]])
    assert stated.relative == pytest.approx(stated.absolute / loss, rel=1e-12)


@pytest.mark.parametrize("nodes", [8, 13, 40])
def test_the_quadrature_error_against_the_closed_form(nodes):
    rng = np.random.default_rng(nodes)
    smooth = Smooth(sp.erf(Z / sp.sqrt(2)), nodes=nodes)
    for size in (0.1, 1.0, 3.0):
        v, w = rng.standard_normal((2, 3)), size * rng.standard_normal((2, 3))
        problem = TeacherStudent(v, smooth)
        error = abs(problem.loss(w, precision=25) - TeacherStudent(v, "erf").loss(w, precision=25))
        assert error <= problem.quadrature_error(w).absolute <= 200 * error


def test_more_nodes_come_closer():
    exact = TeacherStudent(V, "erf")
    for quantity in ("loss", "gradient", "hessian"):
        truth = np.ravel(getattr(exact, quantity)(W))
        sigma = sp.erf(Z / sp.sqrt(2))
        problem = TeacherStudent(V, Smooth(sigma, nodes=80))
        assert np.ravel(getattr(problem, quantity)(W)) == pytest.approx(truth, abs=1e-12)


def test_closed_forms_have_no_quadrature_error():
    for activation in ("erf", "relu"):
        assert TeacherStudent(V, activation).quadrature_error(W) == (0, 0)


def test_polynomials_are_integrated_exactly():
    smooth, exact = TeacherStudent(V, Smooth(Z**3, nodes=8)), TeacherStudent(V, "monomial:3")
    for quantity in ("loss", "gradient", "hessian"):
        values = [getattr(p, quantity)(W, precision=40) for p in (smooth, exact)]
        assert digits(*values) > 39
    assert smooth.quadrature_error(W).relative < 1e-15


def test_hermite_nodes_integrate_powers_exactly():
    """Σ w x^(2m) = (2m − 1)!! up to degree 2N − 1, to sixty digits; h_k are orthonormal."""
    import flint

    from flowkit.problems.quadrature import hermite

    for count in (8, 9, 30):
        points, transform = hermite(count, 256)
        with flint.ctx.workprec(256):
            for m in range(count):
                total = sum(transform[i, 0] * x ** (2 * m) for i, x in enumerate(points))
                assert abs(total / int(sp.factorial2(2 * m - 1)) - 1) < 1e-60
            product = transform.transpose() * flint.arb_mat(
                [[transform[i, k] / transform[i, 0] for k in range(count)] for i in range(count)]
            )
            unit = flint.arb_mat(count, count, [i % (count + 1) == 0 for i in range(count**2)])
            assert max(abs(x).upper() for x in (product - unit).entries()) < 1e-60


# ---- flows ---------------------------------------------------------------------------------------


@named([a for a in ALL if a != ArcCosine(0)])
def test_the_loss_falls(activation):
    flow = flowkit.integrate(TeacherStudent([[1.0, 0.5]], activation), [[0.3, -0.4], [0.2, 0.6]], 3)
    assert flow.status == "finished"
    assert (np.diff(flow.loss) < 0).all()
    assert flow.loss_digits.min() >= 10
    assert flow.loss[-1] == pytest.approx(flow.problem.loss(flow.w[-1]), rel=1e-9)


@named([Erf(), ArcCosine(2), ArcCosine(0), Monomial(3)])
def test_against_the_flow_of_the_expression(activation):
    problem = TeacherStudent([["1", "0.5", "0"]], activation)
    form = problem.expressions(1)
    values = dict(zip(form.teachers, map(sp.Rational, ("1", "0.5", "0")), strict=True))
    symbolic = flowkit.SymbolicLoss(form.loss.subs(values), list(form.students))
    settings = {"precision": 30, "t_eval": ["0.1", "0.25"]}
    w0 = ["0.3", "-0.4", "0.2"]
    mine = flowkit.integrate(problem, [w0], "0.25", **settings)
    theirs = flowkit.integrate(symbolic, w0, "0.25", **settings)
    assert digits(mine.loss, theirs.loss) > 29
    assert digits(mine.w[:, 0], theirs.w) > 29


def test_a_flow_of_quadrature_is_that_of_the_polynomial():
    settings = {"precision": 20, "t_eval": [1]}
    starts = [["0.3", "-0.4"], ["0.2", "0.6"]]
    flows = [
        flowkit.integrate(TeacherStudent(V, activation), starts, 1, **settings)
        for activation in (Monomial(3), Smooth(Z**3, nodes=8))
    ]
    assert digits(flows[0].w, flows[1].w) > 19


def test_the_flow_of_degree_two_is_phase_retrieval_twice_as_fast():
    w0 = [[0.3, -0.4, 0.1], [0.2, 0.6, 0.3]]
    one = flowkit.integrate(TeacherStudent([1.0, 0.5, 0.0], "monomial:2"), w0, 2)
    other = flowkit.integrate(flowkit.PhaseRetrieval([1.0, 0.5, 0.0]), w0, 4)
    assert one.loss_at(2) == pytest.approx(2 * other.loss_at(4), rel=1e-8)
    assert one(2) == pytest.approx(other(4), rel=1e-7)


def test_equal_students_and_many_dimensions():
    """Equal students are one and only the span moves: as in the plane, and as with one of weight
    two."""
    rng = np.random.default_rng(0)
    teacher, row = rng.standard_normal(30) / 5, rng.standard_normal(30) / 5
    wide = flowkit.integrate(TeacherStudent(teacher, "erf"), [row, row, -row], 2)
    assert wide.ready.system.size == 4
    assert (wide.w[-1][0] == wide.w[-1][1]).all()
    basis = np.linalg.qr(np.array([teacher, row]).T)[0].T
    flat = flowkit.integrate(
        TeacherStudent(basis @ teacher, "erf"),
        [basis @ row * (1 + 1e-12 * k) * (1, 1, -1)[k] for k in range(3)],
        2,
    )
    assert flat.ready.system.size == 6
    assert wide.loss[-1] == pytest.approx(flat.loss[-1], rel=1e-8)


def test_a_step_ends_where_it_touches_the_teacher():
    """θ' = −1/2π‖w‖² for one student: it arrives at t = 2π‖w‖²θ(0), its norm unchanged."""
    flow = flowkit.integrate(
        TeacherStudent([1.0, 0.0], "arccos:0"), [[0.6, 0.8]], 100, precision=20
    )
    assert flow.status == "singularity"
    assert "neuron 0 becomes parallel to teacher 0" in flow.message
    assert float(flow.t[-1]) == pytest.approx(2 * np.pi * np.arctan2(0.8, 0.6), rel=1e-6)
    assert float(np.linalg.norm(flow.w[-1].astype(float))) == pytest.approx(1, rel=1e-12)


@named(ALL)
def test_problems_can_be_pickled(activation):
    problem = TeacherStudent(V, activation)
    loss = problem.loss(W)
    assert pickle.loads(pickle.dumps(problem)).loss(W) == loss


@named([*ALL, Smooth(SIGMOID)])
def test_files(activation, tmp_path):
    w0 = [["0.3", "-0.4"], ["0.2", "0.6"]]
    problem = TeacherStudent([["0.1", "0.5"]], activation)
    flow = flowkit.integrate(problem, w0, "0.1", certify=False, rtol=1e-3)
    flow.save(tmp_path / "run.nc")
    other = flowkit.load(tmp_path / "run.nc")
    assert other.problem.activation == activation
    assert (other.w == flow.w).all()
    assert (other.loss == flow.loss).all()
    further = flowkit.resume(tmp_path / "run.nc", "0.2")
    assert further.loss[-1] < flow.loss[-1]


def test_doubles_are_refused_by_name():
    problem = TeacherStudent([1.0, 0.5], "erf")
    given = {"events": lambda t, w: t, "stop_loss": 0.1, "stop_gradient": 0.1, "method": "Radau"}
    for name, value in given.items():
        with pytest.raises(ValueError, match=f"^{name}: only"):
            flowkit.integrate(problem, [[0.3, 0.2]], 1, **{name: value})


# ---- the page ------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[1] / "docs" / "activations.md"


def test_the_example_of_the_page(tmp_path):
    text = PAGE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    names = {}
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(code, names)
    flow, activation = names["flow"], names["Cosine"]()
    assert (np.diff(flow.loss) < 0).all()
    gram = [MP.mpf(x) for x in (1.25, 0.5, 0.75)]
    values = {x: sp.Rational(str(g)) for x, g in zip(symbols(), gram, strict=True)}
    assert digits(str(activation.kernel().subs(values).evalf(40)), plane(MP.cos, *gram)) > 31
    check_derivatives(TeacherStudent(V, activation), W)
    flow.save(tmp_path / "run.nc")
    again = flowkit.load(tmp_path / "run.nc")
    assert str(again.problem.activation) == "cosine"
    assert (again.loss == flow.loss).all()
    assert flow.problem.loss([[0.1, 0.2]]) == again.problem.loss([[0.1, 0.2]])


# ---- bad input -----------------------------------------------------------------------------------


def refused(name, call):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).startswith(f"{name}: "), str(caught.value)
    assert "\n" not in str(caught.value)


@named(CLOSED)
def test_names(activation):
    assert parse_activation(str(activation)) == activation


@pytest.mark.parametrize(
    "text",
    [
        *("arccos", "arccos:1", "arccos:x", "erf:2", "monomial:0", "monomial:2.5", "monomial:21"),
        *("polynomial:", "polynomial:0,0", "polynomial:1,x", "polynomial:1/0", "smooth:z", ""),
    ],
)
def test_bad_names(text):
    refused("activation", lambda: TeacherStudent([1.0], text))


def test_bad_numbers():
    for order in (1, 3, -1, 0.5, None, True):
        refused("order", lambda order=order: ArcCosine(order))
    for degree in (0, 21, 1.0, None, True):
        refused("degree", lambda degree=degree: Monomial(degree))
    for given_ in ([], [0, 0], ["x"], 3, [1] * 22, [float("nan")]):
        refused("coefficients", lambda given_=given_: Polynomial(given_))
    for nodes in (7, 1001, 20.0, None, True):
        refused("nodes", lambda nodes=nodes: Smooth(TANH, nodes=nodes))


R = sp.Symbol("r", real=True)
NOT_SMOOTH = [
    *(abs(R), sp.Heaviside(Z), sp.sign(Z), sp.Max(Z, 0), sp.Piecewise((Z, Z > 0), (0, True))),
    *(sp.sqrt(R**2), R * abs(R), sp.Symbol("y") * Z, sp.Integer(3), "tanh(z)", None, sp.I * Z),
    *(sp.log(Z), sp.sqrt(Z), 1 / Z, 1 / (Z - sp.Rational(1, 3)), sp.tan(Z), sp.zeta(Z), Z**Z),
]


@pytest.mark.parametrize("expression", NOT_SMOOTH, ids=str)
def test_what_is_not_smooth(expression):
    refused("expression", lambda: Smooth(expression))


@pytest.mark.parametrize("precision", [None, 30])
def test_where_there_is_no_derivative(precision):
    step, square = (TeacherStudent([1.0, 0.5], name) for name in ("arccos:0", "arccos:2"))
    cases = [
        (step, [[2.0, 1.0]], "neuron 0 is parallel to teacher 0"),
        (step, [[0.3, 0.1], [-2.0, -1.0]], "neuron 1 is parallel to teacher 0"),
        (step, [[0.3, 0.1], [0.6, 0.2]], "neuron 0 is parallel to neuron 1"),
        (step, [[0.0, 0.0]], "neuron 0 is zero"),
        (square, [[1.0, 1.0], [0.0, 0.0]], "neuron 1 is zero"),
    ]
    for problem, at, words in cases:
        for derivative in (problem.gradient, problem.hessian):
            with pytest.raises(ValueError, match=f"^W: {words}"):
                derivative(at, precision=precision)
        with pytest.raises(ValueError, match=f"^w0: {words}"):
            flowkit.integrate(problem, at, 1, precision=precision)
        assert problem.loss(at, precision=precision) >= 0


def test_weights_are_checked():
    problem = TeacherStudent([1.0, 0.5], "erf")
    for call in (problem.loss, problem.gradient, problem.hessian, problem.quadrature_error):
        refused("W", lambda call=call: call([[1.0, float("nan")]]))
        refused("W", lambda call=call: call([[1.0]]))
    refused("n", lambda: problem.expressions(0))


def test_a_kernel_without_a_value_is_refused():
    """An activation that does not say where its kernel is singular."""
    from symbolic.stored_activations import ByKernel

    p, c, q = symbols()
    problem = TeacherStudent(
        [1.0, 0.0], ByKernel("mine", (sp.pi - sp.acos(c / sp.sqrt(p * q))) / 2)
    )
    refused("W", lambda: problem.gradient([[2.0, 0.0]]))
    refused("W", lambda: problem.loss([[0.0, 0.0]]))
    refused("kernel", lambda: TeacherStudent([1.0], ByKernel("x", sp.Symbol("y"))).loss([[1.0]]))


# ---- command line --------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [[], ["--precision", "20"]], ids=["doubles", "digits"])
def test_command_line(more, tmp_path, capsys):
    from flowkit.cli import main

    out = str(tmp_path / "run.nc")
    arguments = ["flow", "--activation", "erf", "--neurons", "2", "--dim", "3", "--t-max", "2"]
    assert main([*arguments, "--out", out, "--plot", str(tmp_path / "run.png"), *more]) == 0
    assert "finished" in capsys.readouterr().out
    w0 = 0.1 * np.random.default_rng(0).standard_normal((2, 3))
    expected = TeacherStudent([1.0, 0.0, 0.0], "erf")
    flow = flowkit.load(out)
    assert flow.problem.activation == Erf()
    assert float(flow.loss[0]) == pytest.approx(expected.loss(w0), rel=1e-12)


def test_command_line_refuses(capsys):
    from flowkit.cli import main

    arguments = ["flow", "--neurons", "2", "--dim", "3", "--t-max", "2", "--activation"]
    for text in ("tanh", "arccos:1", "monomial:x"):
        assert main([*arguments, text]) == 2
        assert capsys.readouterr().err.startswith("flowkit: --activation: ")
