# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 11. Tokenisation
#
# A model sees numbers, not text. GPT-2's way from one to the other is byte-level **byte-pair
# encoding** (BPE). After this chapter you know
#
# - how a vocabulary of tokens is learned from a text, and how a text is cut with it: both written
#   from scratch, in some fifty lines;
# - that this version learns the very 767 merges of this repository's tokenizer from four million
#   characters, in the same order, and gives the same ids as the `tokenizers` library;
# - what goes wrong with spaces, digits and bytes, and what a space at the end of a prompt costs.

# %%
import sys

sys.path += [".", "../../.."]  # this repository, from its root or from this folder

import json
import random
import re
import unicodedata
from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise

import numpy as np
from tokenizers import pre_tokenizers

from impl.tokenizer import Tokenizer
from reference import corpus
from reference.load import TINY_FOLDER, load
from reference.oracle import Oracle
from verify.steps.book.shared.exercises import check
from verify.steps.book.shared.pictures import figure, show

# %% [markdown]
# ## Characters, words, or something between?
#
# - With one token for each **character**, texts become long, and attention costs the square of the
#   length. A Chinese text needs thousands of characters in the table as well.
# - With one token for each **word**, the table never ends, and a word that was not in the training
#   text cannot be said at all.
# - BPE begins with single bytes, of which there are 256, and joins what often stands together. What
#   is frequent becomes one token, what is rare is spelled, and nothing is impossible.
#
# The text is that which `tiny` was trained on, with the same part held out.

# %%
training, held_out = corpus.split(corpus.load_corpus().text)
print(f"{sum(map(len, training)):,} characters to learn from, {sum(map(len, held_out)):,} held out")

# %% [markdown]
# ## First cut: pieces
#
# Before any counting the text is cut into pieces, so that no token ever spans two words. GPT-2 does
# it with one regular expression: the endings `'s`, `'re`, ...; letters, digits, or other signs in a
# row, each with **one space in front** if there is one; and white space. A space belongs to the
# word that follows it, so that a text is the concatenation of its pieces, and no space has to be
# guessed when tokens are put together again.
#
# The pattern asks for Unicode's letters and numbers, which Python's `re` cannot name. So we match
# the *shape* of the text: a string of the same length that says L, N, space, other white space, or
# o for each character.

# %%
ENDING = re.compile(r"'(?:s|t|re|ve|m|ll|d)")
RUN = re.compile(r" ?L+| ?N+| ?o+|\s+(?!\S)|\s+")


@cache
def kind(character):
    if character == " ":
        return " "
    if character.isspace() and not "\x1c" <= character <= "\x1f":
        return "\t"
    category = unicodedata.category(character)[0]
    return category if category in "LN" else "o"


def pieces_of(text):
    shape = "".join(map(kind, text))
    pieces, start = [], 0
    while start < len(text):
        found = ENDING.match(text, start) or RUN.match(shape, start)
        pieces.append(text[start : found.end()])
        start = found.end()
    return pieces


example = "And it came to pass, in 1611, that they'd finished:  the end."
print(pieces_of(example))
assert "".join(pieces_of(example)) == example

# %% [markdown]
# ## Bytes that can be printed
#
# The units are the bytes of UTF-8. To keep files readable, GPT-2 writes each byte as a character:
# printable ones as themselves, the other 68 as characters from U+0100 on. A space, byte 32, becomes
# `Ġ`, which you will meet in every vocabulary of this kind.


# %%
def alphabet():
    """A printable character for each of the 256 bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(0x100 + index) for index, byte in enumerate(others)
    }


CHARACTER_OF = alphabet()
BYTE_OF = {character: byte for byte, character in CHARACTER_OF.items()}


def spelled(piece):
    return "".join(CHARACTER_OF[byte] for byte in piece.encode())


print([spelled(piece) for piece in pieces_of("the café é 中")])

# %% [markdown]
# The library agrees, on the held-out text and on nasty strings: accents as characters of their own,
# digits of other scripts, Roman numerals, joined emoji, no-break spaces, control characters.

# %%
library_cut = pre_tokenizers.ByteLevel(add_prefix_space=False)
NASTY = "aB é ß 中 ½²Ⅷ٣ 37_-!.,'s't're'LL \n\t\u00a0\u2003\x1c\u0301 👍🏽 \u200d\u0085 ǅ"
chance = random.Random(11)


def nasty_text():
    return "".join(chance.choice(NASTY) for _ in range(chance.randrange(1, 20)))


for text in [*held_out, *(nasty_text() for _ in range(2000))]:
    ours = [spelled(piece) for piece in pieces_of(text)]
    assert ours == [piece for piece, _ in library_cut.pre_tokenize_str(text)], text

# %% [markdown]
# ## Learning the merges
#
# Repeat: find the pair of neighbouring tokens that occurs most often, make it a new token, and
# replace the pair everywhere. If two pairs are equally frequent, the one with the smaller ids wins;
# without such a rule two programs would drift apart.
#
# Each *different* piece is counted once, with the number of times it occurs: thirteen thousand
# instead of nearly a million. When a pair is merged, only the pieces that contain it are touched.


# %%
def merged(tokens, pair, new):
    """Tokens with each occurrence of a pair, from left to right, replaced by one new token."""
    result, at = [], 0
    while at < len(tokens):
        if tuple(tokens[at : at + 2]) == pair:
            result.append(new)
            at += 2
        else:
            result.append(tokens[at])
            at += 1
    return result


def learn(documents, vocab_size):
    """The vocabulary, from id 0 on, and the merges in their order."""
    times = Counter(spelled(piece) for text in documents for piece in pieces_of(text))
    vocabulary = [corpus.END_OF_TEXT, *sorted(CHARACTER_OF.values())]
    number = {token: index for index, token in enumerate(vocabulary)}
    pieces = [[number[character] for character in piece] for piece in times]
    weight = list(times.values())

    counts, holders = Counter(), defaultdict(set)

    def count(index, sign):
        for pair in pairwise(pieces[index]):
            counts[pair] += sign * weight[index]
            holders[pair].add(index)

    for index in range(len(pieces)):
        count(index, +1)
    merges = []
    while len(vocabulary) < vocab_size:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        new = len(vocabulary)
        vocabulary.append(vocabulary[best[0]] + vocabulary[best[1]])
        merges.append((vocabulary[best[0]], vocabulary[best[1]]))
        for index in holders.pop(best):
            count(index, -1)
            pieces[index] = merged(pieces[index], best, new)
            count(index, +1)
    return vocabulary, merges


small = training[:2]
vocabulary, merges = learn(small, 400)
library = json.loads(corpus.train_tokenizer(small, 400).to_str())["model"]
assert merges == [tuple(pair) for pair in library["merges"]]
assert {token: index for index, token in enumerate(vocabulary)} == library["vocab"]
print("the first merges:", *(a + "+" + b for a, b in merges[:12]))

# %% [markdown]
# So it is on a part. And on the whole training text, with 1,024 tokens? Its tokenizer was trained
# by the library and lies in `reference/tiny/tokenizer.json`.

# %%
vocabulary, merges = learn(training, 1024)
shipped = json.loads((TINY_FOLDER / "tokenizer.json").read_text(encoding="utf-8"))["model"]
assert merges == [tuple(pair) for pair in shipped["merges"]]
assert {token: index for index, token in enumerate(vocabulary)} == shipped["vocab"]
print(f"{len(merges)} merges, all equal, in the same order; the last:", *vocabulary[-8:])

# %% [markdown]
# ## Encoding
#
# A new text is cut into pieces, each is spelled in bytes, and then the merges are applied in the
# order in which they were learned: of all pairs in the piece, the one with the lowest rank first,
# everywhere, until no pair is left that was ever merged.

# %%
RANK = {pair: rank for rank, pair in enumerate(merges)}
NUMBER = {token: index for index, token in enumerate(vocabulary)}
ALL = len(merges)


def tokens_of(piece, most=ALL):
    """A piece as tokens, with the first `most` merges."""
    tokens = list(spelled(piece))
    while len(tokens) > 1:
        pairs = pairwise(tokens)
        best = min(pairs, key=lambda pair: RANK.get(pair, most))
        if RANK.get(best, most) >= most:
            break
        tokens = merged(tokens, best, "".join(best))
    return tokens


@cache
def ids_of(piece):
    return [NUMBER[token] for token in tokens_of(piece)]


def encode(text):
    return [index for piece in pieces_of(text) for index in ids_of(piece)]


tokenizer = Tokenizer.load(TINY_FOLDER)  # the library's, as the MAX engine uses it
for text in [*held_out, *(nasty_text() for _ in range(2000))]:
    assert encode(text) == tokenizer.encode(text), text
print(f"{sum(len(encode(text)) for text in held_out):,} ids of held-out text, all equal")

# %% [markdown]
# Let us look at it. One sentence, with more and more merges:

# %%
sentence = "And the LORD spake unto Moses, saying, Speak unto the children of Israel"
stages = (0, 20, 100, len(merges))
drawn, axes = figure(size=(7.5, 1.9))
for row, most in enumerate(stages):
    start = 0
    tokens = [token for piece in pieces_of(sentence) for token in tokens_of(piece, most)]
    for index, token in enumerate(tokens):
        axes.barh(-row, len(token), left=start, height=0.8, color=f"C{index % 4}", alpha=0.35)
        axes.text(
            start + len(token) / 2, -row, token.replace("Ġ", "␣"), family="monospace",
            fontsize=6.5, ha="center", va="center",
        )  # fmt: skip
        start += len(token)
    axes.text(start + 1, -row, f"{len(tokens)} tokens", fontsize=8, va="center")
axes.set_xlim(0, len(sentence) + 10)
axes.set_yticks([-row for row in range(4)], [f"{most} merges" for most in stages])
axes.set_xticks([])
axes.grid(visible=False)
show(drawn, "One sentence cut into tokens with 0, 20, 100 and all 767 merges")

# %% [markdown]
# How much does each merge bring? The first ones much; then less and less. A larger vocabulary makes
# texts shorter, and the embedding table longer: with 50,257 tokens of width 768 it is 31% of GPT-2
# small.

# %%
frequent = Counter(piece for text in held_out for piece in pieces_of(text))
total = sum(len(piece.encode()) * times for piece, times in frequent.items())
numbers = (0, 5, 20, 50, 100, 200, 400, len(merges))
lengths = [sum(len(tokens_of(p, n)) * times for p, times in frequent.items()) for n in numbers]
drawn, (left, right) = figure(columns=2, size=(7.5, 2.6))
left.plot(numbers, [total / length for length in lengths], marker="o")
left.set_xlabel("merges")
left.set_ylabel("bytes per token, held out")
right.hist([len(token) for token in vocabulary[257:]], bins=np.arange(1.5, 12), rwidth=0.9)
right.set_xlabel("bytes of a token")
right.set_ylabel("tokens (of 767)")
show(drawn, "Bytes per token over the number of merges, and how long the tokens are")
print(
    f"{total / lengths[-1]:.2f} bytes per token; the longest:",
    *sorted(vocabulary[1:], key=len)[-5:],
)
assert total / lengths[-1] > 3

# %% [markdown]
# ## Pitfall 1: spaces
#
# The space belongs to the word, so a word has one token in the middle of a text and others at its
# beginning, and with a capital letter others again. To the model they are as different as any two.


# %%
def shown(text):
    return [vocabulary[index] for index in encode(text)]


for text in (" the", "the", "The", "THE", " Jerusalem", "Jerusalem"):
    print(f"{text!r:14} {shown(text)}")

# %% [markdown]
# A prompt that ends in a space is therefore a different prompt: the space has become a token of its
# own, and the model has hardly ever seen a word that begins without one after that. What does
# `tiny` say?

# %%
oracle = Oracle(load("tiny"))


def next_tokens(prompt):
    """The three most likely continuations, with their probabilities."""
    logits = oracle.trace(np.array([encode(prompt)]))["lm_head"][0, -1]
    p = np.exp(logits - logits.max())
    p /= p.sum()
    return [(vocabulary[index], round(float(p[index]), 3)) for index in np.argsort(-p)[:3]]


for prompt in ("And it came to", "And it came to "):
    print(f"{prompt!r:18} {next_tokens(prompt)}")
assert next_tokens("And it came to")[0][0] == "Ġpass"
assert next_tokens("And it came to")[0][1] > 0.9
assert "pass" not in [token for token, _ in next_tokens("And it came to ")]

# %% [markdown]
# One space, and a model that was 91% sure writes nonsense. Programs should take trailing spaces off
# a prompt. For the same reason, a word that is cut in the middle is a bad prompt.
#
# ## Pitfall 2: digits
#
# This text has no years and no sums, so its tokenizer spells numbers digit by digit. Where numbers
# are frequent, BPE joins whatever is frequent, without any regard for their value. Let us train one
# on a list of years:

# %%
years = " ".join(str(int(2020 - chance.expovariate(1 / 40))) for _ in range(20_000))
year_vocabulary, year_merges = learn([years], 340)
year_rank = {pair: rank for rank, pair in enumerate(year_merges)}


def cut_years(piece):
    tokens = list(spelled(piece))
    while len(tokens) > 1:
        best = min(pairwise(tokens), key=lambda pair: year_rank.get(pair, 10**6))
        if best not in year_rank:
            break
        tokens = merged(tokens, best, "".join(best))
    return tokens


for number in (" 2019", " 1999", " 1945", " 1899", " 1789", " 9911"):
    print(f"{number!r:8} {cut_years(number)}")

# %% [markdown]
# The same digits are one token here, and three there, so that the model has to learn sums for each
# way of cutting. Newer tokenizers cut numbers into single digits or groups of three before BPE.
#
# ## Pitfall 3: bytes
#
# Tokens are pieces of bytes, not of characters. What is rare is spelled, and then one character is
# several tokens, none of which is text.

# %%
for text in ("naïve", "中", "👍🏽"):
    alone = [tokenizer.decode([index]) for index in encode(text)]
    print(f"{text}: {len(text)} code points, {len(text.encode())} bytes, tokens {alone}")
assert tokenizer.decode(encode("👍🏽")) == "👍🏽"
assert "�" in tokenizer.decode(encode("👍🏽")[:3])

# %% [markdown]
# So a program that prints a model's text token by token must keep bytes back until a character is
# whole (exercise 2). And a model may write bytes that are not UTF-8 at all.
#
# A related surprise: asked how many letters a word has, a model cannot count them. It does not see
# them.

# %%
print(shown(" strawberry"))

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** The way back: ids to text. Join the tokens, turn each character into its byte, and
# decode UTF-8; bytes that are not UTF-8 become U+FFFD (`errors="replace"`). Id 0, the end of text,
# has no bytes: write it as it stands in the vocabulary.


# %% tags=["exercise"]
def decode(ids): ...  # your turn


# %% tags=["check"]
@check(decode)
def decodes_all(answer):
    """Texts come back, and any ids at all give what the library gives."""
    for text in (*held_out[:3], "naïve 中 👍🏽"):
        assert answer(encode(text)) == text, "a text must come back as it was"
    for _ in range(200):
        ids = [chance.randrange(1, 1024) for _ in range(12)]
        assert answer(ids) == tokenizer.decode(ids), f"{ids}: join all bytes before you decode"
    assert answer([0]) == corpus.END_OF_TEXT, "id 0 is <|endoftext|>"


# %% tags=["solution", "hide-input"]
def solution_1(ids):
    tokens = [vocabulary[index] for index in ids]
    parts = [
        token.encode() if token == corpus.END_OF_TEXT else bytes(BYTE_OF[c] for c in token)
        for token in tokens
    ]
    return b"".join(parts).decode("utf-8", errors="replace")


decodes_all(solution_1)

# %% [markdown]
# **Exercise 2.** Decode a stream: a generator that takes ids one by one, and after each yields the
# text that is certain by now ("" if a character is still incomplete). Nothing may be held back
# longer than needed. The valid texts of this exercise need no U+FFFD. (Look at
# `codecs.getincrementaldecoder`, or count bytes: the first byte of a character says how many it
# has.)


# %% tags=["exercise"]
def stream(ids): ...  # your turn: yield a string for each id


# %% tags=["check"]
@check(stream)
def streams_whole_characters(answer):
    """After each token, all whole characters and no others have been given."""
    text = "naïve 中文 👍🏽 and it came to pass"
    ids = encode(text)
    given = list(answer(iter(ids)))
    assert len(given) == len(ids), "one string for each id, also an empty one"
    assert "�" not in "".join(given), "a character was given before all its bytes had come"
    for count in range(1, len(ids) + 1):
        so_far = b"".join(bytes(BYTE_OF[c] for c in vocabulary[index]) for index in ids[:count])
        certain = so_far.decode("utf-8", errors="ignore")
        assert "".join(given[:count]) == certain, f"after {count} ids it should be {certain!r}"


# %% tags=["solution", "hide-input"]
def solution_2(ids):
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    for index in ids:
        yield decoder.decode(bytes(BYTE_OF[character] for character in vocabulary[index]))


streams_whole_characters(solution_2)

# %% [markdown]
# **Exercise 3.** One could also ignore the merges: take the longest token of the vocabulary that
# the piece begins with, then the longest for the rest, and so on. Write it, and see whether it
# gives the same tokens as BPE, and which of the two needs fewer.


# %% tags=["exercise"]
def longest_match(piece): ...  # your turn: a list of tokens


# %% tags=["check"]
@check(longest_match)
def longest_is_taken(answer):
    """Each token is in the vocabulary, and no longer one would fit in its place."""
    known = set(vocabulary)
    for piece in list(frequent)[:1500]:
        tokens, rest = answer(piece), spelled(piece)
        assert "".join(tokens) == rest, f"{piece!r}: the tokens do not make the piece"
        for token in tokens:
            longer = (rest[:n] for n in range(len(token) + 1, len(rest) + 1))
            assert token in known, f"{token} is not in the vocabulary"
            assert not known.intersection(longer), f"{piece!r}: a longer token than {token} fits"
            rest = rest[len(token) :]


# %% tags=["solution", "hide-input"]
def solution_3(piece):
    rest, tokens = spelled(piece), []
    while rest:
        token = next(rest[:n] for n in range(len(rest), 0, -1) if rest[:n] in NUMBER)
        tokens.append(token)
        rest = rest[len(token) :]
    return tokens


longest_is_taken(solution_3)
other = [piece for piece in frequent if solution_3(piece) != tokens_of(piece)]
fewer = sum(len(tokens_of(piece)) - len(solution_3(piece)) for piece in frequent)
print(f"{len(other)} of {len(frequent)} different pieces are cut in another way, such as", end=" ")
print(f"{other[0]!r}: {solution_3(other[0])}, not {tokens_of(other[0])}")
print(f"tokens saved in all of them: {fewer}")

# %% [markdown]
# ## What to take along
#
# - BPE: cut into pieces, spell in bytes, merge the most frequent pair, again and again. Encoding
#   applies the merges in the order in which they were learned.
# - Two programs agree only if they agree on every detail: the cut, the order among equals, the
#   order of merges. It is worth testing on nasty strings.
# - A space belongs to the word after it; numbers are cut as it happens; a token may be a part of a
#   character. A model whose text looks bad may have been given bad tokens.
