"""Predictions and measurements in the words of a table."""

from __future__ import annotations

from math import floor, isfinite, isnan, log10

from flowkit.verification.claim import Measured, Prediction

NONE = "–"
PLAIN = (1e-4, 1e6)  # sizes that are written without a power of ten


def number(measured: Measured) -> str:
    """Value to the digit that its error reaches, and the error."""
    value, error = measured.value, measured.error
    if isnan(value):
        return NONE
    if not isfinite(error) or not isfinite(value):
        return f"{value:.4g} ± {error:.1e}"
    if not error > 0:
        return f"{value:.6g}"
    size = max(abs(value), error)
    if abs(value) <= error or not PLAIN[0] <= size < PLAIN[1]:
        digits = min(15, max(2, 1 + floor(log10(size)) - floor(log10(error))))
        return f"{value:.{digits}e} ± {error:.1e}"
    decimals = min(15, max(0, 1 - floor(log10(error))))
    return f"{value:.{decimals}f} ± {error:.1e}"


def predicted(prediction: Prediction) -> str:
    """Relation, value and tolerance, and what the paper writes."""
    if isnan(prediction.value):
        return prediction.text or NONE
    sign = {"=": "", "<=": "≤ ", ">=": "≥ ", ">": "> "}[prediction.relation]
    tolerance = f" ± {bound(prediction.tolerance)}" if prediction.tolerance else ""
    remark = f" ({prediction.text})" if prediction.text else ""
    return f"{sign}{prediction.value:.10g}{tolerance}{remark}"


def bound(tolerance: float) -> str:
    """A tolerance in one digit, or two where one would be wrong; 0.15, 1e-03, 7.9e-09."""
    if 1e-2 <= tolerance < 100:
        return f"{tolerance:.2g}"
    one, two = f"{tolerance:.0e}", f"{tolerance:.1e}"
    return one if float(one) == float(two) else two


def margin(value: float) -> str:
    """A margin to two digits."""
    if not isfinite(value):
        return NONE if isnan(value) else f"{value}"
    return f"{value:.1e}" if value else "0"
