"""Units that only a certain node may do, on a cluster of three nodes on this machine."""

import pytest

from bench.cli import main
from bench.fleet.places import places
from reports.saved.machine import cpu_model
from reports.saved.records import read_run
from reports.tables.units import opened
from tests import ray_nodes
from tests.conforming import record_misfits
from verify.fleet.unit import FleetError, Spread, Unit
from verify.fleet.units_run import run_units

SQUARE = "tests.verify.fleet.quick_units:square"
ON = Spread("ray", exclusive=True, most_load=1.0)


@pytest.fixture(scope="module")
def cluster():
    """Two nodes that may be taken as a whole, and one that may not."""
    pytest.importorskip("ray")
    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    with ray_nodes.cluster(**small, node_ip_address="127.0.0.2") as made:
        for number in (3, 4):
            made.add_node(**small, resources={"bench": 1}, node_ip_address=f"127.0.0.{number}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_ADDRESS", made.address)
            yield made


def test_without_a_cluster_this_machine_is_the_only_place():
    with places(Spread()) as found:
        assert [(place.name, place.cpu) for place in found] == [("here", cpu_model())]


def test_each_node_that_offers_itself_is_a_place_and_does_its_own_unit(cluster):
    with places(ON) as found:
        assert len(found) == 2
        assert {place.cpu for place in found} == {cpu_model()}
        names = [place.name for place in found]
        units = [
            Unit(f"{name} {n}", SQUARE, {"n": n}, place=name) for name in names for n in (1, 2)
        ]
        done = list(run_units(units, ON))
    assert {one.key: one.node for one in done} == {unit.key: unit.place for unit in units}
    assert [one.error for one in done] == [None] * 4


def test_a_kind_of_machine_is_a_place_too(cluster):
    units = [Unit(str(n), SQUARE, {"n": n}, place=cpu_model()) for n in range(3)]
    assert {one.error for one in run_units(units, ON)} == {None}


def test_a_unit_for_a_place_that_is_not_there_is_given_up_and_the_others_are_done(cluster):
    units = [Unit("a", SQUARE, {"n": 1}), Unit("b", SQUARE, {"n": 2}, place="another CPU")]
    found = {one.key: one.error for one in run_units(units, ON)}
    assert found == {"a": None, "b": "no node is left that is another CPU"}


def test_every_node_is_measured_once_for_a_table_of_machines(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("MAX_PARITY_RUNS", str(tmp_path / "root"))
    out = tmp_path / "machines"
    words = ["--model", "random:tiny", "--arms", "torch", "--budget-each", "1s", "--processes", "1"]
    code = main(["machines", *words, "--on", "ray", "--most-load", "100%", "--out", str(out)])
    assert code == 0
    run = opened(read_run(out))
    assert len({one["node"] for one in run.of("machine")}) == 2
    assert len({one["machine"] for one in run.of("machine")}) == 1
    for unit in run.of("unit"):
        found = {one["ceiling"] for one in run.of("machine_ceiling") if one["unit"] == unit["key"]}
        assert found >= {"read", "peak", "gemm"}
        cells = {one["workload"] for one in run.of("cell") if one["unit"] == unit["key"]}
        assert cells == {"pp128", "tg16 @ d32"}
    assert record_misfits(out) == []


def test_why_no_node_may_be_taken_is_said(cluster):
    with pytest.raises(FleetError, match="it offers 1 CPUs"), places(Spread("ray", cpus=9)):
        pass
