"""A Llama in MAX beside transformers' own, with random weights."""

import json
from pathlib import Path

import pytest
import torch
import transformers

from reference.decoder import load_decoder
from reports.saved.records import read_run
from verify.candidate.factory import load_factory
from verify.cli import main
from verify.decoder import SIZES, DecoderPlan, UsageError, decoder_sizes, verify_decoder
from verify.pairing.prepare import NamedCandidate

FILE = Path(__file__).parent / "models" / "llama.py"
BOTH = ["--reference", "hf:nowhere", "--candidate", "a.py:b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Llama of two layers, four query and two key heads, written by transformers."""
    config = transformers.LlamaConfig(
        vocab_size=89, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    target = tmp_path_factory.mktemp("llama")
    model.save_pretrained(target)
    return target


def verified(folder, name, **more):
    subject = NamedCandidate(name=name, factory=load_factory(f"{FILE}:{name}"))
    plan = DecoderPlan(model=load_decoder(str(folder)), subject=subject, **more)
    return verify_decoder(plan)


@pytest.mark.usefixtures("nothing_is_compiled")
def test_a_right_llama_is_the_same_mathematics_and_every_verdict_has_its_proof_of_power(
    folder, tmp_path, capsys
):
    options = ["--reference", f"hf:{folder}", "--candidate", f"{FILE}:Llama", "--quick"]
    assert main([*options, "--power", "--out", f"{tmp_path}/run"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Verdict: PASS, not compiled" in said
    run = read_run(tmp_path / "run")
    assert {c["mode"] for c in run.of("check")} == {
        "math", "math-free", "math-range", "math-mutants",
    }  # fmt: skip
    mutants = run.end["mutants"]
    assert mutants["caught"] == mutants["judged"] > 1000
    assert "mutants of the graph" in said
    assert f"{mutants['caught']} of {mutants['judged']} mutants caught" in said
    assert len(run.of("mutant")) == mutants["judged"] + mutants["equivalent"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "changes of one operation caught" in page
    assert (tmp_path / "run" / "mutants.csv").is_file()


@pytest.mark.usefixtures("nothing_is_compiled")
def test_a_wrong_llama_is_not_compiled_and_what_would_repair_it_is_named(folder):
    outcome = verified(folder, "backwards")
    assert (outcome.verdict, outcome.compiled) == ("FAIL", False)
    divergence = outcome.first_divergence
    assert divergence.tap == "model.layers.1.self_attn.o_proj:input"
    assert "what model.layers.1.self_attn.o_proj is given: " in divergence.diagnosis
    assert "it is right (negative: left out" in divergence.diagnosis
    kinds = [line.kind for line in outcome.listing.lines]
    assert kinds.count("reduce.softmax") == 1
    assert "neg" in " ".join(kinds)


@pytest.mark.parametrize(
    ("name", "tap", "words"),
    [
        (
            "rounded", "model.layers.1.self_attn.o_proj:input",
            "found rounded to bfloat16 after the softmax (llama.py:",
        ),
        ("rounded_mlp", "model.layers.0.mlp", "found rounded to float16, what "),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("nothing_is_compiled")
def test_rounding_to_fewer_bits_is_named_where_it_is_written(folder, name, tap, words):
    divergence = verified(folder, name, quick=True).first_divergence
    assert divergence.tap == tap
    assert words in divergence.diagnosis
    assert "of its error is left [rounded]" in divergence.diagnosis
    assert "rows are wrong" not in divergence.diagnosis


@pytest.mark.usefixtures("nothing_is_compiled")
def test_all_mutants_are_judged_where_that_is_asked_for(folder):
    few, every = (verified(folder, "Llama", quick=True, every_mutant=e) for e in (False, True))
    few, every = few.mutants.report(), every.mutants.report()
    assert few["total"] == every["total"] == every["judged"] + every["equivalent"]
    assert few["judged"] < every["judged"]


@pytest.mark.compiles
def test_a_right_llama_passes_at_every_place_and_leaves_records_and_a_page(folder, tmp_path):
    options = ["--reference", f"hf:{folder}", "--candidate", f"{FILE}:Llama"]
    assert main([*options, "--out", f"{tmp_path}/run", "--json", f"{tmp_path}/out.json"]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["verdict"] == "PASS"
    shown = {check["tap"] for check in report["checks"] if check["mode"] == "isolated"}
    assert {"model.layers.1.self_attn.o_proj:input", "model.layers.0.mlp.down_proj:input"} <= shown
    assert {"model.norm", "lm_head", "model.layers.0.self_attn"} <= shown
    run = read_run(tmp_path / "run")
    assert run.end["verdict"] == "PASS"
    assert len(run.of("check")) == len(report["checks"])
    sizes = {(c["batch"], c["length"]) for c in run.of("check") if c["mode"] == "isolated"}
    assert sizes == set(SIZES)
    assert run.environment["model"] == f"hf:{folder}"
    page = (tmp_path / "run" / "report.html").read_text()
    assert "model.layers.1.self_attn" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--reference", "hf:x"], "needs a --candidate"),
        (["--reference", "x", "--candidate", "a.py:b"], "--reference is hf:FOLDER"),
        (
            ["--reference", "hf:nowhere", "--candidate", "a.py:b"],
            "cannot read a decoder in nowhere",
        ),
        ([*BOTH, "--dtype", "bfloat16"], "--dtype belongs to a GPT-2"),
        ([*BOTH, "--output", "hidden"], "--output belongs to a GPT-2"),
        ([*BOTH, "--engines", "stock"], "--engines belongs to a GPT-2"),
        ([*BOTH, "--device", "gpu"], "is compared on the CPU"),
        ([*BOTH, "--seed", "-1"], "must not be negative"),
    ],
)
def test_a_wrong_reference_is_one_sentence(options, message, capsys):
    assert main(options) == 2
    assert message in capsys.readouterr().err


def test_a_length_beyond_the_models_positions_is_told():
    config = transformers.LlamaConfig(max_position_embeddings=16)
    with pytest.raises(UsageError, match="17 tokens are more than the model's 16 positions"):
        decoder_sizes(config, [3, 17], None)


def test_sizes_are_those_named_or_those_that_fit():
    config = transformers.LlamaConfig(max_position_embeddings=16)
    assert decoder_sizes(config, None, None) == [(1, 1), (1, 9)]
    assert decoder_sizes(config, [3], [1, 2]) == [(1, 3), (2, 3)]
    assert decoder_sizes(config, None, [4]) == [(4, 1), (4, 9)]


@pytest.mark.usefixtures("nothing_is_compiled")
def test_a_right_llama_passes_in_every_state_of_its_weights(folder, tmp_path):
    options = ["--reference", f"hf:{folder}", "--candidate", f"{FILE}:Llama", "--quick"]
    regimes = ["given", "perturbed", "stress"]
    assert main([*options, "--regimes", ",".join(regimes), "--out", f"{tmp_path}/run"]) == 0
    checks = read_run(tmp_path / "run").of("check")
    of_stages = {c["regime"] for c in checks if c["mode"] == "math"}
    assert of_stages == set(regimes)
    assert {c["case"].partition("-")[0] for c in checks if c["mode"] == "math"} == set(regimes)


def test_a_state_that_a_decoder_does_not_have_is_refused(folder, capsys):
    options = ["--reference", f"hf:{folder}", "--candidate", f"{FILE}:Llama"]
    assert main([*options, "--regimes", "init"]) == 2
    assert "'init' is not one of a decoder's: given, perturbed, stress" in capsys.readouterr().err
