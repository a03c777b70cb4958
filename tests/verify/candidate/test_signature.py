import pytest
from max.experimental.nn import Module

from verify.candidate.guard import CandidateError
from verify.candidate.signature import called, check_signature


class Serving(Module):
    def forward(self, tokens, kv_inputs, return_n_logits, input_row_offsets):
        raise AssertionError("it is not run")


class CalledServing(Module):
    def __call__(self, tokens, input_row_offsets):
        raise AssertionError("it is not run")


class Masked(Module):
    def forward(self, ids, mask, *, scale):
        raise AssertionError("it is not run")


class Cached(Module):
    def forward(self, ids, use_cache):
        raise AssertionError("it is not run")


class Nothing(Module):
    def forward(self):
        raise AssertionError("it is not run")


class WithDefaults(Module):
    def forward(self, ids, cache=None, *more, kv=None, **others):
        return ids


@pytest.mark.parametrize("kind", [Serving, CalledServing])
def test_the_forward_of_an_architecture_package_is_recognised(kind):
    with pytest.raises(CandidateError) as caught:
        check_signature("Mine", kind())
    message = str(caught.value)
    method = "forward" if kind is Serving else "__call__"
    assert message.startswith(f"Mine.{method}(tokens, ")
    assert "is the forward of an architecture package for serving" in message
    assert "forward(input_ids [batch, sequence]) -> logits [batch, sequence, voc" in message
    assert "\n" not in message


def test_further_arguments_without_a_default_are_named():
    with pytest.raises(CandidateError, match="needs mask and scale besides token ids: give a defa"):
        check_signature("Mine", Masked())
    with pytest.raises(CandidateError, match="needs use_cache besides token ids"):
        check_signature("Mine", Cached())


def test_a_forward_without_arguments_is_refused():
    with pytest.raises(CandidateError, match=r"Mine.forward\(\) takes no token ids; verify calls"):
        check_signature("Mine", Nothing())


def test_arguments_with_a_default_are_left_alone():
    check_signature("Mine", WithDefaults())
    check_signature("mine", lambda ids, cache=None: ids)


def test_what_is_called_is_a_modules_forward_or_its_own_call():
    assert called(Serving()).__func__ is Serving.forward
    assert called(CalledServing()).__func__ is CalledServing.__call__
