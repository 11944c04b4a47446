"""LLVM's instructions on many bytes against plain Python, up to the buffer's last byte."""

from __future__ import annotations

import numba as nb
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from texts import EXAMPLES, JIT_OFF

from pipeline.arrays import BYTES
from pipeline.unicode import build
from pipeline.wide import (
    CAPITALS,
    DIGITS,
    LETTERS,
    classes_of_64,
    count_bits,
    load_key,
    load_word,
    lowest_bit,
)

WORDS = st.one_of(
    st.integers(0, 2**64 - 1),
    st.integers(0, 63).map(lambda k: 1 << k),
    st.integers(0, 64).map(lambda k: 2**64 - 2**k),
)
ASCII = "aAzZ09 .,!?\n\r\t@[`{/:"
BYTES_OF_TEXT = st.one_of(
    st.binary(min_size=64, max_size=200),
    st.text(ASCII, min_size=64, max_size=200).map(str.encode),
    st.text(ASCII + "é日\u0301\u2028😀", min_size=64, max_size=90).map(str.encode),
)


@nb.njit(nb.uint64(BYTES, nb.int64))
def word_at(data, at):
    return load_word(data, at)


@nb.njit(nb.uint32(BYTES, nb.int64))
def key_at(data, at):
    return load_key(data, at)


@nb.njit(nb.int64(nb.uint64))
def lowest(word):
    return lowest_bit(word)


@nb.njit(nb.int64(nb.uint64))
def counted(word):
    return count_bits(word)


@nb.njit(nb.types.UniTuple(nb.uint64, 8)(BYTES, nb.int64))
def classes_at(data, at):
    return classes_of_64(data, at)


def bits_where(block: bytes, holds) -> int:
    return sum(bool(holds(byte)) << k for k, byte in enumerate(block))


def naive_classes(block: bytes) -> tuple[int, ...]:
    """By the tables of the tokeniser: what a byte of ASCII is to the scan of single code points."""

    def is_of(*kinds: int):
        return lambda byte: byte < 128 and build.category_of(chr(byte)) in kinds

    return tuple(
        bits_where(block, holds)
        for holds in (
            is_of(build.LOWER, build.UPPER, build.DIGIT), is_of(build.DIGIT), is_of(build.UPPER),
            is_of(build.STOP, build.NEWLINE), is_of(build.NEWLINE), lambda byte: byte == 10,
            lambda byte: chr(byte) in ",.", lambda byte: byte >= 128,
        )
    )  # fmt: skip


@EXAMPLES
@given(st.binary(min_size=8, max_size=80), st.data())
def test_a_word_is_eight_bytes_lowest_first(data, draw):
    for at in {0, len(data) - 8, draw.draw(st.integers(0, len(data) - 8))}:
        octets = np.frombuffer(data, np.uint8)
        assert int(word_at(octets, at)) == int.from_bytes(data[at : at + 8], "little")
        for key in (at, at + 4):
            assert int(key_at(octets, key)) == int.from_bytes(data[key : key + 4], "little")


@EXAMPLES
@given(WORDS)
@example(0)
@example(1)
@example(1 << 63)
@example(2**64 - 1)
def test_the_lowest_bit_is_where_a_binary_number_ends_and_bits_are_counted(word):
    assert lowest(np.uint64(word)) == next((k for k in range(64) if word >> k & 1), 64)
    assert counted(np.uint64(word)) == bin(word).count("1")


@EXAMPLES
@given(BYTES_OF_TEXT, st.data())
@example(bytes(range(128)), None)
@example(bytes(range(64, 256)), None)
def test_the_classes_of_64_bytes_are_those_of_the_tables(data, draw):
    places = {0, len(data) - 64} | ({draw.draw(st.integers(0, len(data) - 64))} if draw else set(range(64)))
    for at in places:
        found = classes_at(np.frombuffer(data, np.uint8), at)
        assert tuple(map(int, found)) == naive_classes(data[at : at + 64])


def test_letters_and_digits_are_those_of_ascii():
    by_table = [c for c in map(chr, range(128)) if build.category_of(c) in (build.LOWER, build.UPPER)]
    assert sorted(LETTERS) == by_table
    assert list(CAPITALS) == [c for c in by_table if build.category_of(c) == build.UPPER]
    assert [c for c in map(chr, range(128)) if build.category_of(c) == build.DIGIT] == list(DIGITS)


@pytest.mark.skipif(not JIT_OFF, reason="the twins for the interpreter are looked at without the JIT")
def test_the_fallbacks_are_plain_functions():
    assert {type(f).__name__ for f in (load_key, load_word, lowest_bit, count_bits, classes_of_64)} == {
        "function"
    }
