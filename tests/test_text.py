"""Kept tokens: lines against the plain twin, and the way to a scratch file and back."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import example, given
from stages import kept, tokenised
from texts import EXAMPLES, collections, strings

from pipeline.section_units import cut_units
from pipeline.text import keep_units, read_kept, read_units
from pipeline.tokens import buffers, tokenise

ARRAYS = ("terms", "flags", "indptr", "n_title", "line_keys", "line_stops", "line_indptr", "longest")


@EXAMPLES
@given(collections)
@example([])
@example([("Only a title", ""), (None, ""), ("", "\n.\n"), (None, "a b\n\nc d\ne")])
def test_lines_are_those_of_the_naive_twin(articles):
    found = kept(articles)
    assert found.n_articles == len(articles)
    starts, ends = found.line_starts, found.line_ends
    assert len(starts) == len(ends) == len(found.line_keys) == found.line_indptr[-1]
    for i, (title, body) in enumerate(articles):
        lines = [[t.term for t in line] for line in naive.lines_of(naive.tokenise_text(body))]
        own = slice(found.line_indptr[i], found.line_indptr[i + 1])
        hashes = [naive.sequence_hash(line) for line in lines]
        assert found.line_keys[own].tolist() == hashes
        spans = zip(starts[own], ends[own], strict=True)
        assert [found.terms[begin:end].tolist() for begin, end in spans] == lines
        assert found.longest[i] == (naive.sequence_hash(max(lines, key=len)) if lines else 0)
        assert found.n_title[i] == len(naive.tokenise_text(title or ""))


def test_equal_lines_have_equal_keys_wherever_they_stand():
    found = kept([("Leave a Reply", "Leave a reply!\nMore"), (None, "x\n\n  LEAVE: a reply\nleave reply a")])
    first, more, other, same, swapped = found.line_keys.tolist()
    assert first == same
    assert len({first, more, other, swapped}) == 4


def test_the_longest_line_is_the_first_of_equal_ones():
    found = kept([(None, "a b c\nd e f\ng")])
    assert found.longest[0] == found.line_keys[0]


@EXAMPLES
@given(collections)
@example([("A title", ""), (None, "One line.\n\nAnother one.\n"), (None, "12 34\n\n5")])
def test_units_of_a_batch_are_those_of_each_body(articles):
    titles, bodies = strings([t for t, _ in articles]), strings([b for _, b in articles])
    found = keep_units(tokenise(titles, bodies), bodies)
    for i, (_, body) in enumerate(articles):
        own = slice(found.indptr[i], found.indptr[i + 1])
        alone = tokenise(None, strings([body]))
        data = buffers(strings([body]))[0][: len(body.encode())]
        starts, kinds = cut_units(data, alone.begin, alone.end, alone.line, alone.flags)
        assert found.starts[own].tolist() == starts[:-1].tolist()
        assert found.kinds[own].tolist() == kinds.tolist()


@pytest.mark.parametrize("n", [1, 3, 7])
def test_kept_tokens_come_back_from_the_scratch_file(n, tmp_path):
    bodies = ["", "One line\nand two", "日本 x", "\n\n", "a. b", "Ann met Bob\nin 3.5 minutes", "z"][:n]
    articles = [(None, f"Title {i}" if i % 2 else None, body) for i, body in enumerate(bodies)]
    _, [ref] = tokenised(tmp_path, articles, 1)
    assert ref.rows == n
    at = 0
    for batch, (same, units) in zip(read_kept(ref), read_units(ref), strict=True):
        own = articles[at : at + batch.n_articles]
        whole = kept([(title, body) for _, title, body in own])
        for name in ARRAYS:
            read, made = getattr(batch, name), getattr(whole, name)
            np.testing.assert_array_equal(read, made, err_msg=name)
            assert read.dtype == made.dtype, name
            np.testing.assert_array_equal(getattr(same, name), made, err_msg=name)
        texts = strings([body for *_, body in own])
        cut = keep_units(tokenise(None, texts), texts)
        for name in ("starts", "kinds", "indptr"):
            np.testing.assert_array_equal(getattr(units, name), getattr(cut, name), err_msg=name)
        at += batch.n_articles
    assert at == n


def test_flags_may_be_altered_and_the_mapped_rest_may_not(tmp_path):
    _, [ref] = tokenised(tmp_path, [(None, None, "some words here")], 1)
    [batch] = read_kept(ref)
    batch.flags[:] = 255
    assert not batch.terms.flags.writeable
    assert next(read_kept(ref)).flags.tolist() != [255] * 3
