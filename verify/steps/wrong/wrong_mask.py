"""Wrong solutions of step 2, the causal mask."""

from verify.steps.wrong.mistake import catalogued, mutated, of_step, seen

FILL = "F.constant(-math.inf, dtype=dtype, device=device), [length, length]"
BAND = "F.band_part(hidden, num_lower=None, num_upper=0, exclude=True)"


def _fill(number: str) -> tuple[str, str]:
    return FILL, FILL.replace("-math.inf", number)


def _band(text: str) -> tuple[str, str]:
    return BAND, text


MISTAKES = of_step(
    2,
    seen("the past hidden", "pytorch/pytorch#29546", "hides the past and shows the future",
         _band("F.band_part(hidden, num_lower=0, num_upper=None, exclude=True)")),
    seen("each token hidden from itself", "pbloem/former#10", "a token cannot see itself",
         _band("F.band_part(hidden, num_lower=0, num_upper=None)")),
    catalogued("the next token seen", "mask_off_by_one", "sees key 1, which lies ahead",
               _band("F.band_part(hidden, num_lower=None, num_upper=1, exclude=True)")),
    seen("what is kept and what is hidden exchanged", "timeseriesAI/tsai#293",
         "hides each token and its past.*exchanged",
         _band("F.band_part(hidden, num_lower=None, num_upper=0)")),
    catalogued("no mask", "mask_missing", "it hides nothing", _fill("0.0")),
    mutated("the band left out", "operation", "hides everything, what came before too",
            _band("hidden")),
    catalogued("a large negative number", "mask_-1e4", r"-10000, which large scores can outweigh",
               _fill("-1e4")),
    seen("a very large negative number", "", "which large scores can outweigh",
         _fill("-1e9")),
    seen("a small positive number", "awslabs/gluonts#1401", "hides nothing: it is to be -inf",
         _fill("1e-9")),
    catalogued("zeros and ones", "mask_multiplied", "0 and 1, as a mask that is multiplied",
               _fill("1.0"), _band("F.band_part(hidden, num_lower=None, num_upper=0)")),
    seen("+inf", "lucidrains/memory-compressed-attention#2", r"holds \+inf",
         _fill("math.inf")),
    seen("0 times -inf", "", "NaN: 0 times -inf is NaN",
         _band("F.band_part(F.broadcast_to(F.constant(1.0, dtype=dtype, device=device), "
               "[length, length]), num_lower=None, num_upper=0, exclude=True) * -math.inf")),
    seen("true and false", "", "holds bool.*not added to scores",
         _band(f"{BAND} < 0")),
    mutated("all but the token itself hidden", "mask", "hides all but the token itself",
            _band("F.band_part(hidden, num_lower=0, num_upper=0, exclude=True)")),
    mutated("a window of four", "mask", "query 4 cannot see key 0, which came before it",
            _band("F.band_part(hidden, num_lower=3, num_upper=0, exclude=True)")),
    mutated("two ahead seen", "mask", "sees key 1, which lies ahead",
            _band("F.band_part(hidden, num_lower=None, num_upper=2, exclude=True)")),
    mutated("one row", "number", "query 1 cannot see|has shape|sees key",
            (FILL, FILL.replace("[length, length]", "[1, length]"))),
    mutated("a length that is fixed", "number", "has shape .* one row for each query",
            (FILL, FILL.replace("[length, length]", "[8, 8]"))),
    seen("half of it", "", "outweigh|-0.5", _fill("-0.5")),
    seen("another dtype", "", "holds float64, and float32 was asked for",
         (FILL, FILL.replace("dtype=dtype", "dtype=DType.float64"))),
    seen("something added to what is seen", "", "keys that are seen get 1 added",
         _band(f"{BAND} + 1.0")),
    seen("nothing returned", "", "forward ends without `return`|returns None",
         (f"return {BAND}", BAND)),
    seen("PyTorch's call", "", "has no attribute 'triu'.*MAX calls it otherwise",
         _band("F.triu(hidden, diagonal=1)")),
    seen("a length made a number", "", "S is known only when the graph runs",
         (FILL, FILL.replace("[length, length]", "[int(length), int(length)]"))),
)  # fmt: skip
