"""`import flowkit` is quick and loads nothing heavy."""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = str(Path(__file__).parents[1])
HEAVY = ("sympy", "scipy", "matplotlib", "mpmath", "flint", "rich", "jinja2")


def python(code):
    path = os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_heavy_is_loaded():
    loaded = python("import sys, flowkit; print(*sys.modules)").split()
    assert not {name.partition(".")[0] for name in loaded} & set(HEAVY)


def test_symbolic_loads_no_sympy():
    assert "sympy" not in python("import sys, symbolic; print(*sys.modules)").split()


def test_import_takes_less_than_a_third_of_a_second():
    code = "from time import perf_counter as c; s = c(); import flowkit; print(c() - s)"
    assert median(float(python(code)) for _ in range(5)) <= 0.3


def test_every_public_name_is_listed():
    names = python("import flowkit; print(*dir(flowkit))").split()
    assert {"TeacherStudent", "LeakyReLU", "integrate", "load", "fit_rate"} <= set(names)
