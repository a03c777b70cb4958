"""llama.cpp on the CPU, with a GGUF file written by its own library, through its C interface.

Keys and values are float32 in all of its arms, as in MAX's. With weights in float32 its GELU is
looked up in a table of float16 all the same, so that its results are judged as those of float16.
Weights in bfloat16 and in Q8_0 (8 bits, and a scale in float16 for each 32) are multiplied with
activations that are rounded alike as they come.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import gguf
import llama_cpp as lib
import numpy as np

from bench.arms.base import Arm, ArmUnavailable
from bench.arms.caches import converted
from bench.arms.greedy import greedy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from bench.arms.base import Stamp
    from bench.workload.workload import Logits, Workload
    from reference.checkpoint import Checkpoint

    Array = npt.NDArray[Any]

FILE = "model.gguf"

FILE_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "BF16": gguf.LlamaFileType.MOSTLY_BF16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}
"""By the name of what matrices are held in."""


class LlamaCpp(Arm):
    """A context with float32 keys and values, without flash attention."""

    compiles: ClassVar[bool] = True
    held: ClassVar[str] = "F32"

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:  # noqa: ARG002
        self._checkpoint, self._config, self._threads = checkpoint, checkpoint.config, threads
        self.runtime = f"llama.cpp, llama_cpp_python {lib.__version__}"

    def compile(self, workloads: Sequence[Workload]) -> None:
        """Convert where that was not done before, load, and make a context for all workloads."""
        if not self._config.is_published_gpt2:
            raise ArmUnavailable("llama.cpp's GPT-2 computes gelu_new and scores / sqrt(head_dim)")
        folder, self.cache = converted(
            self._checkpoint, f"gguf-{self.held.lower()}", [Path(__file__)],
            lambda to: write_gguf(self._checkpoint, to / FILE, held=self.held),
        )  # fmt: skip
        tensors = gguf.GGUFReader(folder / FILE).tensors
        self.weight_bytes = sum(int(tensor.n_bytes) for tensor in tensors)
        lib.llama_backend_init()
        options = lib.llama_model_default_params()
        options.n_gpu_layers = 0
        self._model = lib.llama_model_load_from_file(str(folder / FILE).encode(), options)
        if not self._model:
            raise ArmUnavailable("llama.cpp could not load the converted model")
        self._context = lib.llama_init_from_model(self._model, self._parameters(workloads))
        if not self._context:
            raise ArmUnavailable("llama.cpp could not make a context")

    def forward(self, ids: Array, logits: Logits) -> Array:
        """Logits float32 `[batch, sequence or 1, vocab_size]`."""
        self._forget()
        return self._run(ids, 0, every=logits == "all")

    def generate(self, ids: Array, n_new: int, stamp: Stamp) -> Array:
        """Greedy continuation: int64 `[batch, n_new]`."""
        self._forget()
        position = 0

        def advance(tokens: Array) -> Array:
            nonlocal position
            found = self._run(tokens, position, every=False)[:, 0]
            position += tokens.shape[1]
            return found

        return greedy(advance, lambda tokens: advance(tokens[:, None]), ids, n_new, stamp)

    def kv_bytes(self, workload: Workload) -> int:
        """Keys and values, for as many tokens as the model has positions."""
        width = 2 * self._config.n_layer * self._config.n_embd * 4
        return workload.batch * self._config.n_positions * width

    def _parameters(self, workloads: Sequence[Workload]) -> Any:
        rows = max(workload.batch for workload in workloads)
        tokens = max(workload.batch * workload.length for workload in workloads)
        options = lib.llama_context_default_params()
        options.n_ctx, options.n_seq_max = rows * self._config.n_positions, rows
        options.n_batch = options.n_ubatch = tokens
        options.n_threads = options.n_threads_batch = self._threads
        options.type_k = options.type_v = lib.GGML_TYPE_F32
        options.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        options.no_perf = True
        return options

    def _forget(self) -> None:
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)

    def _run(self, ids: Array, start: int, *, every: bool) -> Array:
        """Append tokens, and return the logits of all of them or of each row's last."""
        rows, count = ids.shape
        batch = lib.llama_batch_init(rows * count, 0, 1)
        try:
            batch.n_tokens = rows * count
            for index, (row, column) in enumerate(np.ndindex(rows, count)):
                batch.token[index], batch.pos[index] = int(ids[row, column]), start + column
                batch.n_seq_id[index], batch.seq_id[index][0] = 1, row
                batch.logits[index] = every or column == count - 1
            if lib.llama_decode(self._context, batch):
                raise RuntimeError(f"llama_decode failed on {rows} x {count} tokens")
        finally:
            lib.llama_batch_free(batch)
        wanted = count if every else 1
        found = np.ctypeslib.as_array(
            lib.llama_get_logits(self._context), (rows, wanted, self._config.vocab_size)
        )
        return found.copy()


class LlamaCppBF16(LlamaCpp):
    """The same with matrices in bfloat16."""

    held: ClassVar[str] = "BF16"


class LlamaCppQ8(LlamaCpp):
    """The same with matrices in Q8_0."""

    held: ClassVar[str] = "Q8_0"
    weight_bits = 8.5


def write_gguf(
    checkpoint: Checkpoint, file: Path, *, tokenizer: bool = False, held: str = "F32"
) -> None:
    """Write a checkpoint under llama.cpp's names of GPT-2.

    Args:
        checkpoint: what is written.
        file: where to.
        tokenizer: whether the tokenizer.json of its folder is written too, as servers need it.
        held: of `FILE_TYPES`, what matrices are held in. Vectors and the table of positions stay in
            float32, as llama.cpp's own converter leaves them; so does a matrix whose rows Q8_0
            cannot cut into 32, which that converter writes in float16.
    """
    config = checkpoint.config
    writer = gguf.GGUFWriter(file, "gpt2")
    writer.add_block_count(config.n_layer)
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.inner_dim)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_file_type(FILE_TYPES[held])
    writer.add_vocab_size(config.vocab_size)
    if tokenizer:
        _add_tokenizer(writer, checkpoint)
    else:
        writer.add_tokenizer_model("no_vocab")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, config.n_layer)
    for name, array in checkpoint.weights.items():
        theirs = names.get_name(name, try_suffixes=(".weight", ".bias"))
        linear = name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))
        rows = np.ascontiguousarray(array.T if linear else array)
        kind = _kind(held, name, rows)
        writer.add_tensor(theirs, gguf.quants.quantize(rows, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _kind(held: str, name: str, rows: Array) -> gguf.GGMLQuantizationType:
    """What one tensor is held in."""
    kind = gguf.GGMLQuantizationType[held]
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    if rows.ndim < 2 or name.endswith("wpe.weight") or rows.shape[-1] % block:
        return gguf.GGMLQuantizationType.F32
    return kind


def _add_tokenizer(writer: gguf.GGUFWriter, checkpoint: Checkpoint) -> None:
    """GPT-2's byte-level BPE, as tokenizer.json has it."""
    assert checkpoint.folder is not None
    told = json.loads((checkpoint.folder / "tokenizer.json").read_text(encoding="utf-8"))
    special = {one["id"] for one in told["added_tokens"]}
    texts = {number: text for text, number in told["model"]["vocab"].items()}
    texts |= {one["id"]: one["content"] for one in told["added_tokens"]}
    count = checkpoint.config.vocab_size
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([texts.get(n, f"[unused {n}]") for n in range(count)])
    writer.add_token_types([
        gguf.TokenType.CONTROL if n in special
        else gguf.TokenType.NORMAL if n in texts else gguf.TokenType.UNUSED
        for n in range(count)
    ])  # fmt: skip
    merges = told["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    end = min(special, default=0)
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)
