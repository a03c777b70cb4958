"""Classes of a package that do not fit those of the installed MAX are told, each with a reason."""

import ast
import inspect
from pathlib import Path

import pytest
from max.pipelines.lib import pipeline_variants

from verify.package.installed.found import find
from verify.package.installed.moved import release
from verify.package.installed.overrides import PASSED, misfits

START = """
from dataclasses import replace
from max.pipelines.architectures.llama3.arch import llama_arch as built_in
from max.pipelines.architectures.llama3.model import Llama3Model
from max.pipelines.architectures.llama3.model_config import Llama3Config
from max.pipelines.architectures.llama3.batch_processor import Llama3BatchProcessor
from max.pipelines.lib.interfaces.batch_processor import BatchProcessor
"""


def sentences(folder, code, changed):
    """What does not fit in MAX's Llama with something else about it."""
    made = folder / "own"
    made.mkdir()
    text = f"{START}{code}\nARCHITECTURES = [replace(built_in, {changed})]\n"
    (made / "__init__.py").write_text(text)
    return [each.sentence.replace(f"MAX {release()}", "MAX") for each in misfits(find(str(made)))]


def test_what_max_passes_to_a_model_is_what_it_passes():
    file = Path(inspect.getfile(pipeline_variants)).parent / "text_generation.py"
    calls = [
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pipeline_model"
    ]
    assert {keyword.arg for call in calls for keyword in call.keywords} == set(PASSED)


@pytest.mark.parametrize(
    "name",
    [
        "LlamaForCausalLM", "LlamaForCausalLM_ModuleV3", "Olmo2ForCausalLM", "Qwen2ForCausalLM",
        "Qwen3ForCausalLM", "Phi3ForCausalLM_ModuleV3", "GraniteForCausalLM", "GptOssForCausalLM",
        "DeepseekV4ForCausalLM", "KimiK25ForConditionalGeneration", "Gemma3ForCausalLM",
    ],
)  # fmt: skip
def test_maxs_own_packages_fit(name):
    assert [each for each in misfits(find(name)) if each.breaks] == []


def test_an_attribute_that_nothing_sets_is_named(tmp_path):
    code = (
        "class Own(Llama3Model):\n    def execute(self, model_inputs):\n        self.kv_manager\n"
    )
    assert sentences(tmp_path, code, "pipeline_model=Own") == [
        "`self.kv_manager` is read in Own, and neither it nor MAX sets it"
    ]


def test_an_attribute_that_the_class_sets_is_not(tmp_path):
    code = (
        "class Own(Llama3Model):\n    def execute(self, model_inputs):\n"
        "        self.mine = 1\n        return self.mine, self.max_seq_len, self.model\n"
    )
    assert sentences(tmp_path, code, "pipeline_model=Own") == []


def test_a_batch_processor_with_a_method_left_out_is_named(tmp_path):
    code = "class Own(BatchProcessor):\n    def process_outputs(self, outputs):\n        pass\n"
    assert sentences(tmp_path, code, "batching=Own") == [
        "Own has no get_symbolic_inputs, which MAX calls",
        "Own has no prepare_initial_token_inputs, which MAX calls",
    ]


def test_a_method_with_other_parameters_is_named(tmp_path):
    code = (
        "class Own(Llama3BatchProcessor):\n"
        "    def prepare_initial_token_inputs(self, context_batch, seed):\n        pass\n"
    )
    assert sentences(tmp_path, code, "batching=Own") == [
        "Own.prepare_initial_token_inputs needs `context_batch`, which MAX does not pass",
        "Own.prepare_initial_token_inputs needs `seed`, which MAX does not pass",
        "Own.prepare_initial_token_inputs does not take `replica_batches`, which MAX passes",
    ]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "    @classmethod\n    def initialize(cls, pipeline_config):\n        pass\n",
            (
                "Own.initialize does not take `max_seq_len`, which MAX passes: keep it, in place "
                "of what the class computes"
            ),
        ),
        (
            "    @staticmethod\n    def calculate_max_seq_len(pipeline_config):\n        pass\n",
            "Own.calculate_max_seq_len cannot be called as MAX does: too many positional arguments",
        ),
        (
            (
                "    @classmethod\n"
                "    def construct_kv_params(cls, config, n_devices, cache, dtype):\n        pass\n"
            ),
            "Own.construct_kv_params cannot be called as MAX does: too many positional arguments",
        ),
        ("    get_max_seq_len = None\n", "Own has no get_max_seq_len, which MAX calls"),
    ],
)
def test_a_configuration_class_that_does_not_take_maxs_calls_is_named(tmp_path, code, sentence):
    assert sentence in sentences(tmp_path, f"class Own(Llama3Config):\n{code}", "config=Own")


def test_a_field_of_the_pipelines_configuration_that_has_moved_is_named(tmp_path):
    code = "def f(pipeline_config):\n    return pipeline_config.max_length, pipeline_config.lora\n"
    assert sentences(tmp_path, code, "") == [
        (
            "`pipeline_config.max_length` is read, which MAX does not have: write "
            "`pipeline_config.model.max_length`"
        )
    ]


def test_a_name_that_is_imported_later_and_not_there_is_named(tmp_path):
    code = "def f():\n    from max.nn import LinearV1\n"
    assert sentences(tmp_path, code, "") == [
        "`from max.nn import LinearV1`: MAX has no such name; nearest: `max.nn.Linear`"
    ]


def test_a_pipeline_model_that_is_none_of_maxs_is_named(tmp_path):
    code = "class Own:\n    pass\n"
    assert "Own is not a PipelineModel of MAX" in sentences(
        tmp_path, code, "pipeline_model=Own, batching=None"
    )
