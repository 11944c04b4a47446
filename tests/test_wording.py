"""Bigrams and shingles against the plain twins, and whose are written."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import naive
import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from stages import Article, config, counted, kept, rows_in, sign, word
from texts import EXAMPLES, plain_texts

from pipeline import wording
from pipeline.screen import SCREENED
from pipeline.tables import write_ipc
from pipeline.terms import TermStatistics
from pipeline.text import KeptTokens
from pipeline.token_scan import FURNITURE
from pipeline.vectors import NAME, NUMBER, TOLD_IN_TITLE
from pipeline.wording import TYPES, Wording, build

BITS = 16
# (title, body), and whether the article is chosen.
article = st.tuples(st.one_of(st.none(), plain_texts), plain_texts)
articles = st.lists(st.tuples(article, st.booleans()), min_size=1, max_size=5)


def every(tokens: KeptTokens) -> np.ndarray:
    return np.ones(tokens.n_articles, np.bool_)


def terms_of(tokens: KeptTokens, i: int) -> list[int]:
    """Terms of an article without its furniture."""
    own = slice(tokens.indptr[i], tokens.indptr[i + 1])
    return tokens.terms[own][(tokens.flags[own] & FURNITURE) == 0].tolist()


def bigram_key(one: int, other: int) -> int:
    return naive.fmix32(one * naive.SPREAD + other & naive.M32)


@EXAMPLES
@given(articles, st.integers(1, 6), st.randoms(use_true_random=False))
def test_rows_are_those_of_the_naive_twins_and_of_the_chosen_alone(drawn, size, rng):
    tokens = kept([article for article, _ in drawn])
    statistics = counted(BITS, tokens)
    for j in range(len(tokens.flags)):
        tokens.flags[j] |= FURNITURE * (rng.random() < 0.2)
    chosen = np.array([is_chosen for _, is_chosen in drawn])
    built = build(tokens, chosen, statistics, size)
    assert {name: values.dtype for name, values in vars(built).items()} == TYPES
    idf = statistics.idf().tolist()
    shingles = rows_in(built.shingle_keys, built.shingle_ends)
    keys, weights = (rows_in(v, built.bigram_ends) for v in (built.bigram_keys, built.bigram_weights))
    firsts = rows_in(built.bigram_terms, built.bigram_ends)
    for i, is_chosen in enumerate(chosen):
        own = terms_of(tokens, i) if is_chosen else []
        assert shingles[i] == list(dict.fromkeys(naive.shingle_elements(own, size)))
        counter = Counter(pairwise(own))
        assert keys[i] == [bigram_key(a, b) for a, b in counter]
        assert firsts[i] == [a for a, _ in counter]
        # As if the two met by chance: the idf of a pair is the sum of both.
        expected = [(1 + math.log(n)) * (idf[a % 2**BITS] + idf[b % 2**BITS])
                    for (a, b), n in counter.items()]  # fmt: skip
        norm = math.sqrt(sum(w * w for w in expected))
        np.testing.assert_allclose(weights[i], [w / norm for w in expected], rtol=1e-5)


def test_only_names_and_numbers_tell_and_by_their_rarity():
    """Up to six above a rarity of one, in sixteenths."""
    idf = np.array([1.5, 2.0, 3.03, 8.5, 3.03, 3.03], np.float32)
    kinds = np.array([NAME, NUMBER, NAME | TOLD_IN_TITLE, NUMBER, 0, TOLD_IN_TITLE], np.uint8)
    assert wording.tells(idf, kinds).tolist() == [0, 0, 16, 96, 0, 0]


@EXAMPLES
@given(articles, st.integers(1, 6))
def test_an_articles_row_is_the_same_whoever_else_is_chosen(drawn, size):
    tokens = kept([article for article, _ in drawn])
    statistics = counted(BITS, tokens)
    some, whole = (
        build(tokens, mask, statistics, size)
        for mask in (np.array([is_chosen for _, is_chosen in drawn]), every(tokens))
    )
    for name, ends in (("bigram_keys", "bigram"), ("bigram_weights", "bigram"), ("shingle_keys", "shingle")):
        found, expected = (rows_in(getattr(w, name), getattr(w, f"{ends}_ends")) for w in (some, whole))
        assert found == [
            row if is_chosen else [] for row, (_, is_chosen) in zip(expected, drawn, strict=True)
        ]


BODY = "Story {} of the bridge in Paris cost {} coins and then more rain fell"
COLLECTION: list[Article] = [("s", "Title", BODY.format(i, 7 * i)) for i in range(9)]
COLLECTION[4] = ("s", None, "...")
SETTINGS = ("furniture.min_articles=100",)


def loaded_rows(files, name: str, ends: str) -> list[list]:
    loaded = map(Wording.load, files)
    return [row for own in loaded for row in rows_in(getattr(own, name), getattr(own, ends))]


def test_written_groups_hold_what_one_batch_would(tmp_path):
    """Rows go on counting over batches and groups; an article without tokens has empty rows."""
    settings = config(*SETTINGS)
    signing = sign(tmp_path, COLLECTION, settings, n_groups=3)
    tokens = kept([(title, body) for _, title, body in COLLECTION])
    whole = build(tokens, every(tokens), TermStatistics.load(signing.statistics), 5)
    files = word(tmp_path, signing, settings, list(pairwise(range(len(COLLECTION)))))
    assert [f.first_row for f in files] == [g.first_row for g in signing.groups]
    assert sum(f.n_articles for f in files) == len(COLLECTION)
    arrays = (("bigram_keys", "bigram"), ("bigram_weights", "bigram"), ("shingle_keys", "shingle"))
    for name, space in arrays:
        expected = rows_in(getattr(whole, name), getattr(whole, f"{space}_ends"))
        assert loaded_rows(files, name, f"{space}_ends") == expected
    assert Wording.load(files[0]).bigram_keys.flags.writeable is False


def test_articles_without_a_passing_pair_have_empty_rows(tmp_path):
    """Pairs that are kept but don't pass ask for nothing; those of another group's file count."""
    settings = config(*SETTINGS)
    signing = sign(tmp_path, COLLECTION, settings, n_groups=3)
    sides = [(0, 7), (1, 2), (5, 7), (2, 6)]
    table = {
        "left": [i for i, _ in sides], "right": [j for _, j in sides], "found_by": [1] * 4,
        "estimate_reprint": [0.0] * 4, "estimate_respun": [0.0] * 4, "passes": [True, False, True, False],
    }  # fmt: skip
    pairs = pa.table(table, schema=SCREENED)
    screened = [
        write_ipc(tmp_path / f"screened-{part}.arrow", SCREENED, pairs.slice(2 * part, 2).to_batches())
        for part in range(2)
    ]
    files = [
        wording.write_group(g, t, signing.furniture, signing.statistics, screened, settings, tmp_path)
        for g, t in zip(signing.groups, signing.tokens, strict=True)
    ]
    for name, ends in (("bigram_keys", "bigram_ends"), ("shingle_keys", "shingle_ends")):
        rows = loaded_rows(files, name, ends)
        assert len(rows) == len(COLLECTION)
        assert [i for i, row in enumerate(rows) if row] == [0, 5, 7]


def test_no_pair_no_wording(tmp_path):
    settings = config(*SETTINGS)
    signing = sign(tmp_path, COLLECTION, settings, n_groups=2)
    group, tokens = signing.groups[1], signing.tokens[1]
    files = wording.write_group(group, tokens, signing.furniture, signing.statistics, [], settings, tmp_path)
    loaded = Wording.load(files)
    assert loaded.bigram_ends.tolist() == loaded.shingle_ends.tolist() == [0] * group.n_articles
    assert len(loaded.bigram_keys) == len(loaded.shingle_keys) == 0
