"""Real clusters of Ray: several nodes on this machine, on loopback."""

import itertools
import os
import shutil
from contextlib import closing

import pytest

from reports.saved.home import REPOSITORY
from tests import ray_nodes
from verify.fleet.node_check import CODE
from verify.fleet.unit import FleetError, Spread, Unit
from verify.fleet.units_run import run_units

pytest.importorskip("ray", reason="Ray is not installed (tox -e fleet)")
os.environ["RAY_usage_stats_enabled"] = "0"  # noqa: SIM112 - Ray spells it so
HERE = "tests.verify.fleet.quick_units"
ON = Spread("ray")
ALONE = Spread("ray", exclusive=True, most_load=1.0)


def square(n, seconds=0.1):
    return Unit(f"unit {n}", f"{HERE}:square", {"n": n, "seconds": seconds})


def options(number, **more):
    """Of a node: an address of its own, and little memory."""
    address = f"127.0.0.{number}"
    return {"object_store_memory": 80 * 2**20, "node_ip_address": address, **more}


class Nodes:
    """A cluster whose head does no work, and the nodes that were added to it."""

    def __init__(self, cluster):
        self.cluster = cluster
        self._count = 2

    def add(self, **more):
        self._count += 1
        return self.cluster.add_node(**options(self._count, num_cpus=1, **more))

    def kill(self, node):
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def nodes():
    with ray_nodes.cluster(**options(2, num_cpus=0)) as cluster:
        yield Nodes(cluster)


@pytest.fixture(autouse=True)
def _address(nodes, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", nodes.cluster.address)


@pytest.fixture(scope="module")
def several(nodes):
    """Two nodes that stay, each of which may be taken as a whole."""
    return [nodes.add(resources={"bench": 1}) for _ in range(2)]


def named(news, node):
    return [one for one in news if node.node_id.startswith(one.node.rpartition("/")[2])]


@pytest.fixture(scope="module")
def spare(nodes):
    """One more, which may not be taken as a whole."""
    return nodes.add()


def test_a_unit_that_takes_a_node_for_itself_is_alone_on_it(several, spare):
    work = [Unit(f"unit {n}", f"{HERE}:period", {"seconds": 0.2}) for n in range(6)]
    news = []
    found = list(run_units(work, ALONE, news.append))
    assert "does not offer the resource bench" in named(news, spare)[0].reason
    by_node = {}
    for done in found:
        by_node.setdefault(done.node, []).append(done.records[0])
    assert len(by_node) == 2
    for periods in by_node.values():
        periods.sort(key=lambda one: one["start"])
        assert all(a["end"] <= b["start"] for a, b in itertools.pairwise(periods))


def test_a_node_that_is_killed_loses_nothing_and_does_nothing_twice(
    nodes, several, spare, tmp_path
):
    def work(processes):
        arguments = {"folder": str(tmp_path), "processes": processes}
        return [Unit(f"unit {n}", f"{HERE}:together", {"n": n, **arguments}) for n in range(40)]

    here = {done.key: done.records for done in run_units(work(1))}
    news, found = [], []
    with closing(run_units(work(1 + 3), ON, news.append)) as spread:  # this process was the first
        for done in spread:
            found.append(done)
            of_spare = spare.node_id.startswith(done.node.rpartition("/")[2])
            if of_spare and spare in nodes.cluster.list_all_nodes():
                nodes.kill(spare)
    assert spare not in nodes.cluster.list_all_nodes()
    assert sorted(done.key for done in found) == sorted(here)
    assert {done.key: done.records for done in found} == here
    assert len({done.node for done in found}) == 3
    assert any("done again" in one.reason for one in named(news, spare))


class HeardError(Exception):
    """What was waited for has been told."""


def test_a_node_that_is_busy_is_not_measured_on_and_that_is_said(several):
    def listen(news):
        if news.state == "busy":
            raise HeardError(news.reason)

    busy = Spread("ray", exclusive=True, most_load=-1.0)
    with pytest.raises(HeardError, match="of its CPUs are at work"):
        list(run_units([square(0)], busy, listen))


def test_a_node_with_other_code_is_refused_and_not_used(nodes, several, tmp_path):
    for package in (*CODE, "reports"):
        ignored = shutil.ignore_patterns("runs", "latest", "published", "__pycache__")
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=ignored)
    (tmp_path / "impl" / "model.py").write_text("# another\n")
    other, news = nodes.add(env_vars={"MAX_PARITY_CODE": str(tmp_path)}), []
    found = list(run_units([square(n) for n in range(9)], ON, news.append))
    (refused,) = named(news, other)
    assert (refused.state, refused.reason) == ("refused", "its code of impl/ is not the driver's")
    assert refused.node not in {done.node for done in found}
    assert len(found) == 9
    nodes.kill(other)


def test_a_unit_that_ends_its_process_is_given_up_and_the_others_go_on(several):
    work = [Unit("deadly", f"{HERE}:deadly"), *(square(n) for n in range(4))]
    found = {done.key: done for done in run_units(work, ON)}
    assert len(found) == 5
    assert "its process ended 3 times" in found["deadly"].error
    assert all(found[f"unit {n}"].error is None for n in range(4))


def test_where_no_node_may_work_that_is_one_sentence(nodes, several):
    with pytest.raises(FleetError, match="no node is left that may work"):
        list(run_units([square(0)], Spread("ray", cpus=64)))


def test_no_cluster_where_one_is_named_is_one_sentence():
    with pytest.raises(FleetError, match=r"no Ray cluster at ray://127.0.0.1:9"):
        list(run_units([square(0)], Spread("ray://127.0.0.1:9")))
