"""Requests are run as a server runs them: ragged, in chunks, decoded, on pages."""

import numpy as np
import pytest

from reference.decoder import in_float64, load_decoder
from verify.package.opening.driven import Requests
from verify.package.opening.evaluated_engine import evaluating
from verify.package.opening.opened import PAGE, open_package

TOLERANCE = 1e-12


@pytest.fixture(scope="module")
def requests(checkpoints):
    with evaluating() as engine:
        yield Requests(open_package(checkpoints("llama3"), v3=False), engine)


@pytest.fixture(scope="module")
def oracle(checkpoints):
    return in_float64(load_decoder(str(checkpoints("llama3"))))


@pytest.fixture
def ids():
    return np.random.default_rng(3).integers(0, 256, (2, PAGE + 20))


def agree(passed, oracle, ids, rows):
    truth = oracle.logits(ids)
    for row, logits, (first, end) in zip(rows, passed.logits, passed.spans, strict=True):
        assert np.abs(logits - truth[row, first:end]).max() <= TOLERANCE


def test_rows_of_different_lengths_share_a_pass(requests, oracle, ids):
    first, second = (requests.begin(row, prompt) for row, prompt in zip(ids, (9, 4), strict=True))
    passed = requests.run([(second, 4), (first, 9)])
    requests.end()
    assert passed.spans == ((0, 4), (0, 9))
    agree(passed, oracle, ids, [1, 0])


def test_a_prompt_may_be_cut_into_chunks(requests, oracle, ids):
    one = requests.begin(ids[0], 30)
    for count, span in ((7, (0, 7)), (20, (7, 27)), (3, (27, 30))):
        passed = requests.run([(one, count)])
        assert passed.spans == (span,)
        agree(passed, oracle, ids, [0])
    requests.end()


def test_after_its_prompt_a_request_goes_on_by_single_tokens_that_are_known(requests, oracle, ids):
    one = requests.begin(ids[0], 3)
    spans = [requests.run([(one, count)]).spans[0] for count in (3, 1, 1)]
    passed = requests.run([(one, 1)])
    requests.end()
    assert spans == [(0, 3), (3, 4), (4, 5)]
    agree(passed, oracle, ids, [0])


def test_what_a_row_left_in_the_cache_is_not_computed_again(requests, oracle, ids):
    ids[1, :PAGE] = ids[0, :PAGE]
    first = requests.begin(ids[0], PAGE + 2)
    requests.run([(first, PAGE + 2)])
    second = requests.begin(ids[1], PAGE + 5)
    passed = requests.run([(second, PAGE + 5)])
    requests.end()
    assert passed.spans == ((PAGE, PAGE + 5),)
    agree(passed, oracle, ids, [1])


def test_a_prepared_batch_is_whole_even_if_the_cache_knows_its_prefix(requests, ids):
    requests.run([(requests.begin(ids[0]), len(ids[0]))])
    requests.end()
    tokens = next(a for a in requests.prepared(ids[:1]) if a.dtype == np.int64 and a.ndim == 1)
    assert tokens.tolist() == ids[0].tolist()


def test_preparing_a_batch_leaves_no_request_and_no_prefix(requests, ids):
    others = ids[:, ::-1]
    requests.prepared(others)
    assert not requests.live
    passed = requests.run([(requests.begin(others[0], PAGE + 1), PAGE + 1)])
    requests.end()
    assert passed.spans == ((0, PAGE + 1),)
