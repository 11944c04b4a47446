"""Signatures of both views: whole-stage results against the plain twins and datasketch."""

from __future__ import annotations

import itertools

import naive
import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given
from hypothesis import strategies as st
from stages import config, kept, sign
from texts import EXAMPLES, JIT_OFF, collections, plain_texts, strings

from pipeline import candidates, signatures
from pipeline.bags import bag
from pipeline.common_words import FITTED_ARTICLES, PRIOR_ARTICLES
from pipeline.minhash import EMPTY, permutations
from pipeline.signatures import REPRINT, RESPUN, RareTerms, _band_keys, _sign_shingles, bands, sign_reprint
from pipeline.tables import read_ipc
from pipeline.terms import TermStatistics
from pipeline.token_scan import FURNITURE

# Small views keep the plain twins quick.
SMALL = ("reprint.n_perm=16", "respun.n_bands=6", "respun.rows_per_band=2")


@EXAMPLES
@given(st.lists(plain_texts, max_size=4), st.integers(1, 6), st.integers(0, 1000))
def test_the_reprint_view_is_datasketch_over_naive_shingles(texts, k, seed):
    settings = config(*SMALL, f"reprint.shingle_size={k}", f"seed={seed}")
    found = sign_reprint(strings(texts), settings)
    assert found.shape == (len(texts), 16)
    for text, signature in zip(texts, found, strict=True):
        theirs = MinHash(num_perm=16, seed=seed, scheme="affine32", hashfunc=lambda h: h)
        for element in naive.shingle_elements([t.term for t in naive.tokenise_text(text)], k):
            theirs.update(element)
        np.testing.assert_array_equal(signature, theirs.hashvalues)


@EXAMPLES
@given(st.integers(1, 6), st.integers(1, 4), st.data())
def test_band_keys_are_the_naive_twins(n_bands, rows, data):
    row = st.lists(st.integers(0, 2**32 - 1), min_size=n_bands * rows + 1, max_size=n_bands * rows + 1)
    signatures = data.draw(st.lists(row, min_size=1, max_size=4))
    out = np.full((n_bands + 2, len(signatures) + 2), 7, np.uint32)
    _band_keys(np.array(signatures, np.uint32), n_bands, rows, out, 2, 1)
    expected = np.array([naive.band_keys(s, n_bands, rows) for s in signatures], np.uint32).T
    np.testing.assert_array_equal(out[2:, 1:-1], expected)
    assert (out[:2] == 7).all()
    assert (out[:, [0, -1]] == 7).all()


@pytest.mark.parametrize(("threshold", "n_perm"), [(0.5, 128), (0.3, 128), (0.8, 64), (0.5, 256)])
def test_bands_of_the_reprint_view_are_datasketch_s_optimum(threshold, n_perm):
    plan = bands(config(f"reprint.threshold={threshold}", f"reprint.n_perm={n_perm}"))
    lsh = MinHashLSH(threshold=threshold, num_perm=n_perm)
    assert (plan.n_reprint, plan.rows_reprint) == (lsh.b, lsh.r)
    assert (plan.n_respun, plan.rows_respun) == (config().respun.n_bands, config().respun.rows_per_band)
    assert plan.n == plan.n_reprint + plan.n_respun


@EXAMPLES
@given(collections)
def test_rare_terms_are_the_naive_twins(articles):
    batch = kept(articles)
    pairs = list(zip(batch.terms.tolist(), batch.flags.tolist(), strict=True))
    own = [pairs[a:b] for a, b in itertools.pairwise(batch.indptr)]
    df, spelling = naive.document_frequencies(own, 8)
    statistics = TermStatistics(PRIOR_ARTICLES + 10_000, np.column_stack((df, spelling)).astype(np.int32))
    settings = config("respun.name_weight=3", "respun.number_weight=2", "respun.min_idf=8.1").respun
    # ln(n / df) >= 8.1, without the prior's articles.
    most = max(d for d in range(1, 100) if np.log(10_000 / d) >= 8.1)
    assert most == 3
    rare = RareTerms(statistics, settings)
    elements, indptr = rare.elements(bag(batch)[0])
    found = [elements[a:b].tolist() for a, b in itertools.pairwise(indptr)]
    assert found == [naive.rare_elements(article, df, spelling, most, 2, 1) for article in own]


ARTICLES = [
    ("a.com", "Bridge to close", "The bridge over the Soar will close on 5 May for repairs.\nLeave a Reply"),
    ("a.com", None, "Ministers met to discuss 1,200 new rules on the price of bread.\nLeave a Reply"),
    ("a.com", "Other title", "The BRIDGE over the Soar will close, on 5 May, for repairs.\nleave a reply"),
    ("b.com", None, "Short one"),
    (None, "", "日本語の記事です"),
    ("a.com", "Storm", "A storm brought down trees across the county and cut off the power.\nLeave a Reply"),
    ("a.com", None, "Seven people were hurt when a bus left the road near Hinckley.\nLeave a Reply"),
    ("a.com", None, "The club has signed a keeper from Porto for a fee of two million.\nLeave a Reply"),
]  # fmt: skip


@pytest.fixture(scope="module")
def signing(tmp_path_factory):
    return sign(tmp_path_factory.mktemp("signing"), ARTICLES, config(*SMALL))


def test_the_stage_leaves_what_the_naive_twins_make(signing):
    settings = config(*SMALL)
    plan = bands(settings)
    statistics = TermStatistics.load(signing.statistics)
    df, spelling = statistics.df.tolist(), statistics.spelling.tolist()
    most = int(FITTED_ARTICLES / np.exp(settings.respun.min_idf))
    keys = np.concatenate([np.load(s.keys.path) for s in signing.signed], axis=1)
    places = np.concatenate([np.load(s.places.path) for s in signing.signed])
    assert keys.shape == (plan.n, len(ARTICLES))
    assert places.shape == (len(ARTICLES), 16 + 12)
    for i, (_, title, body) in enumerate(ARTICLES):
        tokens = naive.tokenise(title or "", body)
        own = [(t.term, t.flags) for t in tokens if not body.lower().endswith("reply") or t.line < 1]
        shingles = naive.shingle_elements([term for term, _ in own], 5)
        rare = naive.rare_elements(
            own, df, spelling, most, settings.respun.name_weight - 1, settings.respun.number_weight - 1
        )
        a, b = (p.tolist() for p in permutations(16, 1))
        reprint = naive.signature(shingles, a, b)
        a, b = (p.tolist() for p in permutations(12, 1))
        respun = naive.signature(rare, a, b)
        assert places[i].tolist() == [p & 0xFF for p in reprint + respun]
        assert keys[:, i].tolist() == [
            *naive.band_keys(reprint, plan.n_reprint, plan.rows_reprint), *naive.band_keys(respun, 6, 2)
        ]  # fmt: skip


def test_articles_are_described(signing):
    found = [row for s in signing.signed for row in read_ipc(s.articles.path).to_pylist()]
    for row, (_, title, body) in zip(found, ARTICLES, strict=True):
        tokens = naive.tokenise(title or "", body)
        assert row["n_tokens"] == len(tokens)
        assert row["text_hash"] == naive.sequence_hash(t.term for t in naive.tokenise_text(body))
        assert row["n_furniture_tokens"] == (3 if body.lower().endswith("reply") else 0)
        # "Short one" has no word that is rare in news at large.
        assert row["is_signed"] == (REPRINT if body == "Short one" else REPRINT | RESPUN)
    hashes = [row["text_hash"] for row in found]
    # The same body after normalising has the same hash, whatever the titles.
    assert hashes[0] == hashes[2]
    assert len(set(hashes)) == len(hashes) - 1


def test_furniture_lines_name_their_articles(signing):
    lines = [row for s in signing.signed for row in read_ipc(s.lines.path).to_pylist()]
    assert sorted(row["row"] for row in lines) == [0, 1, 2, 5, 6, 7]
    assert len({row["key"] for row in lines}) == 1


def test_a_line_that_an_article_repeats_is_listed_once(tmp_path):
    pages = [("a.com", None, f"{'word ' * 9}{i}\nShare\nShare") for i in range(5)]
    [signed] = sign(tmp_path, pages, config(*SMALL), n_groups=1).signed
    assert [row["row"] for row in read_ipc(signed.lines.path).to_pylist()] == [0, 1, 2, 3, 4]
    assert read_ipc(signed.articles.path)["n_furniture_tokens"].to_pylist() == [2] * 5


def test_groups_change_nothing(signing, tmp_path):
    [whole] = sign(tmp_path, ARTICLES, config(*SMALL), n_groups=1).signed
    for name, axis in (("keys", 1), ("places", 0)):
        parts = [np.load(getattr(s, name).path) for s in signing.signed]
        assert len(parts) == 2
        np.testing.assert_array_equal(np.load(getattr(whole, name).path), np.concatenate(parts, axis))


SHORT = ["Yes", "No", "Sold out", "Out sold", "One more time", "5", "日本", "Kein Wort", "Read more soon"]


def test_articles_shorter_than_a_shingle_share_no_bucket(tmp_path):
    signing = sign(tmp_path, [(None, None, body) for body in SHORT], config())
    n_bands = bands(config()).n_reprint
    keys = np.concatenate([np.load(s.keys.path) for s in signing.signed], axis=1)[:n_bands]
    assert [len(set(row)) for row in keys.tolist()] == [len(SHORT)] * n_bands


# Six pages whose last line is furniture, two articles that are that line only, two without a token.
PAGES = [("a.com", None, f"{' '.join(f'w{i}x{k}' for k in range(12))}\nShare") for i in range(6)]
NOTHING_OF_THEIR_OWN = [
    ("a.com", None, "Share"), ("a.com", None, "SHARE!"), (None, None, "..."), (None, None, ""),
]  # fmt: skip


def test_what_has_no_token_of_its_own_is_not_signed(tmp_path):
    signing = sign(tmp_path, PAGES + NOTHING_OF_THEIR_OWN, config(*SMALL))
    is_signed = [v for s in signing.signed for v in read_ipc(s.articles.path)["is_signed"].to_pylist()]
    assert is_signed == [REPRINT | RESPUN] * 6 + [0] * 4
    assert (sign_reprint(strings(["", "..."]), config()) == EMPTY).all()


@pytest.mark.skipif(JIT_OFF, reason="128 permutations of many articles take long without the JIT")
def test_short_and_empty_articles_make_no_candidate_pair(tmp_path):
    articles = [(None, None, body) for body in [*SHORT, "read MORE, soon"]] + PAGES + NOTHING_OF_THEIR_OWN
    signing = sign(tmp_path, articles, config())
    pairs = candidates.merge([candidates.find_in_bands(signing.signed, 0, 1, config(), tmp_path)], tmp_path)
    found = {(row["left"], row["right"]) for row in read_ipc(pairs.path).to_pylist()}
    copies = (SHORT.index("Read more soon"), len(SHORT))
    assert copies in found
    # "Sold out" and "Out sold" share both words and may be compared; nothing else has a word in common.
    assert found <= {copies, (SHORT.index("Sold out"), SHORT.index("Out sold"))}


def test_furniture_is_left_out_of_both_views(signing):
    batch = kept([(None, "a b c d e f\nx y z")])
    batch.flags[-3:] |= FURNITURE
    settings = config(*SMALL)
    statistics = TermStatistics.load(signing.statistics)
    rare = RareTerms(statistics, settings.respun)
    alone = kept([(None, "a b c d e f")])
    np.testing.assert_array_equal(rare.elements(bag(batch)[0])[0], rare.elements(bag(alone)[0])[0])
    np.testing.assert_array_equal(
        _sign_shingles(batch, settings)[0], sign_reprint(strings(["a b c d e f"]), settings)
    )


def test_what_is_rare_is_a_share_of_small_collections_and_ever_fewer_articles_in_large_ones():
    def most(n: int) -> int:
        return signatures.most_articles(n + PRIOR_ARTICLES, 4.0)

    # A collection that nothing is added to, and an index that began before anything was.
    assert [signatures.most_articles(n, 4.0) for n in (10_264, 25_000)] == [183, 274]
    assert [most(n) for n in (30_000, 40_000, 50_000)] == [549, 732, 915]
    # From there on the count falls with the root of the size, without a step, and not below 54.
    assert [most(n) for n in (50_001, 100_000, 200_000, 800_000)] == [915, 647, 457, 228]
    assert [most(n) for n in (10**6, 3 * 10**6, 10**8)] == [204, 118, 54]
    assert signatures.most_articles(10**6, 30.0) == 2
