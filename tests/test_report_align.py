"""The page's aligner against the run's own, over every pair of members of every cluster of the sample, and
either of two articles on the left."""

from __future__ import annotations

import json
import re
from itertools import combinations, pairwise

import numpy as np
import pytest
from command_line import ROOT

from pipeline import aligned, report_tokens

PAGE = ROOT / "pipeline" / "report_page"
TEXTS = """files.map(([title, body, packed, n, terms, rarity]) => telling(title, body, packed, n,
    { terms: new Uint32Array(bytes(terms).buffer), rarity: bytes(rarity) }))"""
MATCHES = f"""([files, pairs]) => {{
  const texts = {TEXTS};
  const own = texts.map((text) => text.tokens.filter((token) => !token.furniture));
  const terms = own.map((tokens) => tokens.map((token) => token.term));
  return [terms, pairs.map(([i, j]) => matches(own[i], own[j]))];
}}"""
# Of two texts what is marked in the left and in the right one, and the counts.
SIDES = f"""([files, pairs]) => {{
  const texts = {TEXTS};
  return pairs.map(([i, j]) => {{
    const {{ left, right, ...counts }} = align(texts[i], texts[j]);
    const marks = [left, right].map(({{ tokens, sentences }}) => ({{
      terms: tokens.map((token) => token.term),
      runs: tokens.map((token) => token.run),
      links: sentences.map((sentence) => sentence.link),
      facts: tokens.map((token) => [token.isOnly, token.isBoth]),
    }}));
    return [...marks, counts];
  }});
}}"""


def twin(a: aligned.Telling, b: aligned.Telling) -> list:
    runs, is_coarse = aligned._matches(a, b)
    return [[list(run) for run in runs], is_coarse]


def telling(terms: list[int]) -> aligned.Telling:
    """A text of these terms, of which nobody asks where they stand."""
    nowhere = np.zeros(len(terms), np.int64)
    return aligned.Telling(b"", np.array(terms, np.uint32), nowhere, nowhere, nowhere)


@pytest.fixture(scope="module")
def data(page_path) -> dict[str, dict]:
    found = re.findall(r'id="data-([\w-]+)">(.*?)</script>', page_path.read_text("utf-8"))
    return {name: json.loads(content) for name, content in found}


def texts_at(data: dict[str, dict], places: list[int]) -> list[list]:
    """Title, body, packed tokens, their number, terms and rarity of the texts at these places."""
    shape = data["overview"]["shape"]
    texts = []
    for place in places:
        file = data[shape["text_files"][place // shape["texts_a_file"]]]
        slot = place % shape["texts_a_file"]
        texts.append([*(file[key][slot] for key in ("titles", "texts", "tokens", "n_tokens")),
                      file["terms"], file["rarity"]])  # fmt: skip
    return texts


def told_by(browser, program: str, argument: list) -> list:
    page = browser.new_page()
    for script in ("data.js", "align.js"):
        page.add_script_tag(content=(PAGE / script).read_text(encoding="utf-8"))
    # One string: Playwright takes apart what is nested, number by number.
    told = page.evaluate(f"own => JSON.stringify(({program})(own))", argument)
    page.close()
    return json.loads(told)


def test_the_page_finds_the_runs_that_the_run_finds(browser, data):
    members = data["clusters-0"]["members"]
    edges = [0, *members["ends"]]
    pairs = [both for a, b in pairwise(edges) for both in combinations(range(a, b), 2)]
    assert len(pairs) > 150
    terms, told = told_by(browser, MATCHES, [texts_at(data, members["place"]), pairs])
    tellings = [telling(own) for own in terms]
    expected = [twin(tellings[i], tellings[j]) for i, j in pairs]
    assert told == expected
    assert sum(len(runs) for runs, _ in expected) > 1_000
    assert {is_coarse for _, is_coarse in expected} == {False}


def runs_marked(side: dict) -> list[list[int]]:
    """The tokens of each marked run, by its number."""
    found: dict[int, list[int]] = {}
    for at, run in enumerate(side["runs"]):
        if run >= 0:
            found.setdefault(run, []).append(at)
    return [found[run] for run in sorted(found)]


def runs_explained(a: aligned.Telling, b: aligned.Telling) -> tuple[list[list[int]], list[list[int]]]:
    """The tokens of a and of b that `respun explain` shows as the same, run by run."""
    found: tuple[list[list[int]], list[list[int]]] = ([], [])
    done = [0, 0]
    for passage in aligned.align(a, b, {}, {}).passages:
        for side, n in enumerate((passage.n_tokens_a, passage.n_tokens_b)):
            if passage.same:
                found[side].append(list(range(done[side], done[side] + n)))
            done[side] += n
    return found


def test_of_all_confirmed_pairs_either_may_be_on_the_left(browser, data, tables):
    """Marks and counts stay, and the runs are those of `respun explain`, whichever way it is asked."""
    known = [data["clusters-0"]["members"], *data["between"]["articles"]]
    place: dict[str, int] = {}
    for one in known:
        ids, places = one["article_id"], one["place"]
        place |= dict(zip(ids, places, strict=True)) if isinstance(ids, list) else {ids: places}
    ids = sorted(place)
    pairs = [[ids.index(pair[f"article_id_{side}"]) for side in "lr"] for pair in tables["confirmed_pairs"]]
    assert len(pairs) > 150
    both = [pairs, [pair[::-1] for pair in pairs]]
    texts = texts_at(data, [place[article_id] for article_id in ids])
    told, back = (told_by(browser, SIDES, [texts, way]) for way in both)
    assert back == [[right, left, counts] for left, right, counts in told]
    for left, right, counts in (*told, *back):
        expected = runs_explained(telling(left["terms"]), telling(right["terms"]))
        assert (runs_marked(left), runs_marked(right)) == expected
        assert counts["nSame"] == sum(map(len, expected[0]))
    assert sum(counts["nReworded"] for *_, counts in told) > 100


def few_words(n_words: int, n_tokens: int) -> tuple[list[int], list[int]]:
    """Two texts of few words, and here and there a passage that both have."""
    random = np.random.default_rng(7)
    texts = [random.integers(0, n_words, n_tokens).tolist() for _ in range(2)]
    for own in texts:
        for at in range(0, n_tokens, 100):
            own[at : at + 8] = range(100 + at, 108 + at)
    return texts[0], texts[1]


def longer_and_longer() -> tuple[list[int], list[int]]:
    """Few words, then passages that both have, each longer than the one before: found from the end."""
    texts = few_words(3, 2_500)
    for own, apart in zip(texts, (10**6, 10**7), strict=True):
        own += [k for n in range(12, 70) for k in (*range(1_000 * n, 1_000 * n + n), apart + n)]
    return texts


def every_fourth(apart: int) -> list[int]:
    """A text of which every fourth word is its own."""
    return [word for k in range(1_250) for word in (k, k, k, apart + k)]


GOAL, SAVE = 7, 8
STORY = list(range(1_000, 1_300))


@pytest.mark.parametrize(
    ("a", "b", "n_same", "is_coarse"),
    [
        # A story told by both, and one word again and again behind it.
        (STORY + [GOAL] * 4_400, STORY + ([GOAL] * 9 + [SAVE]) * 440, 300 + 9, True),
        ([GOAL] * 5_000, [GOAL] * 5_000, 5_000, False),
        ([GOAL] * 5_000, [GOAL] * 3_000, 3_000, False),
        ([1, 2, 3] + [GOAL] * 900, [4, 5, 6] + [GOAL] * 900, 900, False),
        (*few_words(2, 1_200), None, True),  # too many places
        (*longer_and_longer(), None, True),  # too many steps
        (*few_words(3, 900), None, False),
        # Each run is found in what the ones before have left, of which the most is left each time.
        (every_fourth(10**6), every_fourth(10**7), 3_750, False),
        ([k % 99 for k in range(5_000)], [k % 98 for k in range(5_000)], None, False),
    ],
)  # fmt: skip
def test_the_two_agree_where_texts_repeat_themselves(browser, a, b, n_same, is_coarse):
    page = browser.new_page()
    page.add_script_tag(content=(PAGE / "align.js").read_text(encoding="utf-8"))
    told = page.evaluate("both => matches(...both.map((own) => own.map((term) => ({ term }))))", [a, b])
    page.close()
    assert told == twin(telling(a), telling(b))
    runs, was_coarse = told
    assert was_coarse == is_coarse
    assert n_same in (None, sum(size for *_, size in runs))
    done_a = done_b = 0
    for at_a, at_b, size in runs:
        assert at_a >= done_a
        assert at_b >= done_b
        assert a[at_a : at_a + size] == b[at_b : at_b + size]
        done_a, done_b = at_a + size, at_b + size


def test_the_page_has_the_limits_of_the_run():
    script = (PAGE / "align.js").read_text(encoding="utf-8")
    for name in ("MIN_RUN", "MAX_TOKENS", "MAX_PLACES", "MAX_STEPS"):
        assert int(re.findall(rf"^const {name} = (\d+);", script, re.MULTILINE)[0]) == getattr(aligned, name)


def test_the_page_reads_tokens_as_they_are_written():
    """The numbers of the format have names on both sides, and the same values."""
    script = (PAGE / "data.js").read_text(encoding="utf-8")
    for name in ("FIRST_CODE", "BACKSLASH", "SURROGATES", "N_SURROGATES"):
        [value] = re.findall(rf"^const {name} = (\w+);", script, re.MULTILINE)
        assert int(value, 0) == getattr(report_tokens, name)
    names, values = re.findall(r"^const \[(\w+_BIT.*?)\] = \[(.*?)\];", script, re.MULTILINE)[0]
    bits = dict(zip(names.split(", "), map(int, values.split(", ")), strict=True))
    assert bits == {name: getattr(report_tokens, name) for name in bits}
