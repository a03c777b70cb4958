"""GPT-2 over the tokens of several requests, side by side, and a cache in pages.

The modules are those of `impl.model`. What differs is what serving needs: requests have other
lengths, so their tokens stand in one row `[T]` with offsets that say where each begins; a request
may be at its start, in the middle of its prompt, or at its fortieth token, so positions begin where
its cache ends; keys and values go to a cache in pages that MAX manages, and attention reads them
there.

Shapes: T tokens of all requests, B requests, D n_embd, H heads, K features of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from max import tree
from max.driver import CPU
from max.dtype import DType
from max.experimental import functional as F
from max.experimental.nn import Module, ModuleList
from max.experimental.tensor import Tensor

from impl.model import GPT2Attention, GPT2Block, GPT2LMHead, GPT2Model

from .max_interfaces import (
    KVCacheInputsPerDevice,
    KVCacheParamInterface,
    KVCacheParams,
    MHAMaskVariant,
    ModuleV3Outputs,
    PagedCacheValues,
    ReturnLogits,
    flash_attention_ragged,
    store_k_cache_ragged,
    store_v_cache_ragged,
)

if TYPE_CHECKING:
    from impl.config import GPT2Config

    from .served_config import ServedConfig

attend = F.functional(flash_attention_ragged)
store_keys = F.functional(store_k_cache_ragged)
store_values = F.functional(store_v_cache_ragged)


@dataclass(frozen=True)
class Pages:
    """The cache of all requests.

    Attributes:
        params: its sizes.
        values: its pages, and how much each request has in them.
        offsets: `[B + 1]` uint32, where in the row of tokens each request begins.
    """

    params: KVCacheParams
    values: PagedCacheValues
    offsets: Tensor


def positions(tokens: Tensor, offsets: Tensor, lengths: Tensor) -> Tensor:
    """Each token's position in its own request.

    Args:
        tokens: `[T]`.
        offsets: `[B + 1]`, where each request begins.
        lengths: `[B]`, how many tokens of each the cache holds already.

    Returns:
        `[T]`, int64.
    """
    place = F.arange(0, tokens.shape[0], dtype=DType.int64, device=tokens.device)  # [T]
    begins = F.cast(offsets, DType.int64)
    ended = F.cast(place.unsqueeze(1) >= begins[1:].unsqueeze(0), DType.int64)  # [T, B]
    request = F.sum(ended, axis=-1).reshape([tokens.shape[0]])  # [T]
    held = F.rebind(F.cast(lengths, DType.int64), begins[:-1].shape)
    ahead = held - begins[:-1]  # [B]
    return place + F.gather(ahead, request, axis=0)


class PagedAttention(GPT2Attention):
    """Attention whose keys and values go through the cache."""

    def __init__(self, config: GPT2Config, layer: int) -> None:
        super().__init__(config, layer)
        self.layer = layer

    def forward(self, x: Tensor, pages: Pages) -> Tensor:  # type: ignore[override]
        """[T, D] -> [T, D]; keys and values of these tokens are in the cache afterwards."""
        layer = F.constant(self.layer, DType.uint32, device=CPU())
        fused = self.c_attn(x)  # [T, 3D]
        query, key, value = map(self.split_ragged_heads, F.chunk(fused, 3, axis=-1))
        store_keys(pages.values, key, pages.offsets, layer)
        store_values(pages.values, value, pages.offsets, layer)
        mixed = attend(
            pages.params,
            input=query,
            input_row_offsets=pages.offsets,
            kv_collection=pages.values,
            layer_idx=layer,
            mask_variant=MHAMaskVariant.CAUSAL_MASK,
            scale=1 / self.divisor,
        )  # [T, H, K]
        return self.c_proj(mixed.reshape([x.shape[0], self.n_head * self.head_dim]))

    def split_ragged_heads(self, x: Tensor) -> Tensor:
        """[T, D] -> [T, H, K]."""
        return x.reshape([x.shape[0], self.n_head, self.head_dim])


class PagedBlock(GPT2Block):
    """A block of GPT-2 with that attention."""

    def __init__(self, config: GPT2Config, layer: int) -> None:
        super().__init__(config, layer)
        self.attn = PagedAttention(config, layer)

    def forward(self, x: Tensor, pages: Pages) -> Tensor:  # type: ignore[override]
        """[T, D] -> [T, D]."""
        x = x + self.attn(self.ln_1(x), pages)
        return x + self.mlp(self.ln_2(x))


class PagedModel(GPT2Model):
    """Embeddings, blocks, and the last LayerNorm."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.h = ModuleList(PagedBlock(config, layer) for layer in range(config.n_layer))

    def forward(self, tokens: Tensor, pages: Pages) -> Tensor:  # type: ignore[override]
        """[T] -> [T, D]."""
        at = positions(tokens, pages.offsets, pages.values.cache_lengths)
        x = self.wte(tokens) + self.wpe(at)  # [T, D]
        for block in self.h:
            x = block(x, pages)
        return self.ln_f(x)


class ServedGPT2(Module[..., ModuleV3Outputs]):
    """The whole model: tokens of several requests in, logits of their last tokens out."""

    def __init__(self, config: ServedConfig, kv_params: KVCacheParamInterface) -> None:
        self.transformer = PagedModel(config.gpt2)
        self.lm_head = None  # a tied head holds the embedding, which is on the device once
        if not config.gpt2.tie_word_embeddings:
            wte = self.transformer.wte.weight
            self.lm_head = GPT2LMHead(Tensor.zeros(list(wte.shape), dtype=wte.dtype))
        self.kv_params = kv_params
        self.return_logits = config.return_logits

    def forward(
        self, tokens: Tensor, return_n_logits: Tensor, input_row_offsets: Tensor, *cache: Tensor
    ) -> ModuleV3Outputs:
        """Go on with every request.

        Args:
            tokens: `[T]` int64, of all requests, one after the other.
            return_n_logits: `[1]` int64, how many of each request's last logits to return where
                `ReturnLogits.VARIABLE` asks for them.
            input_row_offsets: `[B + 1]` uint32, where each request begins.
            cache: the buffers of the cache, as MAX hands them over.

        Returns:
            Logits in float32 of each request's last token, `[B, vocab_size]`, and of those that
            `return_logits` asks for.
        """
        h = self.transformer(tokens, self._pages(input_row_offsets, cache))  # [T, D]
        last = self._scores(F.gather(h, input_row_offsets[1:] - 1, axis=0))
        if self.return_logits == ReturnLogits.LAST_TOKEN:
            return ModuleV3Outputs(next_token_logits=last)
        if self.return_logits == ReturnLogits.ALL:
            every = self._scores(h)
            return ModuleV3Outputs(
                next_token_logits=last, logits=every, logit_offsets=input_row_offsets
            )
        chosen, offsets = _last_of_each(return_n_logits, input_row_offsets)
        some = self._scores(F.gather(h, chosen, axis=0))
        return ModuleV3Outputs(next_token_logits=last, logits=some, logit_offsets=offsets)

    def _scores(self, h: Tensor) -> Tensor:
        head = self.lm_head or GPT2LMHead(self.transformer.wte.weight)
        return F.cast(head(h), DType.float32)

    def _pages(self, offsets: Tensor, cache: tuple[Tensor, ...]) -> Pages:
        flat = iter(tensor._graph_value for tensor in cache)
        per_device = tree.leaves(
            self.kv_params.unflatten_kv_inputs(flat), leaf=KVCacheInputsPerDevice
        )
        return Pages(self.kv_params, per_device[0], offsets)


def _last_of_each(count: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Where the last `count` tokens of each request are, and where each request's logits begin."""
    back = F.arange(count[0], 0, -1, out_dim="kept", dtype=DType.int64, device=offsets.device)
    ends = F.cast(offsets[1:], DType.int64).unsqueeze(-1)  # [B, 1]
    chosen = F.reshape(ends - back, [-1])  # [B * count]
    begins = F.arange(
        0, chosen.shape[0] + count[0], count[0],
        out_dim="logit_offsets", dtype=DType.int64, device=offsets.device,
    )  # fmt: skip
    return chosen, begins
