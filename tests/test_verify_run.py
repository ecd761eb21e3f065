"""The runner of `verify`: processes, their order, what is kept when it is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest

import flowkit
from flowkit.verification import registry, run
from flowkit.verification.check import check
from flowkit.verification.claim import Claim, Evidence, Measured, Prediction
from flowkit.verification.reports.results import Result, Row
from flowkit.verification.store import Store, claim_fingerprint, sources_fingerprint
from flowkit.verification.tasks import Tasks, grouped

IDS = [f"test/slow-{i}" for i in range(6)]
ROOT = Path(flowkit.__file__).parents[1]

SLOW = """
import os, time
from functools import partial
from pathlib import Path
from flowkit.verification.check import check
from flowkit.verification.claim import Claim, Evidence, Measured, Prediction
from flowkit.verification.registry import register

HERE = Path(__file__).parent

def measure(profile, i):
    with (HERE / "log").open("a") as log:
        log.write(f"{i} {os.getpid()}\\n")
    if i == 5 and (HERE / "die").exists():
        os._exit(3)
    print("a claim may print")
    time.sleep(0.0 if i == 0 else float((HERE / "pause").read_text()))
    return Evidence({"x": Measured(i + 0.1, float("inf") if i == 1 else 1e-9)}, runs=(f"run {i}",))

for i in range(6):
    register(Claim(f"test/slow-{i}", "x = i", "-", {"x": Prediction(i + 0.1, 1e-6)},
                   partial(measure, i=i), flows=False, shares="ab" if i < 2 else ""))
"""
SCRIPT = """
import sys, flowkit, slow_claims
ids = [f"test/slow-{i}" for i in range(6)]
report = flowkit.verify(ids, jobs=int(sys.argv[1]), store=sys.argv[2])
print([result.verdict for result in report])
"""  # no `if __name__ == "__main__":`, on purpose


@pytest.fixture
def slow(tmp_path):
    """A script that verifies six claims of a module, and how to start it."""
    (tmp_path / "slow_claims.py").write_text(SLOW)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "pause").write_text("0")

    def start(jobs):
        command = [sys.executable, "script.py", str(jobs), "report"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes)

    return start


@pytest.fixture
def plant(monkeypatch):
    """Register a claim for one test."""

    def add(identifier, measure, **more):
        monkeypatch.setattr(registry, "_CLAIMS", dict(registry._CLAIMS))
        prediction = {"x": Prediction(1.0, 1e-3)}
        more = {"predictions": prediction, "flows": False} | more
        return registry.register(
            Claim(id=identifier, statement="x = 1", source="-", measure=measure, **more)
        )

    return add


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def log_of(folder):
    file = folder / "log"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc who lives")
def test_killed_and_started_again(slow, tmp_path):
    """Killed in the middle, two processes: nothing stays, and what was done is not done again."""
    (tmp_path / "pause").write_text("0.4")
    partial = tmp_path / "report" / "partial"
    killed = slow(2)
    wait_for(lambda: len(list(partial.glob("[!.]*.json"))) >= 2)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    wait_for(lambda: not any(alive(pid) for _, pid in log_of(tmp_path)))
    kept = {json.loads(file.read_text())["result"]["claim_id"] for file in partial.glob("[!.]*")}
    before = len(log_of(tmp_path))
    (tmp_path / "pause").write_text("0")
    again = slow(1)
    out, err = again.communicate()
    assert f"flowkit: going on with {len(kept)} of 6 claims from report" in err
    measured = [f"test/slow-{i}" for i, _ in log_of(tmp_path)[before:]]
    assert sorted(measured) == sorted(set(IDS) - kept)
    assert out.splitlines()[-1] == str(["holds", "undecided"] + ["holds"] * 4)
    assert not partial.exists()
    assert {file.name for file in (tmp_path / "report").iterdir()} == {"report.html", "report.json"}


def test_a_process_that_dies_costs_one_claim(slow, tmp_path):
    """And claims that share flows are checked by the same process."""
    (tmp_path / "die").touch()
    out, _ = slow(2).communicate()
    assert out.splitlines()[-1] == str(["holds", "undecided"] + ["holds"] * 3 + ["undecided"])
    data = json.loads((tmp_path / "report" / "report.json").read_text())
    assert "ended with code 3" in data["results"][5]["rows"][0]["measured"]["note"]
    where = dict(log_of(tmp_path))
    assert where["0"] == where["1"]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals of POSIX")
def test_interrupt_ends_all_processes(slow, tmp_path):
    (tmp_path / "pause").write_text("60")
    process = slow(2)
    wait_for(lambda: len(log_of(tmp_path)) >= 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    assert not any(alive(pid) for _, pid in log_of(tmp_path))
    names = {file.name for file in tmp_path.glob("report/partial/*")}
    assert names <= {"test%2Fslow-0.quick.json"}


def test_what_cannot_be_sent_is_checked_here(plant):
    plant("test/here", lambda _: Evidence({"x": Measured(1.0, 0.0, str(os.getpid()))}))
    plant("test/here-too", lambda _: Evidence({"x": Measured(1.0, 0.0, str(os.getpid()))}))
    report = flowkit.verify(["test/here", "test/here-too"], jobs=2)
    assert [r.rows[0].measured.note for r in report] == [str(os.getpid())] * 2


STRANGE = Result(
    "test/strange",
    "a statement",
    "a source",
    "quick",
    (
        Row("x", Prediction(1 / 3, 1e-3, "<=", "⅓"), Measured(nan, inf, "ü"), "undecided"),
        Row("y", Prediction(-inf, 0.0), Measured(0.1 + 0.2, 5e-324), "fails"),
    ),
    "fails",
    1.2345678901234567,
    "<svg/>",
    "a group",
    r"\frac{1}{2}",
    ("run 1", "run 2"),
    ("a note",),
)


def test_a_result_comes_back_as_it_was(tmp_path, plant):
    claim = plant("test/strange", lambda _: None)
    store = Store(tmp_path / "r", "quick")
    store.keep(claim, STRANGE)
    back = store.known([claim])["test/strange"]
    assert repr(back) == repr(STRANGE)
    assert back.figure == "<svg/>"


def test_what_was_lost_is_not_kept(tmp_path, plant):
    def boom(_):
        raise MemoryError

    claim = plant("test/boom", boom)
    store = Store(tmp_path / "r", "quick")
    store.keep(claim, check(claim, "quick"))
    assert not store.known([claim])


def test_what_has_changed_is_measured_again(tmp_path, plant, monkeypatch):
    claim = plant("test/strange", lambda _: None)
    Store(tmp_path / "r", "quick").keep(claim, STRANGE)
    assert Store(tmp_path / "r", "quick").known([claim])
    assert not Store(tmp_path / "r", "full").known([claim])
    other = replace(claim, predictions={"x": Prediction(2.0, 1e-3)})
    assert not Store(tmp_path / "r", "quick").known([other])
    with monkeypatch.context() as patch:
        patch.setattr(flowkit, "__version__", "9.9.9")
        assert not Store(tmp_path / "r", "quick").known([claim])
    monkeypatch.setattr("flowkit.verification.store.sources_fingerprint", lambda: "else")
    assert not Store(tmp_path / "r", "quick").known([claim])


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"key": 1}', "\udcff"])
def test_what_is_damaged_is_measured_again(tmp_path, plant, content):
    plant("test/x", lambda _: Evidence({"x": Measured(1.0, 0.0)}))
    folder = tmp_path / "r" / "partial"
    folder.mkdir(parents=True)
    (folder / "test%2Fx.quick.json").write_bytes(content.encode(errors="surrogateescape"))
    assert flowkit.verify("test/x", store=tmp_path / "r").passed


def test_files_of_others_stay(tmp_path, plant):
    plant("test/x", lambda _: Evidence({"x": Measured(1.0, 0.0)}))
    partial = tmp_path / "r" / "partial"
    partial.mkdir(parents=True)
    others = {"mine.txt", "test%2Fx.full.json", "test%2Fx2.quick.json", ".test%2Fx2.quick.json.a"}
    for name in (*others, ".test%2Fx.quick.json.b.json"):
        (partial / name).touch()
    assert flowkit.verify("test/x", store=tmp_path / "r").passed
    assert {file.name for file in partial.iterdir()} == others


def test_profiles_are_kept_apart(tmp_path, plant):
    claim = plant("test/strange", lambda _: None)
    for profile in ("quick", "full"):
        Store(tmp_path / "r", profile).keep(claim, replace(STRANGE, profile=profile))
    for profile in ("quick", "full"):
        assert Store(tmp_path / "r", profile).known([claim])[claim.id].profile == profile


def test_fingerprints_do_not_depend_on_the_process():
    code = (
        "import flowkit; from flowkit.verification.store import *\n"
        "print(sources_fingerprint(), claim_fingerprint(flowkit.claims()[2]))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "77"}
    out = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert out.split() == [sources_fingerprint(), claim_fingerprint(flowkit.claims()[2])]


@pytest.mark.parametrize("store", [3, "no/such/folder", __file__])
def test_bad_store(store):
    with pytest.raises(ValueError, match=r"^store: "):
        flowkit.verify("relu/quadrature", store=store)


def small(identifier, cost=1.0, flows=True, shares=""):
    return Claim(identifier, "-", "-", {}, lambda _: None, cost=cost, flows=flows, shares=shares)


def test_order_of_tasks():
    claims = [
        small("a", 1, flows=False),
        small("b", 5, flows=False),
        small("c", {"quick": 2, "full": 50}),
        small("d", 1.5, shares="s"),
        small("e", 1.5, shares="s"),
    ]
    quick = grouped(claims, "quick")
    assert [[c.id for c in task.claims] for task in quick] == [["b"], ["d", "e"], ["c"], ["a"]]
    assert grouped(claims, "full")[0].claims[0].id == "c"
    tasks = Tasks(quick)
    names = [tasks.take().claims[0].id for _ in range(3)]
    assert names == ["d", "b", "a"]  # the first compiles, the others run no flows meanwhile
    tasks.compiled()
    assert tasks.take().claims[0].id == "c"
    assert tasks.take() is None


def test_jobs_by_default(monkeypatch, plant):
    used = []
    monkeypatch.setattr(
        run, "check_in_processes", lambda *a: used.append(a[2]) or run.check_here(*a[:2])
    )
    monkeypatch.setattr(run, "usable_cores", lambda: 3)
    for name in ("test/1", "test/2", "test/3", "test/4"):
        plant(name, lambda _: Evidence({"x": Measured(1.0, 0.0)}))
    ids = ["test/1", "test/2", "test/3", "test/4"]
    flowkit.verify(ids)
    flowkit.verify(ids[:2])
    flowkit.verify(ids[:1])
    flowkit.verify(ids, jobs=1)
    flowkit.verify(ids, jobs=9)
    assert used == [3, 2, 4]


def test_bar_tells_what_is_running(plant, capsys, monkeypatch):
    plant("test/x", lambda _: Evidence({"x": Measured(1.0, 0.0)}))
    with monkeypatch.context() as patch:
        patch.setenv("FORCE_COLOR", "1")
        flowkit.verify("test/x", progress=True)
    assert "1/1" in capsys.readouterr().err
    flowkit.verify("test/x")
    assert capsys.readouterr().err == ""
