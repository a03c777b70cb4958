"""What stands behind the fence can read, and changes nothing outside."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from verify.apart import fence
from verify.apart.fence import WRITABLE, devices

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(not fence.version(), reason="this kernel has no Landlock")


def needs(version):
    return pytest.mark.skipif(fence.version() < version, reason=f"Landlock {version} is needed")


@pytest.fixture
def behind(tmp_path):
    """Run a line of Python behind a fence with one folder inside it; gives what it prints."""
    inside = tmp_path / "inside"
    inside.mkdir()

    def run(line, **more):
        program = tmp_path / "fenced_program.py"
        program.write_text(
            "import os, signal, sys\nfrom pathlib import Path\ntry:\n"
            f"    print({line})\nexcept OSError as error:\n    print(type(error).__name__)\n"
        )
        environment = {
            **os.environ, **more, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
            WRITABLE: str(inside),
        }  # fmt: skip
        # Its parent may be signalled in vain; where there is no fence for signals, it dies of it.
        between = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
        command = [sys.executable, "-c", between]
        command += [sys.executable, "-P", "-m", "verify.apart.fence", "fenced_program"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    run.inside, run.outside = inside, tmp_path / "outside"
    run.outside.write_text("as it was")
    return run


@pytest.mark.parametrize(
    "line",
    [
        "Path({outside!r}).write_text('x')",
        "open({outside!r}, 'a').write('x')",
        pytest.param("os.truncate({outside!r}, 0)", marks=needs(3)),
        "os.remove({outside!r})",
        "os.rename({outside!r}, {inside!r} + '/moved')",
        "os.symlink('/', {outside!r} + '2')",
        "os.mkdir({outside!r} + '2')",
        pytest.param("os.kill(os.getppid(), signal.SIGKILL)", marks=needs(6)),
        pytest.param("os.kill(os.getppid(), 0)", marks=needs(6)),
        "open(f'/proc/{{os.getppid()}}/mem', 'r+b')",
        "open(f'/proc/{{os.getppid()}}/fd/1', 'w')",
    ],
)
def test_nothing_outside_can_be_changed_and_nobody_signalled(behind, line):
    found = behind(line.format(outside=str(behind.outside), inside=str(behind.inside)))
    assert found in ("PermissionError", "OSError")
    assert behind.outside.read_text() == "as it was"
    assert not list(behind.inside.iterdir())


def test_the_folder_inside_can_be_written_and_everything_can_be_read(behind):
    assert behind(f"Path({str(behind.inside)!r}, 'new').write_text('four')") == "4"
    assert behind(f"Path({str(behind.outside)!r}).read_text()") == "as it was"
    assert behind("Path('/dev/null').write_text('gone')") == "4"


def test_what_it_starts_stands_behind_the_same_fence(behind):
    line = f"os.system('echo x > {behind.outside}') != 0"
    assert behind(line) == "True"
    assert behind.outside.read_text() == "as it was"


def test_a_thread_stands_behind_it_too(behind):
    code = textwrap.dedent(
        f"""
        __import__('threading').Thread(
            target=lambda: open({str(behind.outside)!r}, 'w').write('x')).start()
        """
    ).replace("\n", " ")
    behind(code.strip())
    assert behind.outside.read_text() == "as it was"


def test_no_terminal_is_among_the_devices_that_may_be_written():
    names = {path.name for path in devices()}
    assert "null" in names
    assert not {name for name in names if "tty" in name or "pts" in name or "console" in name}


def test_a_signal_to_itself_is_its_own_affair(behind):
    assert behind("os.kill(os.getpid(), 0)") == "None"
    assert behind(f"signal.Signals({int(signal.SIGTERM)}).name") == "SIGTERM"
