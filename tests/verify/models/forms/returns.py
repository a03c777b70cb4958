"""GPT-2s that return more than logits, as serving code and ports of transformers do."""

from dataclasses import dataclass
from typing import Any

from hidden_states import Backbone
from own_names import MyGPT


@dataclass
class Output:
    """What transformers' models return, by attribute."""

    loss: Any
    logits: Any


class Several(MyGPT):
    """Logits and the caches of each layer, say."""

    def forward(self, tokens):
        logits = super().forward(tokens)
        return logits, [logits * 2]


class HiddenFirst(MyGPT):
    def forward(self, tokens):
        return self.token_embedding(tokens), super().forward(tokens)


class Alone(MyGPT):
    def forward(self, tokens):
        return [super().forward(tokens)]


class AsObject(MyGPT):
    def forward(self, tokens):
        return Output(None, super().forward(tokens))


class AsDict(MyGPT):
    def forward(self, tokens):
        return {"logits": super().forward(tokens), "past": ()}


class NoLogits(MyGPT):
    def forward(self, tokens):
        return self.token_embedding(tokens), None


class HiddenAndCaches(Backbone):
    def forward(self, tokens):
        hidden = super().forward(tokens)
        return hidden, ()
