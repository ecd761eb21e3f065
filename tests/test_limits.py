"""Limits at many digits: known limits, honest digits, planted wrong models, bad input."""

from fractions import Fraction
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest

import flowkit
from flowkit.rates import limits

MP = mpmath.MPContext()
MP.dps = 90
DECADES = [MP.mpf(10) ** k for k in range(13)]


def ordinary(x):
    return mpmath.mp.make_mpf(x._mpf_)


def number(x):
    return MP.mpf(float(x))


def step_ends(rng, end=12.0, steps=44):
    """Irregular times from 1 to 10**end, as a solver leaves them."""
    widths = np.cumsum(rng.uniform(0.2, 1.0, steps))
    return [MP.mpf(10) ** number(v) for v in [0, *(end * widths / widths[-1])]]


def rounded(rng, values, digits):
    """Values with a random relative error of at most 10**-digits, as ordinary mpf."""
    unit = MP.mpf(10) ** -digits
    return [ordinary(v * (1 + unit * number(rng.uniform(-1, 1)))) for v in values]


def right(found, limit):
    """Decimal digits of the value that are right."""
    error = abs(MP.make_mpf(found.value._mpf_) - limit)
    return float(-MP.log10(error / abs(limit))) if error else float("inf")


# ---- known limits ------------------------------------------------------------------------------


@pytest.mark.parametrize("irregular", [False, True])
@pytest.mark.parametrize(
    "correction",
    [
        lambda t: 1 + 2 / t - MP.mpf(7) / 10 / t**2 + 3 / t**3,
        lambda t: MP.exp(1 / t),
        lambda t: 1 / (1 + 4 / t) ** 3,
    ],
)
def test_inverse_powers_to_forty_digits(irregular, correction):
    rng = np.random.default_rng(1)
    t = step_ends(rng) if irregular else DECADES
    limit = MP.pi**2 / 6
    loss = rounded(rng, [limit * v**-3 * correction(v) for v in t], 50)
    found = flowkit.extrapolate([ordinary(v) for v in t], loss, digits=50, power=3)
    assert 40 <= found.digits <= right(found, limit)
    assert found.digits <= 50
    assert mpmath.mpf(found.error) > 0


def test_flow_object():
    rng = np.random.default_rng(2)
    t = [MP.mpf(0), *step_ends(rng)]
    digits = np.linspace(60, 45, len(t)).astype(int)
    loss = [MP.pi / (1 + v) ** 3 for v in t]
    loss = [rounded(rng, [v], int(d))[0] for v, d in zip(loss, digits, strict=True)]
    flow = SimpleNamespace(
        t=np.array([ordinary(v) for v in t]), loss=np.array(loss), loss_digits=digits,
        loss_error=10.0**-digits,
    )  # fmt: skip
    found = flowkit.extrapolate(flow, power=3)
    assert 40 <= found.digits <= right(found, MP.pi)
    by_hand = flowkit.extrapolate(flow.t, flow.loss, digits=digits, power=Fraction(3))
    assert by_hand == found
    doubles = SimpleNamespace(t=flow.t, loss=flow.loss, loss_error=flow.loss_error)
    assert abs(flowkit.extrapolate(doubles, power=3).digits - found.digits) <= 1


def test_late_points_of_few_digits_do_no_harm():
    rng = np.random.default_rng(3)
    y = [(1 + 1 / (1 + v)) * MP.pi for v in DECADES]
    digits = [50] * 9 + [6] * 4
    y = [rounded(rng, [v], d)[0] for v, d in zip(y, digits, strict=True)]
    found = flowkit.extrapolate([ordinary(v) for v in DECADES], y, digits=digits)
    assert 25 <= found.digits <= right(found, MP.pi)


def test_partial_sums_of_fractions():
    n, total, sums = list(range(1, 41)), Fraction(0), []
    for k in n:
        total += Fraction(1, k * k)
        sums.append(total)
    found = flowkit.extrapolate(n, sums)
    assert 15 <= found.digits <= right(found, MP.zeta(2))


def test_doubles_give_no_more_than_doubles_hold():
    t = np.geomspace(1, 1e6, 25)
    found = flowkit.extrapolate(t, np.pi * (1 + 1 / (t + 1)), digits=40)
    assert 11 <= found.digits <= min(16, right(found, MP.pi))


@pytest.mark.parametrize("q", ["0.1", "0.3", "0.77"])
@pytest.mark.parametrize("inner", [0, 1])
def test_unknown_power_on_a_geometric_grid(q, inner):
    q, rng = MP.mpf(q), np.random.default_rng(4)
    t = [MP.mpf(10) ** (MP.mpf(k) / 4) for k in range(49)]
    y = rounded(rng, [MP.pi * (1 + v**-q / (1 + inner / v)) for v in t], 50)
    found = flowkit.extrapolate([ordinary(v) for v in t], y, digits=50)
    assert 30 <= found.digits <= right(found, MP.pi)
    assert "Richardson" not in found.method


def test_unknown_power_on_an_irregular_grid():
    rng = np.random.default_rng(5)
    t = step_ends(rng)
    y = rounded(rng, [MP.pi * (1 + v ** -MP.mpf("0.3")) for v in t], 50)
    found = flowkit.extrapolate([ordinary(v) for v in t], y, digits=50)
    assert 30 <= found.digits <= right(found, MP.pi)


# ---- honesty -----------------------------------------------------------------------------------


def integer_powers(rng):
    c, s = [number(v) for v in rng.uniform(-3, 3, 4)], number(rng.uniform(0, 5))
    return lambda t: sum(a * (t + s) ** -(k + 1) for k, a in enumerate(c))


def rational(rng):
    a, b, c = (number(v) for v in rng.uniform(0.1, 4, 3))
    return lambda t: a * t / ((t + b) * (t + c))


def slow_power(rng):
    q, a, s = (number(rng.uniform(*v)) for v in ((0.05, 1.5), (-0.9, 4), (0, 50)))
    return lambda t: a * (t + s) ** -q


def slow_powers(rng):
    q, a, b = (number(rng.uniform(*v)) for v in ((0.05, 1.2), (-0.9, 3), (0.5, 3)))
    return lambda t: a / (b + t**q)


def mixed_powers(rng):
    q, p, a, b = (number(rng.uniform(*v)) for v in ((0.1, 1), (0.2, 2), (-1, 2), (-2, 2)))
    return lambda t: a * (t + 1) ** -q + b / (t + 1) + a * b * (t + 2) ** -p


def logarithms(rng):
    a, b, c, d = (number(v) for v in rng.uniform(-3, 3, 4))
    s = number(rng.uniform(1, 20))
    return lambda t: (a + b * MP.log(t + s)) / (t + s) + (c + d * MP.log(t + s)) / (t + s) ** 2


def hidden_power(rng):
    """The planted wrong model: inverse powers, and something small that falls slowly."""
    base, q, size = integer_powers(rng), number(rng.uniform(0.05, 1)), rng.uniform(-35, -5)
    return lambda t: base(t) + MP.mpf(10) ** number(size) * t**-q


def inverse_logarithm(rng):
    a, s = number(rng.uniform(-1, 1)), number(rng.uniform(3, 30))
    return lambda t: a / MP.log(t + s)


def nothing(rng):
    return lambda t: 0 * t


KINDS = [
    integer_powers, rational, slow_power, slow_powers, mixed_powers, logarithms, hidden_power,
    inverse_logarithm, nothing,
]  # fmt: skip


def grid(rng):
    low, high = rng.uniform(-1, 1), rng.choice([3, 6, 12, 30])
    if rng.random() < 0.4:
        widths = np.cumsum(rng.uniform(0.3, 1.2, int(rng.choice([6, 14, 30]))))
        return [MP.mpf(10) ** number(low + (high - low) * v / widths[-1]) for v in widths]
    steps = int(rng.choice([5, 13, 40]))
    return [MP.mpf(10) ** number(low + (high - low) * k / steps) for k in range(steps + 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_never_more_digits_than_are_right(kind):
    rng = np.random.default_rng(6)
    claimed, possible = [], []
    for _ in range(5):
        t, approach, limit = grid(rng), kind(rng), number(rng.uniform(0.3, 3) * rng.choice([-1, 1]))
        digits = int(rng.choice([12, 20, 30, 50]))
        y = rounded(rng, [limit + approach(v) for v in t], digits)
        found = flowkit.extrapolate([ordinary(v) for v in t], y, digits=digits)
        assert found.digits <= max(0, right(found, limit))
        claimed.append(found.digits)
        possible.append(digits)
    if kind in (integer_powers, rational, nothing):  # not won by refusing to answer
        assert np.mean(claimed) > 0.6 * np.mean(possible)
    if kind is inverse_logarithm:
        assert max(claimed) <= 3


def test_digits_that_are_not_there():
    """Data of 25 digits that claim 50, with no pattern to it: their scatter shows."""
    rng = np.random.default_rng(7)
    y = rounded(rng, [MP.pi * (1 + 1 / (v + 1)) for v in DECADES], 25)
    found = flowkit.extrapolate([ordinary(v) for v in DECADES], y, digits=50)
    assert 15 <= found.digits <= right(found, MP.pi)


def test_a_drift_has_no_limit():
    t = [ordinary(v) for v in DECADES]
    with mpmath.workdps(50):
        y = [mpmath.log(v) + 1 for v in t]
    found = flowkit.extrapolate(t, y)
    assert found.digits == 0
    assert "unknown" in found.report()


def test_times_beyond_doubles():
    t = [MP.mpf(10) ** (40 * k) for k in range(1, 15)]
    y = [ordinary(MP.pi * (1 + v ** -MP.mpf("0.05"))) for v in t]
    found = flowkit.extrapolate([ordinary(v) for v in t], y, digits=50)
    assert 30 <= found.digits <= right(found, MP.pi)
    assert "inf" not in found.report()


def test_scaling_changes_nothing():
    t, unit = [ordinary(v) for v in DECADES], MP.mpf(10) ** 400
    y = [MP.pi * (1 + 1 / (v + 1)) for v in DECADES]
    one = flowkit.extrapolate(t, [ordinary(v) for v in y], digits=50)
    other = flowkit.extrapolate(t, [ordinary(v / unit) for v in y], digits=50)
    assert abs(other.digits - one.digits) <= 1
    assert right(other, MP.pi / unit) >= other.digits


# ---- result, input -----------------------------------------------------------------------------


def test_the_global_precision_is_neither_used_nor_changed():
    t = [ordinary(v) for v in DECADES]
    y = [ordinary(MP.pi * (1 + 1 / (v + 1))) for v in DECADES]
    before = mpmath.mp.prec
    one = flowkit.extrapolate(t, y, digits=50)
    assert mpmath.mp.prec == before
    with mpmath.workdps(7):
        precision = mpmath.mp.prec
        other = flowkit.extrapolate(t, y, digits=50)
        assert mpmath.mp.prec == precision
    assert one == other
    assert one.value.context is mpmath.mp


def test_table_and_report():
    t = [ordinary(v) for v in DECADES]
    y = [ordinary(MP.pi * (1 + 1 / (v + 1))) for v in DECADES]
    found = flowkit.extrapolate(t, y, digits=30)
    assert found.table[-1][found.order] == found.value
    assert len(found.table) == len(found.t)
    for v, row in zip(found.t, found.table, strict=True):
        assert abs(row[0] / y[t.index(v)] - 1) < 1e-14
    shown = MP.nstr(MP.pi, found.digits)
    text = found.report()
    assert str(found) == text
    assert shown[:-1] in text
    assert MP.nstr(MP.pi, found.digits + 3) not in text
    assert "digits" in text
    assert found._repr_html_().startswith("<table>")


def test_tables_against_the_textbook():
    """Order k of Richardson's table is the value at 0 of the polynomial in 1/t; of the epsilon
    algorithm it is exact for k exponentials."""
    rng = np.random.default_rng(8)
    x = [number(v) for v in np.sort(rng.uniform(0.1, 1, 6))[::-1]]
    y = [number(v) for v in rng.normal(size=6)]
    table = limits.richardson(x, x, y, [0 * v for v in y])
    for k in range(6):
        weights = [
            MP.fprod(x[j] / (x[j] - x[i]) for j in range(k + 1) if j != i) for i in range(k + 1)
        ]
        assert abs(table.values[k][0] - MP.fdot(weights, y)) < MP.mpf(10) ** -75
    noise = [number(v) for v in rng.uniform(1, 2, 6)]
    bound = limits.richardson(x, x, y, noise).noise[5][0]
    weights = [MP.fprod(x[j] / (x[j] - x[i]) for j in range(6) if j != i) for i in range(6)]
    assert abs(bound - MP.fdot([abs(w) for w in weights], noise)) < MP.mpf(10) ** -70
    sequence = [3 + MP.mpf("0.7") ** k - 2 * MP.mpf("-0.4") ** k for k in range(5)]
    assert (
        abs(limits.epsilon(sequence, [0 * v for v in sequence]).values[2][0] - 3)
        < MP.mpf(10) ** -80
    )


T, Y = [1, 2, 3, 4, 5], [1.5, 1.25, 1.125, 1.1, 1.05]


@pytest.mark.parametrize(
    ("name", "t", "y", "keywords"),
    [
        ("t", T[:3], Y[:3], {}),
        ("t", [0, 1, 2, 3], Y[:4], {}),  # t = 0 does not count
        ("t", [1, 2, 2, 3, 4], Y, {}),
        ("t", T[::-1], Y, {}),
        ("t", [-1, 2, 3, 4, 5], Y, {}),
        ("t", [1, 2, 3, 4, float("nan")], Y, {}),
        ("t", [1, 2, 3, 4, mpmath.inf], Y, {}),
        ("t", ["a"] * 5, Y, {}),
        ("t", [T], Y, {}),
        ("y", T, Y[:4], {}),
        ("y", T, [*Y[:4], mpmath.nan], {}),
        ("y", T, [*Y[:4], np.inf], {}),
        ("y", T, [*Y[:4], 1j], {}),
        ("y", T, None, {}),
        ("y", T, 1.0, {}),
        ("digits", T, Y, {"digits": -1}),
        ("digits", T, Y, {"digits": [3, 4]}),
        ("digits", T, Y, {"digits": "many"}),
        ("digits", T, Y, {"digits": np.nan}),
        ("power", T, Y, {"power": "x"}),
        ("power", T, Y, {"power": np.inf}),
    ],
)
def test_bad_input_is_named_in_one_line(name, t, y, keywords):
    with pytest.raises(ValueError, match=rf"^{name}: ") as caught:
        flowkit.extrapolate(t, y, **keywords)
    assert "\n" not in str(caught.value)
