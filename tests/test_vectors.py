"""TF-IDF rows and shingle sets against collections.Counter, scikit-learn and the plain twins."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from stages import config, kept, sign
from texts import EXAMPLES, plain_texts

from pipeline import vectors
from pipeline.terms import TermCounter, TermStatistics
from pipeline.text import KeptTokens
from pipeline.token_scan import CAPITAL, DIGIT, FURNITURE
from pipeline.vectors import NAME, NUMBER, VectorBuilder, distinct_rows, tfidf

BITS = 16
keys_of_a_row = st.lists(st.one_of(st.integers(0, 6), st.integers(0, 2**32 - 1)), max_size=30)
rows_of_keys = st.lists(keys_of_a_row, max_size=6)
articles = st.lists(st.tuples(st.one_of(st.none(), plain_texts), plain_texts), min_size=1, max_size=5)


def rows_in(values: np.ndarray, ends: np.ndarray) -> list[list]:
    return [part.tolist() for part in np.split(values, ends[:-1])] if len(ends) else []


def statistics_of(tokens: KeptTokens) -> TermStatistics:
    counter = TermCounter(BITS)
    counter.add(tokens)
    return counter.result()


def terms_of(tokens: KeptTokens, i: int) -> list[int]:
    """Terms of an article without its furniture."""
    own = slice(tokens.indptr[i], tokens.indptr[i + 1])
    return tokens.terms[own][(tokens.flags[own] & FURNITURE) == 0].tolist()


@EXAMPLES
@given(rows_of_keys)
def test_distinct_rows_are_counters(rows):
    flat = np.array([key for row in rows for key in row], np.uint32)
    indptr = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    keys, counts = np.empty(len(flat), np.uint32), np.empty(len(flat), np.int32)
    first, ends = np.empty(len(flat), np.int64), np.empty(len(rows), np.int64)
    n = distinct_rows(flat, indptr, keys, counts, first, ends)
    counters = [Counter(row) for row in rows]
    assert n == sum(map(len, counters))
    assert rows_in(keys[:n], ends) == [list(counter) for counter in counters]
    assert rows_in(counts[:n], ends) == [list(counter.values()) for counter in counters]
    for start, row, found in zip(indptr.tolist(), rows, rows_in(first[:n], ends), strict=False):
        assert found == [start + row.index(key) for key in Counter(row)]


@EXAMPLES
@given(st.integers(1, 8), st.integers(1, 8), st.data())
def test_weights_are_scikit_learns_with_the_collections_idf(n_rows, n_columns, data):
    """The idf comes from a larger collection than the batch that is weighted."""
    cells = st.lists(st.integers(0, 4), min_size=n_columns, max_size=n_columns)
    counts = data.draw(st.lists(cells, min_size=n_rows, max_size=n_rows + 4))
    collection = csr_matrix(counts, dtype=np.float64)
    transformer = TfidfTransformer(sublinear_tf=True).fit(collection)
    batch = collection[:n_rows]
    expected = transformer.transform(batch)
    idf = transformer.idf_.astype(np.float32)[batch.indices]
    found = tfidf(batch.data.astype(np.int32), idf, batch.indptr[1:].astype(np.int64))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.data, rtol=1e-5)


@EXAMPLES
@given(articles)
def test_term_rows_are_scikit_learns(texts):
    tokens = kept(texts)
    built = VectorBuilder(statistics_of(tokens), 5).build(tokens)
    counters = [Counter(terms_of(tokens, i)) for i in range(len(texts))]
    columns = {term: i for i, term in enumerate(sorted(set().union(*counters)))}
    if not columns:
        assert len(built.term_keys) == 0
        return
    matrix = csr_matrix((len(texts), len(columns))).tolil()
    for i, counter in enumerate(counters):
        for term, n in counter.items():
            matrix[i, columns[term]] = n
    expected = TfidfTransformer(sublinear_tf=True).fit_transform(matrix.tocsr()).toarray()
    found = np.zeros_like(expected)
    keys, weights = rows_in(built.term_keys, built.term_ends), rows_in(built.term_weights, built.term_ends)
    for i, (row, values) in enumerate(zip(keys, weights, strict=True)):
        found[i, [columns[key] for key in row]] = values
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@EXAMPLES
@given(articles)
def test_bigrams_are_weighted_by_the_idf_of_both_terms(texts):
    tokens = kept(texts)
    statistics = statistics_of(tokens)
    built = VectorBuilder(statistics, 5).build(tokens)
    idf = statistics.idf().tolist()
    ends = [0, *built.bigram_ends.tolist()]
    for i in range(len(texts)):
        own = terms_of(tokens, i)
        counter = Counter(pairwise(own))
        weights = [(1 + math.log(n)) * (idf[a % 2**BITS] + idf[b % 2**BITS]) for (a, b), n in counter.items()]
        norm = math.sqrt(sum(w * w for w in weights))
        np.testing.assert_allclose(
            built.bigram_weights[ends[i] : ends[i + 1]], [w / norm for w in weights], rtol=1e-5
        )


@EXAMPLES
@given(articles, st.integers(1, 6))
def test_shingles_are_the_distinct_elements_of_the_reprint_view(texts, size):
    tokens = kept(texts)
    built = VectorBuilder(statistics_of(tokens), size).build(tokens)
    found = rows_in(built.shingle_keys, built.shingle_ends)
    for i, row in enumerate(found):
        assert row == list(dict.fromkeys(naive.shingle_elements(terms_of(tokens, i), size)))


@EXAMPLES
@given(articles, st.randoms(use_true_random=False))
def test_furniture_is_left_out_but_counted(texts, rng):
    tokens = kept(texts)
    statistics = statistics_of(tokens)
    for j in range(len(tokens.flags)):
        tokens.flags[j] |= FURNITURE * (rng.random() < 0.3)
    built = VectorBuilder(statistics, 5).build(tokens)
    assert built.n_tokens.tolist() == np.diff(tokens.indptr).tolist()
    for i, row in enumerate(rows_in(built.term_keys, built.term_ends)):
        assert row == list(dict.fromkeys(terms_of(tokens, i)))


def test_a_term_is_a_name_where_the_collection_or_else_the_article_spells_it_so():
    bodies = ("we saw Paris and Paris and rain in 1998 . so Paris", "the rain fell on Fog")
    tokens = kept([(None, body) for body in bodies])
    flags = {int(t): int(f) for t, f in zip(tokens.terms, tokens.flags, strict=True)}
    statistics = statistics_of(tokens)
    built = VectorBuilder(statistics, 5).build(tokens)
    kinds = dict(zip(built.term_keys.tolist(), built.term_kinds.tolist(), strict=True))
    for term, kind in kinds.items():
        spelling = int(statistics.spelling[term % 2**BITS])
        is_name = spelling > 0 or (spelling == 0 and flags[term] & CAPITAL)
        assert kind == (NUMBER if flags[term] & DIGIT else NAME if is_name else 0)
    assert Counter(kinds.values()) == {0: 9, NAME: 2, NUMBER: 1}


def test_written_groups_hold_what_one_batch_would(tmp_path):
    """Rows go on counting over batches and groups; an article without tokens has empty rows."""
    body = "Story {} of the bridge in Paris cost {} coins and then more rain fell"
    collection = [("s", None, body.format(i, 7 * i)) for i in range(9)]
    collection[4] = ("s", None, "...")
    settings = config("furniture.min_articles=100")
    signing = sign(tmp_path, collection, settings, n_groups=3)
    whole = VectorBuilder(TermStatistics.load(signing.statistics.path), 5).build(
        kept([(title, body) for _, title, body in collection])
    )
    files = [
        vectors.write_group(group, tokens, signing.furniture, signing.statistics, settings, tmp_path)
        for group, tokens in zip(signing.groups, signing.tokens, strict=True)
    ]
    assert [f.first_row for f in files] == [g.first_row for g in signing.groups]
    assert sum(f.n_articles for f in files) == len(collection)
    loaded = [f.load() for f in files]
    arrays = (("term_weights", "term"), ("bigram_keys", "bigram"), ("shingle_keys", "shingle"))
    for name, ends in ((array, f"{space}_ends") for array, space in arrays):
        found = [row for v in loaded for row in rows_in(getattr(v, name), getattr(v, ends))]
        assert found == rows_in(getattr(whole, name), getattr(whole, ends))
    assert loaded[0].term_keys.flags.writeable is False


def test_a_group_of_empty_articles_can_be_loaded(tmp_path):
    settings = config()
    signing = sign(tmp_path, [("s", None, "..."), ("s", None, "!")], settings, n_groups=1)
    files = vectors.write_group(
        signing.groups[0], signing.tokens[0], signing.furniture, signing.statistics, settings, tmp_path
    )
    loaded = files.load()
    assert loaded.term_ends.tolist() == loaded.shingle_ends.tolist() == [0, 0]
    assert len(loaded.bigram_keys) == 0
