"""A process apart answers, and ends with all that it has started."""

import os
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from verify.apart.process import Apart, EndedError

START = "import sys\nfrom verify.apart.process import connect\nwire = connect(sys.argv[1:])\n"


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Start a process apart from what its program does with `wire`."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made = []

    def start(program):
        name = f"apart_{len(made)}_{tmp_path.name.replace('-', '_')}"
        (tmp_path / f"{name}.py").write_text(START + textwrap.dedent(program))
        made.append(Apart(name))
        return made[-1]

    yield start
    for each in made:
        each.end()


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_it_answers(started):
    apart = started("while True: wire.send(wire.receive(int) + 1)")
    apart.send(1)
    assert apart.receive(int) == 2
    apart.send(41)
    assert apart.receive(int) == 42


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("sys.exit(0)", "importing x ended the process, with exit code 0"),
        ("print('last words'); sys.exit(3)", "importing x ended the process, with exit code 3"),
        ("import os; os.kill(os.getpid(), 11)", "importing x: the process crashed (SIGSEGV)"),
    ],
)
def test_where_it_ends_the_reason_is_a_sentence(started, program, reason):
    apart = started(program)
    with pytest.raises(EndedError) as caught:
        apart.receive(int)
    error = caught.value.as_candidates("importing x")
    assert str(error) == reason
    notes = ["  | last words"] if "last words" in program else []
    assert getattr(error, "__notes__", []) == notes


def test_all_that_it_has_started_ends_with_it_even_what_left_it(started):
    apart = started(
        """
        import os, subprocess
        code = "import time; time.sleep(100)"
        child = subprocess.Popen([sys.executable, "-c", code])
        read, write = os.pipe()
        if os.fork() == 0:
            os.setsid()
            left = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
            os.write(write, str(left.pid).encode())
            os._exit(0)
        os.wait()
        wire.send([child.pid, int(os.read(read, 20))])
        wire.receive(int)
        """
    )
    pids = apart.receive(list[int])
    assert all(map(alive, pids))
    apart.end()
    assert not any(map(alive, pids))


def test_what_it_left_behind_ends_where_it_has_ended_itself(started):
    apart = started(
        """
        import os, subprocess
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"],
                                start_new_session=True)
        wire.send(left.pid)
        os._exit(0)
        """
    )
    pid = apart.receive(int)
    with pytest.raises(EndedError):
        apart.receive(int)
    assert not alive(pid)


def test_a_chain_of_processes_that_start_each_other_ends_too(started):
    apart = started(
        """
        import os, time
        wire.send(os.getpid())
        if os.fork() == 0:
            os.setsid()
            while True:
                if os.fork():
                    os._exit(0)
                time.sleep(0.002)
        wire.receive(int)
        """
    )
    apart.receive(int)
    apart.end()
    time.sleep(0.5)
    assert {child.pid for child in psutil.Process().children()} <= apart._descendants._before


def test_a_process_that_closes_its_wire_is_said_to_do_so(started):
    apart = started("wire.close(); import time; time.sleep(100)")
    with pytest.raises(EndedError) as caught:
        apart.receive(int)
    sentence = "importing x: the process closed its connection to verify"
    assert str(caught.value.as_candidates("importing x")) == sentence


def test_its_environment_has_nothing_of_the_harness_s_own(started, monkeypatch):
    monkeypatch.setenv("VERIFY_STATUS_FD", "1,2,3,4")
    apart = started("import os; wire.send(dict(os.environ)); wire.receive(int)")
    environment = apart.receive(dict[str, str])
    assert not [name for name in environment if name.startswith("VERIFY_")]
    assert environment["TMPDIR"] != os.environ.get("TMPDIR")


def test_where_the_harness_gives_way_its_names_are_the_users(started, tmp_path, monkeypatch):
    (tmp_path / "own" / "reports").mkdir(parents=True)
    (tmp_path / "own" / "reports" / "__init__.py").write_text("whose = 'the user'")
    monkeypatch.chdir(tmp_path / "own")
    apart = started(
        """
        import os, reports as ours
        from verify.apart.process import give_way
        give_way()
        import reports, impl.config
        wire.send([reports.whose, ours is reports, sys.path[0], sys.path[-1],
                   os.environ["PYTHONPATH"], impl.config.__file__])
        wire.receive(int)
        """
    )
    root = str(Path(__file__).parents[3])
    whose, same, first, last, path, own = apart.receive(list[str | bool])
    assert (whose, same) == ("the user", False)
    assert (first, last) == (str(tmp_path / "own"), root)
    assert path == str(tmp_path)
    assert own == f"{root}/impl/config.py"
