"""Wrong solutions of step 1, the configuration."""

from verify.steps.wrong.mistake import mutated, of_step, seen

VOCAB, POSITIONS, WIDTH = "vocab_size: int = 50257", "n_positions: int = 1024", "n_embd: int = 768"
BLOCKS, HEADS, EPS = "n_layer: int = 12", "n_head: int = 12", "layer_norm_epsilon: float = 1e-5"
CHECK = "if self.n_embd % self.n_head != 0:"
HEAD_DIM = "return self.n_embd // self.n_head"

MISTAKES = of_step(
    1,
    seen("padded vocabulary", "karpathy/nanoGPT", "multiple of 128",
         (VOCAB, "vocab_size: int = 50304")),
    seen("GPT-J's vocabulary", "huggingface/transformers#13617", "50400 is GPT-J's",
         (VOCAB, "vocab_size: int = 50400")),
    mutated("the last token's id for their number", "number", "one more token",
            (VOCAB, "vocab_size: int = 50256")),
    seen("context of the first GPT", "huggingface/transformers#12048", "512 is the first GPT's",
         (POSITIONS, "n_positions: int = 512")),
    mutated("the last position for their number", "number", "one more than that",
            (POSITIONS, "n_positions: int = 1023")),
    seen("medium's width", "microsoft/DialoGPT#12", "1024 is medium's",
         (WIDTH, "n_embd: int = 1024"), (HEADS, "n_head: int = 16")),
    seen("medium's depth", "microsoft/DialoGPT#12", "24 is medium's",
         (BLOCKS, "n_layer: int = 24")),
    seen("the first transformer's heads", "", "8 is the first transformer's",
         (HEADS, "n_head: int = 8")),
    seen("BERT's epsilon", "keras-team/keras-hub#642", "BERT's",
         (EPS, "layer_norm_epsilon: float = 1e-12")),
    seen("other models' epsilon", "huggingface/candle#271", "what other models have",
         (EPS, "layer_norm_epsilon: float = 1e-6")),
    mutated("a width that is a float", "number", "whole numbers, int, and this is a float",
            (WIDTH, "n_embd: float = 768.0")),
    mutated("a size in quotes", "number", "'12' by default.*whole numbers",
            (BLOCKS, 'n_layer: str = "12"')),
    seen("nanoGPT's name for the context", "karpathy/nanoGPT", "no n_positions.*has block_size",
         (POSITIONS, "block_size: int = 1024")),
    seen("another name for the width", "", "no n_embd.*it has d_model",
         (WIDTH, "d_model: int = 768"), (CHECK, "if self.d_model % self.n_head != 0:")),
    seen("a plural for the heads", "", "no n_head.*it has n_heads",
         (HEADS, "n_heads: int = 12"), (CHECK, "if self.n_embd % self.n_heads != 0:")),
    mutated("epsilon left out", "operand", "no layer_norm_epsilon.*Hugging Face's field names",
            (f"    {EPS}\n", "")),
    seen("no check of the heads", "sgl-project/sglang#32028", "without an error.*leave over",
         (CHECK, "if self.n_embd < self.n_head:")),
    seen("a warning for an error", "yandexdataschool/nlp_course#131", "without an error",
         ("raise ValueError(f", "ValueError(f")),
    mutated("divided the other way round", "swap", r"GPT2Config\(\) raises ValueError.*leaves over",
            (CHECK, "if self.n_head % self.n_embd != 0:")),
    mutated("the check turned round", "operator", r"GPT2Config\(\) raises ValueError",
            (CHECK, "if self.n_embd % self.n_head == 0:")),
    seen("only GPT-2's own head size is allowed", "", r"n_embd=64.*raises ValueError",
         (CHECK, "if self.n_embd != 64 * self.n_head:")),
    seen("a head's size as a float", "sgl-project/sglang#32028", "`/` gives a float",
         (HEAD_DIM, "return self.n_embd / self.n_head")),
    mutated("a head's size by the blocks", "value", "head_dim is 32.*n_embd / n_head",
            (HEAD_DIM, "return self.n_embd // self.n_layer")),
    seen("values that cannot be chosen", "", "it is called as GPT2Config|unexpected keyword",
         ("@dataclass(frozen=True)\n", "")),
    seen("values that are overwritten", "", "n_embd is 768 where 64 was given.*keep what",
         ("    def __post_init__(self) -> None:\n",
          ("    def __post_init__(self) -> None:\n"
          '        object.__setattr__(self, "n_embd", 768)\n'))),
)  # fmt: skip
