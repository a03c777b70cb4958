"""Conversions are made once for each checkpoint and converter, whole or not at all."""

import pytest

from bench.arms.caches import CONVERSIONS_VARIABLE, Watch, converted
from reference.load import load


@pytest.fixture
def checkpoint():
    return load("random:tiny")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv(CONVERSIONS_VARIABLE, str(folder))
    return folder


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "converter.py"
    file.write_text("one")
    return file


def make(folder):
    (folder / "model").write_text("converted")


def refuse(folder):
    raise AssertionError("it was converted before")


def test_a_conversion_is_made_once(checkpoint, cache, source):
    first, cold = converted(checkpoint, "x", [source], make)
    second, warm = converted(checkpoint, "x", [source], refuse)
    assert (cold, warm) == ("cold", "warm")
    assert first == second
    assert (first / "model").read_text() == "converted"


def test_other_weights_code_and_formats_are_converted_anew(checkpoint, cache, source):
    folders = {converted(checkpoint, "x", [source], make)[0]}
    folders.add(converted(checkpoint, "y", [source], make)[0])
    folders.add(converted(load("random:tiny", seed=1), "x", [source], make)[0])
    source.write_text("two")
    folders.add(converted(checkpoint, "x", [source], make)[0])
    assert len(folders) == 4


def test_a_conversion_that_fails_leaves_nothing(checkpoint, cache, source):
    def half(folder):
        make(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        converted(checkpoint, "x", [source], half)
    assert list(cache.iterdir()) == []
    assert converted(checkpoint, "x", [source], make)[1] == "cold"


def test_a_cache_that_grows_was_cold(tmp_path):
    watch = Watch(tmp_path / "none yet")
    assert watch.cache() == "warm"
    (tmp_path / "none yet" / "deep").mkdir(parents=True)
    (tmp_path / "none yet" / "deep" / "file").write_text("")
    assert watch.cache() == "cold"
