"""Prompts that are looked at before the model sees them.

MAX 26.7 hands token ids on as they come. One beyond the vocabulary ends the whole server, with all
requests that are open (`verify/max_bugs/serve_prompts.py`), a negative one and an empty prompt are
answered as the server's own failure. Here each is a 400 with its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .max_interfaces import InputError, TextTokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from .max_interfaces import PipelineConfig


class CheckedTokenizer(TextTokenizer):
    """MAX's tokenizer, which refuses what the model has no embedding for.

    Args:
        model_path: the checkpoint's folder.
        pipeline_config: whose `config.json` says how large the vocabulary is.
        options: of MAX's own.
    """

    def __init__(self, model_path: str, pipeline_config: PipelineConfig, **options: Any) -> None:
        super().__init__(model_path, pipeline_config, **options)
        config = pipeline_config.model.huggingface_config
        self.vocab_size = int(config.vocab_size) if config else self.tokenizer_vocab_size

    async def encode(
        self, prompt: str | Sequence[int], add_special_tokens: bool = True
    ) -> npt.NDArray[np.integer[Any]]:
        """Token ids of a prompt, a text or ids already.

        Raises:
            InputError: for none, and for an id that is not in the vocabulary.
        """
        ids = await super().encode(prompt, add_special_tokens)
        check(ids, self.vocab_size)
        return ids


def check(ids: npt.NDArray[np.integer[Any]], vocab_size: int) -> None:
    """Refuse what the model cannot be given.

    Raises:
        InputError: in one sentence.
    """
    if not len(ids):
        raise InputError("The prompt is empty: the model needs at least one token.")
    wrong = ids[(ids < 0) | (ids >= vocab_size)]
    if len(wrong):
        raise InputError(
            f"Token id {wrong[0]} is not in the vocabulary, whose ids are 0 to {vocab_size - 1}."
        )
