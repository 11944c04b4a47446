"""The page's aligner against the run's own, over every pair of members of every cluster of the sample."""

from __future__ import annotations

import json
import re
from itertools import combinations, pairwise

import numpy as np
from command_line import ROOT

from pipeline import aligned, report_tokens

PAGE = ROOT / "pipeline" / "report_page"
ALIGN = """([files, pairs]) => {
  const texts = files.map(([title, body, packed, n, terms, rarity]) =>
    telling(title, body, packed, n, { terms: new Uint32Array(bytes(terms).buffer), rarity: bytes(rarity) }));
  const own = texts.map((text) => text.tokens.filter((token) => !token.furniture));
  const terms = own.map((tokens) => tokens.map((token) => token.term));
  return [terms, pairs.map(([i, j]) => matches(own[i], own[j]))];
}"""


def test_the_page_finds_the_runs_that_the_run_finds(browser, page_path):
    found = re.findall(r'id="data-([\w-]+)">(.*?)</script>', page_path.read_text("utf-8"))
    data = {name: json.loads(content) for name, content in found}
    shape, members = data["overview"]["shape"], data["clusters-0"]["members"]
    texts = []
    for place in members["place"]:
        file = data[shape["text_files"][place // shape["texts_a_file"]]]
        slot = place % shape["texts_a_file"]
        texts.append([*(file[key][slot] for key in ("titles", "texts", "tokens", "n_tokens")),
                      file["terms"], file["rarity"]])  # fmt: skip
    edges = [0, *members["ends"]]
    pairs = [both for a, b in pairwise(edges) for both in combinations(range(a, b), 2)]
    assert len(pairs) > 150
    page = browser.new_page()
    for script in ("data.js", "align.js"):
        page.add_script_tag(content=(PAGE / script).read_text(encoding="utf-8"))
    terms, told = page.evaluate(ALIGN, [texts, pairs])
    page.close()
    nothing = np.zeros(0, np.int64)
    tellings = [aligned.Telling(b"", np.array(own, np.uint32), nothing, nothing, nothing) for own in terms]
    expected = [[list(run) for run in aligned._matches(tellings[i], tellings[j])] for i, j in pairs]
    assert told == expected
    assert sum(map(len, expected)) > 1_000


def test_the_page_reads_tokens_as_they_are_written():
    """The numbers of the format have names on both sides, and the same values."""
    script = (PAGE / "data.js").read_text(encoding="utf-8")
    for name in ("FIRST_CODE", "BACKSLASH", "SURROGATES", "N_SURROGATES"):
        [value] = re.findall(rf"^const {name} = (\w+);", script, re.MULTILINE)
        assert int(value, 0) == getattr(report_tokens, name)
    names, values = re.findall(r"^const \[(\w+_BIT.*?)\] = \[(.*?)\];", script, re.MULTILINE)[0]
    bits = dict(zip(names.split(", "), map(int, values.split(", ")), strict=True))
    assert bits == {name: getattr(report_tokens, name) for name in bits}
