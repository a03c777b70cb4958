"""The kernels that take the least time are chosen, by turns of processes of their own."""

from argparse import Namespace

import pytest

from impl.choosing import kept as kept_choices
from impl.choosing import measure
from impl.choosing.kept import kept
from impl.choosing.measure import Contender, _chosen, choose_here, contenders
from impl.engine import Engine
from impl.precompile import KernelError
from reports.commands import UsageError


def test_the_fastest_in_both_is_chosen_with_its_ratios():
    decode = {"mojo-avx512": [2.0, 4.0], "mojo-avx2": [1.0, 2.0], "stock": [8.0, 16.0]}
    prefill = {"mojo-avx512": [1.0, 1.0], "mojo-avx2": [1.0, 1.0], "stock": [2.0, 2.0]}
    found = _chosen(decode, prefill)
    assert found.kernels == "mojo-avx2"
    assert found.decode == {"mojo-avx512": 2.0, "stock": 8.0}
    assert found.prefill == {"mojo-avx512": 1.0, "stock": 2.0}


def test_stock_is_chosen_where_it_is_faster():
    found = _chosen({"mojo-plain": [3.0], "stock": [1.0]}, {"mojo-plain": [1.0], "stock": [1.1]})
    assert found.kernels == "stock"


def test_a_difference_within_the_noise_leaves_what_fits_the_cpu():
    times = {"mojo-avx512": [1.0, 1.0, 1.0], "mojo-avx2": [0.99, 1.02, 0.99]}
    assert _chosen(times, times).kernels == "mojo-avx512"


def test_a_slow_moment_of_all_changes_nothing():
    """Ratios are of one round, not of what each took on the whole."""
    decode = {"mojo-avx2": [1.0, 50.0, 1.0], "stock": [2.0, 100.0, 2.0]}
    assert _chosen(decode, decode).decode == {"stock": 2.0}


def test_kernels_that_fit_the_cpu_come_first_and_stock_is_among_them():
    names = contenders()
    assert names[0].startswith("mojo-")
    assert names[-1] == "stock"


def test_a_contender_that_cannot_start_says_so():
    with Contender("mojo", "no/such/folder") as contender, pytest.raises(KernelError):
        contender.ready()


def test_no_rounds_are_refused():
    with pytest.raises(UsageError, match="--rounds is at least 1"):
        choose_here(Namespace(model="tiny", rounds=0))


@pytest.mark.compiles
def test_what_is_measured_here_is_taken_from_then_on(checkpoint, monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("MAX_GPT2_KERNELS", raising=False)
    monkeypatch.setattr(kept_choices, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(measure, "contenders", lambda: ["mojo", "stock"])
    assert choose_here(Namespace(model="tiny", rounds=3)) == 0
    found = kept(checkpoint.config)
    assert found is not None
    assert f"engines of this shape take {found.kernels} here" in capsys.readouterr().out
    path = Engine(checkpoint.config, checkpoint.weights).kernel_path
    assert f"({found.reason})" in path
