"""Stages of a package alone and as it is served, and faults of serving."""

import dataclasses

import numpy as np
import pytest

from reference.decoder import load_decoder
from reference.taps import OUTPUT
from verify.decoder import decoder_outline, mathematics_checks, weights_of
from verify.mutants.mutation_score import Mutants
from verify.outcome import Outcome
from verify.package.computing.paired import ELSEWHERE, PairedPackage, origins
from verify.package.computing.served import ORDERS, SCENARIOS, Served, Standards
from verify.package.computing.serving_faults import FAULTS, power_checks, with_fault
from verify.package.opening.driven import Requests
from verify.package.opening.evaluated_engine import evaluating
from verify.package.opening.opened import open_package
from verify.truth.any_decoder import DecoderMathematics

PACKAGES = [
    ("llama3", False),
    ("llama3", True),
    ("olmo2", True),
    ("granite", True),
    ("phi3", False),
]


@dataclasses.dataclass
class Judged:
    requests: Requests
    paired: PairedPackage
    truth: DecoderMathematics
    model: object

    @property
    def served(self):
        head = self.paired.reference.head[0]
        others = [order for order in self.truth.orders if order.order in ORDERS]
        readers = {tap: self.paired.readers[tap] for tap in self.paired.forced_taps}
        return Served(self.requests, Standards(self.truth.oracle, others, head), 0, readers)

    def checks(self, outcome=None):
        outcome = outcome or Outcome(mutants=Mutants(seed=0))
        outcome.order = list(self.paired.reference.places)
        outcome.checks += mathematics_checks(
            self.paired, self.model, [(2, 9)], 0, self.truth, outcome, lambda _: None
        )
        return outcome


def judged(folder, engine, v3):
    model = load_decoder(str(folder))
    requests = Requests(open_package(folder, v3=v3), engine)
    truth = DecoderMathematics(model)
    paired = PairedPackage(requests, decoder_outline(model), weights_of(model), truth.oracle)
    return Judged(requests, paired, truth, model)


@pytest.fixture(
    scope="module", params=PACKAGES, ids=lambda one: f"{one[0]}-{'V3' if one[1] else 'V2'}"
)
def package(request, checkpoints):
    name, v3 = request.param
    with evaluating() as engine:
        yield judged(checkpoints(name), engine, v3)


def test_every_stage_of_a_correct_package_is_right(package):
    outcome = package.checks()
    assert outcome.verdict == "PASS"
    assert {check.mode for check in outcome.checks} == {"math", "math-free", "math-range"}


def test_it_is_right_as_it_is_served(package):
    checks = list(package.served.checks(512))
    assert [(check.case, check.verdict) for check in checks] == [
        (s.name, "PASS") for s in SCENARIOS
    ]


def test_every_fault_of_serving_is_noticed(package):
    checks = list(power_checks(package.requests, package.served, 512))
    assert {check.case for check in checks} == {fault.id for fault in FAULTS}
    assert {check.verdict for check in checks} == {"PASS"}


def test_a_fault_is_planted_in_the_graph_and_gone_afterwards(package):
    before = package.requests.model.graph
    next(power_checks(package.requests, package.served, 512))
    assert package.requests.model.graph is before
    assert with_fault(before, FAULTS[0]) is not None


def test_scenarios_that_do_not_fit_the_model_are_skipped(package):
    skipped = [c for c in package.served.checks(100) if c.verdict == "SKIP"]
    assert [c.case for c in skipped] == [s.name for s in SCENARIOS if s.longest > 100]


def test_the_place_and_the_pass_of_a_fault_are_told(package):
    fault = next(one for one in FAULTS if one.id == "page_end")
    right = package.requests.model.graph
    package.requests.model.graph = with_fault(right, fault)
    try:
        *_, check = package.served.checks(512, stop=True)
    finally:
        package.requests.model.graph = right
        package.requests.engine.forget()
    assert (check.case, check.verdict) == ("around a page's end", "FAIL")
    assert "layers.0.self_attn.o_proj" in check.tap
    assert "it begins at" in check.message


def test_modules_are_paired_by_the_values_of_their_weights(package):
    places = {str(one) for one in package.paired.pairing.places.values()}
    assert {"model.embed_tokens", "model.layers.0", "model.layers.1.mlp.down_proj",
            "model.layers.0.self_attn.o_proj", "model.norm"} <= places  # fmt: skip
    assert package.paired.pairing.unheld == ()


def test_a_head_whose_logits_are_scaled_is_compared_where_the_model_returns_them(checkpoints):
    outline = decoder_outline(load_decoder(str(checkpoints("granite"))))
    assert outline.head[0] == OUTPUT


def test_olmo2_in_v2_ignores_its_epsilon_in_two_norms(checkpoints):
    """A bug of MAX 26.7; `verify/max_bugs/olmo2_eps.py` has it alone."""
    with evaluating() as engine:
        package = judged(checkpoints("olmo2"), engine, v3=False)
        outcome = package.checks()
    failed = {c.tap for c in outcome.checks if c.mode == "math" and c.verdict == "FAIL"}
    norms = {f"model.layers.{n}.self_attn.{which}_norm" for n in (0, 1) for which in "qk"}
    assert failed == norms
    assert outcome.first_divergence.tap == "model.layers.0.self_attn.q_norm"
    assert "found eps 1e-06 in every block; the reference has eps 0.003" in outcome.findings[0].text


def test_weights_are_found_whatever_an_adapter_did_to_them():
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal((4, 6)) for name in ("q.weight", "k.weight", "up.weight")}
    weights |= {"norm.weight": rng.standard_normal(6)}
    held = {
        "qkv": np.concatenate([weights["q.weight"], weights["k.weight"]]),
        "up": np.ascontiguousarray(weights["up.weight"].T),
        "n": weights["norm.weight"].copy(),
        "other": rng.standard_normal((4, 6)),
    }
    assert origins(held, weights) == {
        "qkv": ["q.weight", "k.weight"], "up": ["up.weight"], "n": ["norm.weight"],
    }  # fmt: skip


def test_of_equal_weights_the_one_with_the_like_name_is_taken():
    ones = np.ones(8)
    names = ("layers.0.input_layernorm.weight", "layers.0.post_attention_layernorm.weight")
    held = {f"language_model.{name}": ones for name in names}
    found = origins(held, {f"model.{name}": ones for name in names})
    assert found == {f"language_model.{name}": [f"model.{name}"] for name in names}


def test_a_module_that_is_cut_elsewhere_is_not_held_against_the_package(checkpoint):
    """MAX's Gemma 3 scales embeddings after the module that holds them, transformers' within it."""
    with evaluating() as engine:
        package = judged(checkpoint("gemma3 usual"), engine, v3=False)
        outcome = package.checks()
    assert package.paired.pairing.loose["language_model.embed_tokens"] == ELSEWHERE
    assert outcome.verdict == "PASS"
    assert "model.layers.0:input" in {check.tap for check in outcome.checks}


def test_what_is_wrong_and_stays_wrong_is_held_against_it(checkpoints):
    with evaluating() as engine:
        package = judged(checkpoints("olmo2"), engine, v3=False)
    assert ELSEWHERE not in package.paired.pairing.loose.values()
