"""Whether tiles may be used is asked once, and said in one sentence where they may not."""

import platform

import pytest

from impl.choosing import tiles


@pytest.fixture
def flags(monkeypatch):
    """Make this CPU one with these flags, of which nobody has asked yet."""
    tiles.refusal.cache_clear()

    def become(*names):
        monkeypatch.setattr(tiles, "flags_of_all", lambda: set(names))

    yield become
    tiles.refusal.cache_clear()


def test_a_cpu_without_tiles_says_so(flags):
    flags("avx512f", "amx_tile")
    assert not tiles.has_tiles()
    assert tiles.refusal() == tiles.MISSING


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="asks Linux on x86-64"
)
def test_linux_is_asked_and_its_refusal_is_said(flags, monkeypatch):
    """Here for a feature that no CPU has, as a kernel that knows no tiles is."""
    flags("amx_tile", "amx_bf16")
    monkeypatch.setattr(tiles, "XFEATURE_XTILEDATA", 63)
    assert tiles.has_tiles()
    assert "refuses permission to use AMX tiles: " in tiles.refusal()


def test_linux_is_asked_once(flags, monkeypatch):
    flags("avx2")
    assert tiles.refusal() == tiles.MISSING
    flags("amx_tile", "amx_bf16")
    assert tiles.refusal() == tiles.MISSING
