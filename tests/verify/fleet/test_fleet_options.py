import argparse
from pathlib import Path

import pytest

from reports.commands import UsageError
from verify.fleet.fleet_options import add_on, check_on, how_to_resume


@pytest.mark.parametrize("on", [None, "ray", "ray://head:10001", "ray://[::1]:10001"])
def test_a_cluster_has_a_name(on):
    check_on(on)


@pytest.mark.parametrize("on", ["", "slurm", "ray://", "ray://head", "ray:head:1", "ray://a:b"])
def test_anything_else_is_one_sentence(on):
    with pytest.raises(UsageError, match=r"--on is ray or ray://HOST:PORT"):
        check_on(on)


def test_cpus_are_a_whole_number():
    parser = argparse.ArgumentParser()
    add_on(parser)
    assert parser.parse_args(["--on", "ray", "--cpus", "4"]).cpus == 4
    with pytest.raises(SystemExit):
        parser.parse_args(["--cpus", "0"])


def test_how_to_go_on_names_the_folder_once():
    command = ["python", "-m", "verify", "campaign", "--out", "a", "--seeds", "9", "--out=b"]
    told = how_to_resume(command, Path("runs/c"))
    assert told == "to go on: python -m verify campaign --seeds 9 --out runs/c"
