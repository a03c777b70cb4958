"""Whether MAX can serve a package is told part by part, up to the part that ends it."""

import json
import shutil

import pytest
import torch
import transformers

from reports.commands import UsageError
from tests.verify.package.old_package import old_package
from verify.candidate.guard import CandidateError
from verify.package.installed.found import find
from verify.package.installed.moved import release
from verify.package.installed.preflight import preflight_checks

MAX = f"MAX {release()}"

PARTS = [
    "imports", "registers", "signatures", "configuration reads", "memory plan", "weights adapter",
    "model opens", "one pass",
]  # fmt: skip

START = """
from dataclasses import replace

from max.graph.weights import WeightsFormat
from max.pipelines.architectures.llama3.arch import llama_arch as built_in
from max.pipelines.architectures.llama3.model import Llama3Model
from max.pipelines.architectures.llama3.model_config import Llama3Config
from max.pipelines.architectures.llama3.batch_processor import Llama3BatchProcessor
"""


def package(folder, code="", changed=""):
    """A package that is MAX's Llama with something else about it."""
    made = folder / "own"
    made.mkdir()
    (made / "__init__.py").write_text(
        f"{START}\n{code}\nARCHITECTURES = [replace(built_in, {changed})]\n"
    )
    return str(made)


def last(checks):
    """The part that a preflight ends at, and what it says; every part after it is skipped."""
    failed = [check for check in checks if check.verdict == "FAIL"]
    after = PARTS[PARTS.index(failed[-1].case) + 1 :]
    assert [check.case for check in checks if check.verdict == "SKIP"] == after
    return failed[-1].case, failed[-1].message


def ended(folder, checkpoint, code="", changed=""):
    return last(list(preflight_checks(find(package(folder, code, changed)), checkpoint)))


@pytest.mark.parametrize(
    ("name", "checkpoint"),
    [
        ("LlamaForCausalLM", "llama3"),
        ("LlamaForCausalLM_ModuleV3", "llama3"),
        ("Olmo2ForCausalLM_ModuleV3", "olmo2"),
        ("Qwen2ForCausalLM", "qwen2"),
        ("Phi3ForCausalLM", "phi3"),
        ("GraniteForCausalLM", "granite"),
    ],
)
def test_every_part_of_a_built_in_package_passes(checkpoints, name, checkpoint):
    checks = list(preflight_checks(find(name), checkpoints(checkpoint)))
    assert [(check.case, check.verdict) for check in checks] == [(part, "PASS") for part in PARTS]
    assert checks[-1].shape == (3, 256)
    assert {check.mode for check in checks} == {"preflight"}


def test_a_package_that_returns_the_last_tokens_logits_alone_is_taken_so(checkpoints):
    checks = list(preflight_checks(find("MistralForCausalLM"), checkpoints("mistral")))
    assert {check.verdict for check in checks} == {"PASS"}
    assert "for the last token's logits alone (MistralModel(...) raises" in checks[-2].message
    assert checks[-1].message == "1 token gives finite logits [1, 256]"


def test_weights_of_16_bits_are_cast_without_a_compile(tmp_path, checkpoints):
    llama = transformers.AutoModelForCausalLM.from_pretrained(checkpoints("llama3"))
    llama.to(torch.bfloat16).save_pretrained(tmp_path / "narrow")
    checks = list(preflight_checks(find("LlamaForCausalLM"), tmp_path / "narrow"))
    assert {check.verdict for check in checks} == {"PASS"}


def test_a_package_in_a_folder_is_judged_and_not_the_built_in_of_its_name(tmp_path, checkpoints):
    code = "class Own(Llama3Model):\n    def execute(self, model_inputs):\n        return 1 / 0"
    found = find(package(tmp_path, code, "pipeline_model=Own"))
    case, message = last(list(preflight_checks(found, checkpoints("llama3"))))
    assert case == "one pass"
    assert message == "one pass raises ZeroDivisionError: division by zero (__init__.py:12)"


def test_what_has_moved_since_an_older_max_is_named_in_one_run(tmp_path, checkpoints):
    found = find(str(old_package(tmp_path)))
    checks = list(preflight_checks(found, checkpoints("llama3")))
    said = [f"{check.case}: {check.message}" for check in checks if check.verdict == "FAIL"]
    for words in (
        "`from max.interfaces import PipelineTask`",
        "now `from max.pipelines.modeling.types import PipelineTask` (arch.py:3)",
        "imports: `from max.nn.kv_cache import KVCacheInputsInterface`",
        f"{MAX} has no such name; write `max.nn.kv_cache.KVCacheInputs` (model.py:12)",
        f"`from max.driver import Tensor`: {MAX} has no such name; write `max.driver.Buffer`",
        f'`SupportedEncoding.float32`: {MAX} has no such attribute; write the string "float32"',
        "registers: SupportedArchitecture takes no `rope_type`",
        "registers: SupportedArchitecture needs `context_type`",
        "has no `batching`",
        f"`supported_encodings` of LlamaForCausalLM is a dict; {MAX} takes a set",
        f"OldModel.__init__ does not take `memory_plan`, which {MAX} passes",
        f"OldModel.__init__ needs `huggingface_config`, which {MAX} no longer passes",
        "OldModel.prepare_initial_token_inputs does not take `replica_batches`",
        (
            f"`pipeline_config.max_batch_size` is read, which {MAX} does not have: write "
            "`pipeline_config.runtime.max_batch_size` (model.py:78)"
        ),
        (
            f"`pipeline_config.model_config` is read, which {MAX} does not have: write "
            "`pipeline_config.model` (model.py:81)"
        ),
        f"`self.encoding` is read in OldModel, and neither it nor {MAX} sets it: read self.dtype",
    ):
        assert any(words in sentence for sentence in said), words
    assert not any("max.never" in sentence for sentence in said)  # for type checkers alone
    notes = [check.message for check in checks if check.verdict == "PASS"]
    assert any(f"prepare_next_token_inputs is never called by {MAX}" in note for note in notes)
    skipped = [check.case for check in checks if check.verdict == "SKIP"]
    assert skipped == ["registers", *PARTS[3:]]


def test_what_is_left_of_max_after_an_older_package_was_read(tmp_path):
    import max.driver
    import max.pipelines.lib as library

    before = library.SupportedArchitecture.__init__, library.SupportedEncoding
    find(str(old_package(tmp_path)))
    assert before == (library.SupportedArchitecture.__init__, library.SupportedEncoding)
    assert not hasattr(max.driver, "Tensor")
    with pytest.raises(ModuleNotFoundError):
        __import__("max.interfaces")


def test_a_package_without_a_memory_planner_is_advised_and_runs(tmp_path, checkpoints):
    found = find(package(tmp_path, "", "memory_planner=None"))
    checks = list(preflight_checks(found, checkpoints("llama3")))
    (advice,) = [check.message for check in checks if check.verdict == "SKIP"]
    assert "has no `memory_planner`" in advice
    assert not [check for check in checks if check.verdict == "FAIL"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("supported_encodings=['float32']", ("`supported_encodings` of LlamaForCausalLM is a list; "
         f"{MAX} takes a set")),
        ("weight_adapters={WeightsFormat.gguf: len}", ("LlamaForCausalLM has no weight adapter for "
         "safetensors, but for other formats")),
        ("context_type=None", "LlamaForCausalLM has no `context_type`"),
    ],
)  # fmt: skip
def test_what_a_declaration_lacks_ends_at_registers(tmp_path, checkpoints, changed, message):
    found = find(package(tmp_path, "", changed))
    checks = list(preflight_checks(found, checkpoints("llama3")))
    assert [check.message for check in checks if check.verdict == "FAIL"] == [message]
    assert [check.case for check in checks if check.verdict == "SKIP"] == PARTS[3:]


def test_a_field_that_is_not_in_the_configuration_is_named_with_its_reader(tmp_path, checkpoints):
    code = (
        "class Own(Llama3Config):\n"
        "    @classmethod\n"
        "    def initialize(cls, pipeline_config, model_config=None, *, max_seq_len):\n"
        "        pipeline_config.model.huggingface_config.no_such_field\n"
    )
    assert ended(tmp_path, checkpoints("llama3"), code, "config=Own") == (
        "configuration reads",
        "config.json has no `no_such_field`, which the package reads (__init__.py:13)",
    )


def test_a_field_that_stands_elsewhere_in_the_configuration_is_told_where(tmp_path, checkpoints):
    code = (
        "class Own(Llama3Config):\n"
        "    @classmethod\n"
        "    def initialize(cls, pipeline_config, model_config=None, *, max_seq_len):\n"
        "        pipeline_config.model.huggingface_config.to_dict()['rope_theta']\n"
    )
    assert ended(tmp_path, checkpoints("llama3"), code, "config=Own") == (
        "configuration reads",
        (
            "config.json has no `rope_theta` but in `rope_parameters`, which the package reads "
            "(__init__.py:13)"
        ),
    )


def test_a_field_that_transformers_does_not_hand_on_is_told_apart(tmp_path, checkpoints):
    folder = tmp_path / "llama3"
    shutil.copytree(checkpoints("llama3"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rope_theta": 700.0}))
    code = (
        "class Own(Llama3Config):\n"
        "    @classmethod\n"
        "    def initialize(cls, pipeline_config, model_config=None, *, max_seq_len):\n"
        "        pipeline_config.model.huggingface_config.rope_theta\n"
    )
    case, message = ended(tmp_path, folder, code, "config=Own")
    assert case == "configuration reads"
    assert message.startswith("transformers 5.")
    assert message.endswith(
        "'s LlamaConfig has no `rope_theta`, which the package reads (__init__.py:13)"
    )


def test_an_adapter_that_raises_is_one_sentence(tmp_path, checkpoints):
    code = "def adapt(state_dict, **more):\n    return {'x': state_dict['no.such.weight']}"
    changed = "weight_adapters={WeightsFormat.safetensors: adapt}"
    assert ended(tmp_path, checkpoints("llama3"), code, changed) == (
        "weights adapter",
        "the weight adapter raises KeyError: 'no.such.weight' (__init__.py:11)",
    )


def test_an_adapter_that_forgets_to_return_is_told(tmp_path, checkpoints):
    code = "def adapt(state_dict, **more):\n    pass"
    changed = "weight_adapters={WeightsFormat.safetensors: adapt}"
    case, message = ended(tmp_path, checkpoints("llama3"), code, changed)
    assert (case, message) == ("weights adapter", "the weight adapter returns None and not a dict")


def test_a_weight_that_the_adapter_leaves_out_ends_where_the_model_opens(tmp_path, checkpoints):
    code = (
        "from max.pipelines.architectures.llama3_modulev3.arch import llama_modulev3_arch\n"
        "built_in = llama_modulev3_arch\n"
        "def adapt(state_dict, **more):\n"
        "    made = built_in.weight_adapters[WeightsFormat.safetensors](state_dict, **more)\n"
        "    return {name: data for name, data in made.items() if 'layers.1.mlp' not in name}"
    )
    changed = "weight_adapters={WeightsFormat.safetensors: adapt}"
    case, message = ended(tmp_path, checkpoints("llama3"), code, changed)
    assert case == "model opens"
    assert "layers.1.mlp" in message


def test_logits_of_another_shape_are_told(tmp_path, checkpoints):
    code = (
        "class Own(Llama3Model):\n"
        "    def execute(self, inputs):\n"
        "        outputs = super().execute(inputs)\n"
        "        outputs.logits = outputs.logit_offsets\n"
        "        return outputs\n"
    )
    part, said = ended(tmp_path, checkpoints("llama3"), code, "pipeline_model=Own")
    assert part == "one pass"
    assert "the package returns 2 rows of logits for 3 tokens of 1 requests" in said


def test_logits_of_the_last_token_alone_will_do(tmp_path, checkpoints):
    code = (
        "class Own(Llama3Model):\n"
        "    def __init__(self, *args, **kwargs):\n"
        "        from max.nn.transformer import ReturnLogits\n"
        "        super().__init__(*args, **{**kwargs, 'return_logits': ReturnLogits.LAST_TOKEN})\n"
    )
    found = find(package(tmp_path, code, "pipeline_model=Own"))
    checks = list(preflight_checks(found, checkpoints("llama3")))
    assert {check.verdict for check in checks} == {"PASS"}
    assert checks[-1].message == "3 tokens give finite logits [1, 256]"


def test_a_signature_that_does_not_fit_is_told_and_the_rest_is_tried(tmp_path, checkpoints):
    code = (
        "class Own(Llama3Model):\n"
        "    def __init__(self, pipeline_config, session, devices, kv_cache_config, weights,\n"
        "                 adapter=None, return_logits=None):\n"
        "        pass\n"
    )
    checks = list(
        preflight_checks(find(package(tmp_path, code, "pipeline_model=Own")), checkpoints("llama3"))
    )
    failed = [(check.case, check.message) for check in checks if check.verdict == "FAIL"]
    assert failed[0] == (
        "signatures",
        (
            f"Own.__init__ does not take `max_batch_size`, which {MAX} passes: hand it on to "
            "super().__init__ (Own.__init__)"
        ),
    )
    assert failed[-1][0] == "model opens"
    assert "unexpected keyword argument" in failed[-1][1]


def test_a_model_folder_that_is_none_is_the_users_mistake(tmp_path, checkpoints):
    with pytest.raises(UsageError, match="there is no folder"):
        list(preflight_checks(find("LlamaForCausalLM"), tmp_path / "none"))
    with pytest.raises(CandidateError, match="asks for Qwen2ForCausalLM, and LlamaForCausalLM"):
        list(preflight_checks(find("LlamaForCausalLM"), checkpoints("qwen2")))


def test_a_package_of_16_bits_alone_is_widened_and_said_to_be(tmp_path, checkpoints):
    changed = "supported_encodings={'bfloat16'}, default_encoding='bfloat16'"
    found = find(package(tmp_path, "", changed))
    checks = list(preflight_checks(found, checkpoints("llama3")))
    assert {check.verdict for check in checks} == {"PASS"}
    assert "declares bfloat16: float32, which the checkpoint has, was added" in checks[1].message
