"""Bad questions and bad clients: a server that treats them well passes, each wrong one is named."""

import pytest

from tests.verify.endpoint.conftest import stand_in
from verify.endpoint import misuse
from verify.endpoint.misuse import Misuse


async def everything(endpoint, questions, judge):
    return {one.name: one for one in await Misuse(endpoint, questions, judge).all(lambda _: None)}


@pytest.fixture
def few_connections(monkeypatch):
    monkeypatch.setattr(misuse, "IDLE", 20)
    monkeypatch.setattr(misuse, "SLOW_S", 0.05)
    monkeypatch.setattr(misuse, "AGAIN_S", 0.5)


def test_a_server_that_refuses_with_a_reason_and_stays_right_passes(asking, monkeypatch):
    monkeypatch.setattr(misuse, "SLOW_S", 0.05)
    found = asking(everything)
    assert {one.verdict for one in found.values()} == {"PASS"}
    assert found["an unknown model"].status == 404
    assert found["a token id beyond the vocabulary"].message.startswith("token id 1024 is not")
    assert "1,000 idle connections" in found


@pytest.mark.parametrize(
    ("path", "name", "told"),
    [
        ("/any-model", "an unknown model", "answered"),
        ("/error-500", "a prompt of one token too many", "takes the blame"),
        ("/cuts-prompts", "a prompt of 10,000 tokens", "answered"),
        ("/no-reason", "JSON that is cut off", "without a reason"),
        ("/wrong-afterwards", "JSON that is cut off", "a good question is answered wrong"),
    ],
)  # fmt: skip
def test_what_a_server_gets_wrong_is_a_row(asking, few_connections, path, name, told):
    found = asking(everything, path)
    assert found[name].verdict == "FAIL"
    assert told in found[name].message


def test_a_server_that_dies_is_said_to_be_gone_and_asked_no_more(asking, few_connections, tmp_path):
    server, address = stand_in(tmp_path / "log")
    with server:
        found = asking(everything, "/dies-of-ids", server=address)
    rows = list(found.values())
    died = next(one for one in rows if one.verdict == "FAIL")
    assert died.name == "a negative token id"
    assert "the server is gone" in died.message
    after = rows[rows.index(died) + 1 :]
    assert after
    assert {one.verdict for one in after} == {"SKIP"}
