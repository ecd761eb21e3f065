"""Plain text and formulas as TeX."""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby
from typing import Any

import sympy as sp

LINE = 68  # glyphs of a formula that fit on a line
SIZES = ((1.0, ""), (1.1, r"\small"), (1.25, r"\footnotesize"), (9.9, r"\scriptsize"))

MACRON = "\u0304"
UNLIKE_UNICODE = {"lamda": "lambda"}
SIGNS = {
    "−": "-",
    "·": r"\cdot ",
    "×": r"\times ",
    "±": r"\pm ",
    "∓": r"\mp ",
    "‖": r"\|",
    "∂": r"\partial ",
    "∇": r"\nabla ",
    "∞": r"\infty ",
    "∫": r"\int ",
    "√": r"\surd ",
    "∑": r"\sum ",
    "∏": r"\prod ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "≡": r"\equiv ",
    "∝": r"\propto ",
    "→": r"\to ",
    "↦": r"\mapsto ",
    "⇒": r"\Rightarrow ",
    "∈": r"\in ",
    "⊂": r"\subset ",
    "⊥": r"\perp ",
    "⟂": r"\perp ",
    "∥": r"\parallel ",
    "∠": r"\angle ",
    "∧": r"\wedge ",
    "⊙": r"\odot ",
    "⊗": r"\otimes ",
    "⟨": r"\langle ",
    "⟩": r"\rangle ",
    "…": r"\ldots ",
    "½": r"\tfrac12 ",
    "¼": r"\tfrac14 ",
    "¾": r"\tfrac34 ",
    "⅓": r"\tfrac13 ",
    "⅔": r"\tfrac23 ",
    "⅙": r"\tfrac16 ",
    "⅛": r"\tfrac18 ",
    "°": r"^\circ ",
    "′": "'",
    "″": "''",
    "∗": "*",
    "<": "<",
    ">": ">",
    "|": "|",
    "ϑ": r"\vartheta ",
    "ς": r"\varsigma ",
    "~": r"\sim ",
}
ESCAPED = {c: rf"\{c}" for c in "&%#$_{}"} | {"^": r"\^{}", "–": "--", "—": "---"}
INDEX = r"\{[^}]*\}|[0-9]+|[A-Za-z]+(?![A-Za-z0-9]*_)|[A-Za-z]"  # w_jw_k has two
TOKEN = re.compile(rf"[_^](?:{INDEX})|.{MACRON}|.", re.DOTALL)
Row = tuple[str, str]  # what stands before and after the point of alignment
Token = tuple[bool, str]  # whether it belongs in a formula


def text(plain: str) -> str:
    """Unicode text as TeX, what is mathematics in it between dollar signs."""
    tokens: list[Token] = []
    for token in map(_token, TOKEN.findall(unicodedata.normalize("NFC", plain))):
        if token[1][0] in "_^" and token[0] and tokens and tokens[-1][1].isalnum():
            tokens[-1] = (True, tokens[-1][1])  # a script takes its letter along
        tokens.append(token)
    parts = []
    for formula_, group in groupby(tokens, key=lambda token: token[0]):
        joined = "".join(tex for _, tex in group)
        joined = f"{{}}{joined}" if formula_ and joined[0] in "_^" else joined
        parts.append(f"${_scripts(joined).strip()}$" if formula_ else joined)
    return "".join(parts)


def _token(raw: str) -> Token:
    if len(raw) > 1 and raw[0] in "_^":
        inner = "".join(_token(token)[1] for token in TOKEN.findall(raw[1:].strip("{}")))
        return True, f"{raw[0]}{{{inner}}}"
    if raw.endswith(MACRON):
        return True, rf"\bar{{{(_sign(raw[0]) or raw[0]).strip()}}}"
    kind, _, code = unicodedata.decomposition(raw).partition(" ")
    if code == f"{ord(MACRON):04X}":
        return True, rf"\bar{{{chr(int(kind, 16))}}}"
    if kind in ("<super>", "<sub>"):
        letter = chr(int(code, 16))
        inner = r"\top" if letter == "T" else SIGNS.get(letter, letter)
        return True, f"{'^' if kind == '<super>' else '_'}{{{inner}}}"
    if kind == "<font>":
        style = "mathcal" if "SCRIPT" in unicodedata.name(raw) else "mathbb"
        return True, rf"\{style}{{{chr(int(code, 16))}}}"
    sign = _sign(raw)
    return (True, sign) if sign else (False, ESCAPED.get(raw, raw))


def _scripts(tex: str) -> str:
    """Neighbouring scripts as one: x^{-}^{3} is x^{-3}."""
    previous = None
    while previous != tex:
        previous, tex = tex, re.sub(r"([_^])\{([^{}]*)\}\1\{", r"\1{\2", tex)
    return tex


def _sign(character: str) -> str:
    """The command for a Greek letter or a sign; empty for what stands for itself."""
    greek = re.match(r"GREEK (SMALL|CAPITAL) LETTER (\w+)$", unicodedata.name(character, ""))
    if greek is None:
        return SIGNS.get(character, "")
    name = greek[2].lower()
    name = UNLIKE_UNICODE.get(name, name)
    return rf"\{name if greek[1] == 'SMALL' else name.capitalize()} "


def formula(expr: Any) -> str:
    """A SymPy expression or matrix."""
    return sp.latex(expr)


def equation(before: Any, after: Any) -> list[Row]:
    """Rows of an align environment for before = after, broken at sums where it is too wide."""
    left, right = _lines(before), _lines(after)
    if len(left) == len(right) == 1 and width(left[0]) + width(right[0]) < LINE:
        return [(left[0], f"= {right[0]}")]
    indented = [f"= {right[0]}", *(rf"\qquad {line}" for line in right[1:])]
    return [("", line) for line in left + indented]


def result(expr: Any) -> list[Row]:
    """Rows for the last line: an expression, a matrix, or one row for each entry of a tuple."""
    entries = expr if isinstance(expr, sp.Tuple) else [expr]
    return [("", line) for entry in entries for line in _lines(entry)]


def size(rows: list[Row]) -> str:
    """The command for letters so small that the widest row fits; empty for the usual ones."""
    widest = max(width(left) + width(right) for left, right in rows)
    return next(command for room, command in SIZES if widest <= room * LINE)


def width(tex: str) -> float:
    """About how many glyphs wide a formula is."""
    while match := FRACTION.search(tex):
        wider = max(match[1], match[2], key=width)
        tex = tex[: match.start()] + wider + tex[match.end() :]
    while match := MATRIX.search(tex):
        cells = [row.split("&") for row in match[1].split(r"\\")]
        columns = zip(*cells, strict=True)
        tex = (
            tex[: match.start()]
            + "xx".join(max(column, key=width) for column in columns)
            + tex[match.end() :]
        )
    scripts = sum(len(_letters(m[1])) for m in SCRIPT.finditer(tex))
    return len(_letters(tex)) + 1.5 * len(re.findall(r"[+=-]", tex)) - 0.4 * scripts


GROUP = r"((?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*)"
FRACTION = re.compile(rf"\\frac\{{{GROUP}\}}\{{{GROUP}\}}")
MATRIX = re.compile(r"\\begin\{matrix\}((?:(?!\\begin).)*?)\\end\{matrix\}", re.DOTALL)
SCRIPT = re.compile(rf"[_^]\{{{GROUP}\}}")


def _letters(tex: str) -> str:
    tex = re.sub(r"\\(left|right|limits|displaystyle|operatorname|qquad)\b|[{}^_ &]", "", tex)
    tex = re.sub(r"\\(sin|cos|tan|cot|log|exp)", "xxx", tex)
    return re.sub(r"\\[A-Za-z]+|\\.", "x", tex)


def _lines(expr: Any) -> list[str]:
    """One line, or one for every few terms of a sum that is too wide."""
    whole = formula(expr)
    if not isinstance(expr, sp.Add) or width(whole) < LINE:
        return [whole]
    lines = [""]
    for term in expr.as_ordered_terms():
        tex = formula(term)
        signed = tex if tex.startswith("-") else f"+ {tex}"
        if width(lines[-1]) + width(signed) > LINE and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {signed}".strip()
    lines[0] = lines[0].removeprefix("+ ")
    return lines
