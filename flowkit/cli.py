"""The command line: verify, flow, fit, derive.

Exit 0: done and all holds; 1: a claim does not hold; 2: bad input, one line on standard error;
130: interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from math import floor, log10
from pathlib import Path
from typing import Any, NoReturn

INTERRUPTED = 130
IMAGES = (".png", ".svg", ".pdf")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def entry() -> NoReturn:
    """The console script."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    try:
        options = build_parser().parse_args(arguments)
        return int(options.run(options))
    except ValueError as problem:
        print(f"flowkit: {' '.join(str(problem).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader has gone; keep the interpreter from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, MemoryError) as problem:
        where = getattr(problem, "filename", None)
        what = getattr(problem, "strerror", None) or "not enough memory"
        print(f"flowkit: {where}: {what}" if where else f"flowkit: {what}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("flowkit: interrupted", file=sys.stderr)
        return INTERRUPTED


def build_parser() -> Parser:
    """All commands and their options."""
    import flowkit

    parser = Parser(prog="flowkit", description=flowkit.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"flowkit {flowkit.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    verify = commands.add_parser("verify", help="check claims of the papers")
    verify.add_argument("ids", nargs="*", metavar="ID", help="claims; all if none is given")
    verify.add_argument("--profile", default="quick", help="quick (default) or full")
    verify.add_argument(
        "--jobs", type=int, metavar="N", help="processes; one for each core by default"
    )
    verify.add_argument("--json", metavar="FILE", help="write the results; - is standard output")
    verify.add_argument(
        "--report", metavar="DIR", help="write report.html and report.json there; goes on if killed"
    )
    verify.set_defaults(run=run_verify)

    flow = commands.add_parser("flow", help="run a gradient flow")
    flow.add_argument(
        "--activation",
        default="relu",
        help="relu (default), leaky:A, quadratic, erf, arccos:0, arccos:2, monomial:N, or "
        "polynomial:A0,A1,…",
    )
    flow.add_argument("--weights", metavar="W0.npy", help="students at t = 0, shape (n, d)")
    flow.add_argument("--neurons", type=int, metavar="N", help="random students instead: how many")
    flow.add_argument("--dim", type=int, metavar="D", help="their dimension")
    flow.add_argument("--sigma", type=float, default=0.1, metavar="S", help="their scale, 0.1")
    flow.add_argument("--seed", type=int, default=0, metavar="K", help="their seed, 0")
    flow.add_argument("--teacher", metavar="V.npy", help="shape (d,) or (k, d); e₁ by default")
    flow.add_argument("--t-max", type=float, required=True, metavar="T")
    flow.add_argument("--rtol", type=float, metavar="R", help="1e-13 … 0.1, 1e-10 by default")
    flow.add_argument("--precision", type=int, metavar="DIGITS", help="many digits, certified")
    flow.add_argument("--one-run", action="store_true", help="do not certify the digits")
    flow.add_argument(
        "--method", default="auto", help="auto, structured, Radau, BDF, LSODA, DOP853"
    )
    flow.add_argument("--max-seconds", type=float, metavar="S", help="stop after so long")
    flow.add_argument("--checkpoint", metavar="FILE.nc", help="save there on the way, every 30 s")
    flow.add_argument("--times", metavar="T1,T2,…", help="times to store; the steps by default")
    flow.add_argument("--json", metavar="FILE", help="write the flow; - is standard output")
    flow.add_argument("--out", metavar="FILE.nc", help="save the run")
    flow.add_argument("--plot", metavar="FILE.png", help="draw the loss")
    flow.set_defaults(run=run_flow)

    fit = commands.add_parser("fit", help="fit the rate of a saved run")
    fit.add_argument("file", metavar="FILE.nc")
    fit.add_argument("--quantity", default="loss", help="loss (default) or gradient_norm")
    fit.set_defaults(run=run_fit)

    derive = commands.add_parser("derive", help="list the derivations, or write one out")
    derive.add_argument("name", nargs="?", metavar="NAME", help="a derivation; lists all without")
    derive.add_argument(
        "--format", help="latex, markdown, or python for the result; by FILE's ending, or markdown"
    )
    derive.add_argument("--out", metavar="FILE", help="write there; standard output by default")
    derive.set_defaults(run=run_derive)
    return parser


def run_verify(options: argparse.Namespace) -> int:
    """`flowkit verify`."""
    import flowkit
    from flowkit.verification.reports.record import to_json

    _check_destinations(options.json)
    folder = Path(options.report) if options.report else None
    if folder is not None and folder.exists() and not folder.is_dir():
        raise ValueError(f"--report: {options.report!r} is not a folder")
    if folder is not None:
        _check_destinations(str(folder / "report.html" if folder.exists() else folder))
    report = flowkit.verify(
        options.ids or None, profile=options.profile, jobs=options.jobs, store=folder
    )
    if options.json == "-":
        print(to_json(report.to_dict()), end="")
        return 0 if report.passed else 1
    _show(report)
    if options.json:
        _write_text(options.json, to_json(report.to_dict()))
    if folder is not None:
        print(f"report: {folder / 'report.html'}")
    return 0 if report.passed else 1


def run_flow(options: argparse.Namespace) -> int:
    """`flowkit flow`."""
    import numpy as np

    import flowkit

    _check_destinations(options.json, options.out, options.plot)
    if options.plot and Path(options.plot).suffix not in IMAGES:
        raise ValueError(f"--plot: {options.plot!r} must end in {', '.join(IMAGES)}")
    w0 = _students(options)
    if w0.ndim != 2 or 0 in w0.shape:
        raise ValueError(f"--weights: expected shape (n, d), got {w0.shape}")
    unit = [1.0] + [0.0] * (w0.shape[1] - 1)
    teacher = _array(options.teacher, "--teacher") if options.teacher else unit
    problem: Any
    if options.activation == "quadratic":
        problem = flowkit.PhaseRetrieval(teacher)
    else:
        problem = flowkit.TeacherStudent(teacher, _activation(options.activation))
    flow = flowkit.integrate(
        problem,
        w0,
        options.t_max,
        rtol=options.rtol,
        method=options.method,
        max_seconds=np.inf if options.max_seconds is None else options.max_seconds,
        checkpoint=options.checkpoint,
        precision=options.precision,
        certify=not options.one_run,
        t_eval=_times(options.times),
    )
    if options.out:
        flow.save(options.out)
    if options.plot:
        _plot(flow, options.plot)
    if options.json == "-":
        print(json.dumps(flow.to_dict()))
    else:
        print(_summary(flow) if isinstance(flow, flowkit.Flow) else _precise_summary(flow))
        if options.json:
            _write_json(options.json, flow.to_dict())
    return {"finished": 0, "interrupted": INTERRUPTED}.get(flow.status, 1)


def _activation(text: str) -> Any:
    from symbolic.activations import parse_activation

    try:
        return parse_activation(text)
    except ValueError as problem:
        more = ", and 'quadratic'" if "known are" in str(problem) else ""
        raise ValueError(f"--{problem}{more}") from None


def run_fit(options: argparse.Namespace) -> int:
    """`flowkit fit`."""
    import flowkit

    flow = flowkit.load(options.file)
    if options.quantity == "loss":
        decision = flowkit.fit_rate(flow)
    elif options.quantity == "gradient_norm":
        decision = flowkit.fit_rate(flow.t, flow.gradient_norm, relative_error=flow.loss_error)
    else:
        known = "loss, gradient_norm"
        raise ValueError(f"--quantity: unknown {options.quantity!r}; known are {known}")
    print(decision)
    return 0


def run_derive(options: argparse.Namespace) -> int:
    """`flowkit derive`."""
    from symbolic.library import derivations, derive

    writers = {
        "latex": lambda derivation: derivation.latex(document=True),
        "markdown": lambda derivation: derivation.markdown(),
        "python": lambda derivation: derivation.python(),
    }
    endings = {".tex": "latex", ".md": "markdown", ".py": "python"}
    form = options.format or endings.get(Path(options.out or "").suffix, "markdown")
    if form not in writers:
        known = ", ".join(writers)
        raise ValueError(f"--format: unknown {form!r}; known are {known}")
    if options.format and options.name is None:
        raise ValueError("--format: the list of derivations has none; give a NAME")
    _check_destinations(options.out)
    if options.name is None:
        listed = derivations()
        width = max(len(derivation.name) for derivation in listed)
        text = "".join(f"{d.name:{width}}  {d.statement}\n" for d in listed)
    else:
        text = writers[form](derive(options.name))
    if options.out and options.out != "-":
        _write_text(options.out, text)
    else:
        print(text, end="")
    return 0


def _students(options: argparse.Namespace) -> Any:
    import numpy as np

    if options.weights:
        if options.neurons or options.dim:
            raise ValueError("--weights: give either a file or --neurons and --dim")
        return _array(options.weights, "--weights")
    if options.neurons is None or options.dim is None:
        raise ValueError("--weights: give a file, or --neurons and --dim")
    if options.neurons < 1 or options.dim < 1:
        raise ValueError("--neurons, --dim: must be at least 1")
    if options.seed < 0:
        raise ValueError(f"--seed: must not be negative, got {options.seed}")
    if not 0 < options.sigma < np.inf:
        raise ValueError(f"--sigma: must be positive and finite, got {options.sigma}")
    shape = (options.neurons, options.dim)
    return options.sigma * np.random.default_rng(options.seed).standard_normal(shape)


def _array(file: str, name: str) -> Any:
    import numpy as np

    try:
        return np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise ValueError(f"{name}: {file!r} does not exist") from None
    except Exception as problem:
        raise ValueError(f"{name}: {file!r} is not a readable .npy file ({problem})") from None


def _times(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--times: {text!r} is not a list of numbers") from None


def _check_destinations(*files: str | None) -> None:
    """Say before the work, not after it, that a result could not be written."""
    for file in files:
        if file and file != "-":
            folder = Path(file).parent
            if not folder.is_dir() or not os.access(folder, os.W_OK):
                raise ValueError(f"{file}: cannot write into folder {str(folder)!r}")
            if Path(file).is_dir():
                raise ValueError(f"{file}: is a folder")


def _write_json(file: str, data: dict[str, Any]) -> None:
    _write_text(file, json.dumps(data, ensure_ascii=False) + "\n")


def _write_text(file: str, text: str) -> None:
    from flowkit.files import write_text

    write_text(Path(file), text)


def _plot(flow: Any, file: str) -> None:
    import matplotlib

    from flowkit.files import replacing

    matplotlib.use("Agg")
    with replacing(Path(file)) as temporary:
        flow.plot().figure.savefig(temporary, dpi=150)


def _show(report: Any) -> None:
    from shutil import get_terminal_size

    from flowkit.verification.reports.terminal import text

    terminal = sys.stdout.isatty()
    width = get_terminal_size().columns if terminal else 160
    print(text(report, colour=terminal, width=max(100, width)), end="")


def _precise_summary(flow: Any) -> str:
    """As `_summary`, every loss with the digits that are certain."""
    import numpy as np

    lines = [f"{flow.status}: {flow.message}", flow.accuracy]
    lines += [f"t = {event.t:.9g}: {event.message}" for event in flow.events]
    logs = np.log1p(flow.t.astype(float))
    wanted = np.linspace(logs[0], logs[-1], 12)
    picked = np.unique(np.abs(logs[:, None] - wanted).argmin(axis=0))
    lines += [f"{float(flow.t[i]):12.5g}  {flow.text(i)}" for i in picked]
    return "\n".join(lines)


def _summary(flow: Any) -> str:
    """What a reader wants first: how it ended, events, and a few lines of the loss."""
    import numpy as np

    from flowkit.flows.flow import significant

    lines = [f"{flow.status}: {flow.message}"]
    lines += [f"t = {event.t:.9g}: {event.message}" for event in flow.events]
    lines.append(f"{'t':>12}  {'loss':>22}  {'rel. error':>10}  {'local slope':>14}")
    logs = np.log1p(flow.t)
    wanted = np.linspace(logs[0], logs[-1], 12)
    picked = np.unique(np.abs(logs[:, None] - wanted).argmin(axis=0))
    slopes = flow.local_slope
    for i in picked:
        error = flow.loss_error[i]
        # The slope is a ratio of squares: allow it ten times the error of the loss.
        decimals = max(0, floor(-log10(10 * error)))
        loss = significant(flow.loss[i], error)
        lines.append(f"{flow.t[i]:12.5g}  {loss:>22}  {error:10.1e}  {slopes[i]:14.{decimals}f}")
    return "\n".join(lines)
