"""Two texts side by side: passages cover both, in order, and what is called the same is the same."""

from __future__ import annotations

import time
from dataclasses import replace

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from texts import strings

from pipeline.aligned import LEFT_OUT, MAX_TOKENS, MIN_RUN, Telling, align
from pipeline.explained import Alignment, Fact
from pipeline.text import keep
from pipeline.token_scan import FURNITURE
from pipeline.tokens import tokenise


def telling(title: str | None, text: str, furniture: tuple[int, ...] = ()) -> Telling:
    batch = pa.record_batch({"title": strings([title]), "text": strings([text])})
    tokens = tokenise(batch.column("title"), batch.column("text"))
    kept = keep(tokens)
    kept.flags[list(furniture)] |= FURNITURE
    return Telling.of(batch, tokens, kept, 0)


def aligned(a: str, b: str) -> Alignment:
    return align(telling(None, a), telling(None, b), {}, {})


def test_what_was_substituted():
    a = telling("Fire in Lyon", "Fire broke out in the old town on Monday, the mayor said.")
    b = telling("Fire in Lyon", "Fire broke out in the harbour on Friday, the mayor said.")
    facts_a = {int(a.terms[i]): "name" for i, word in enumerate(a.terms) if a.spelling(int(word)) == "Monday"}
    found = align(a, b, facts_a, {})
    assert [(p.same, p.text_a, p.text_b) for p in found.passages] == [
        (True, "Fire in Lyon\nFire broke out in the", "Fire in Lyon\nFire broke out in the"),
        (False, "old town on Monday", "harbour on Friday"),
        (True, "the mayor said", "the mayor said"),
    ]
    assert found.passages[1].facts_a == (Fact(12, 18, "name", in_other=False),)


def test_furniture_is_left_out():
    own = telling(None, "one two three\nSHARE THIS\nfour five six", furniture=(3, 4))
    [passage] = align(own, telling(None, "one two three four five six"), {}, {}).passages
    assert passage.same
    assert passage.text_a == f"one two three{LEFT_OUT}four five six"


def test_facts_are_counted_in_code_points():
    own = telling(None, "Übergrößen für Zoë, 12 Stück 🎈 in Łódź")
    facts = {int(term): "name" for term in own.terms}
    [passage] = align(own, telling(None, "nothing"), facts, {}).passages[:1]
    words = [passage.text_a[fact.begin : fact.end] for fact in passage.facts_a]
    assert words == ["Übergrößen", "für", "Zoë", "12", "Stück", "in", "Łódź"]


def test_nothing_and_little():
    assert aligned("word", "word").n_tokens_same == 0  # under MIN_RUN
    [passage] = aligned("one two three", "one two three").passages
    assert passage.same


TEXTS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=40)


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_passages_cover_both_and_are_equal_where_they_say_so(words_a, words_b):
    found = aligned(" ".join(words_a), " ".join(words_b))
    for side, words in (("a", words_a), ("b", words_b)):
        told = [word for p in found.passages for word in getattr(p, f"text_{side}").split()]
        assert told == words
    for passage in found.passages:
        assert not passage.same or passage.text_a == passage.text_b
    assert found.n_tokens_same == sum(p.n_tokens_a for p in found.passages if p.same)
    assert found.n_tokens_same == 0 or min(len(words_a), len(words_b)) >= MIN_RUN


@settings(deadline=None)
@given(TEXTS, TEXTS)
@example(list("abcbcd"), list("bcdabc"))  # two passages as long as each other, and each before the other
def test_the_other_way_round_only_the_sides_change(words_a, words_b):
    one, two = aligned(" ".join(words_a), " ".join(words_b)), aligned(" ".join(words_b), " ".join(words_a))
    passages = [
        replace(p, n_tokens_a=p.n_tokens_b, n_tokens_b=p.n_tokens_a, text_a=p.text_b, text_b=p.text_a)
        for p in two.passages
    ]
    assert one == replace(two, passages=tuple(passages))


def test_very_long_texts_are_cut_and_take_no_minute():
    words = [f"w{i * i % 100_003}" for i in range(MAX_TOKENS + 50)]
    other = [word if i % 7 else f"x{i}" for i, word in enumerate(words)]
    began = time.perf_counter()
    found = aligned(" ".join(words), " ".join(other))
    print(time.perf_counter() - began)
    assert found.n_tokens_left_out == 100
    assert found.n_tokens_same > MAX_TOKENS // 2
