"""An explanation as text: styled on a terminal, the same words without colours elsewhere; or as JSON."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from pipeline.explained import Article, Explanation, Fact, Passage, Term

Part = tuple[str, str]  # text, and rich's style
Line = tuple[Part, ...]

N_CONTRIBUTIONS = 12
BAR = 20  # characters of the longest bar of the waterfall
HEAD, STRONG, DIM, SAME = "bold cyan", "bold", "dim", "green"
# Names and numbers in passages: those that the other article has too, and those that it lacks.
BOTH, ONE_ONLY = "bold green", "bold red"
# A text from the web must not be able to tell the terminal what to do.
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " ")
VERDICTS = {
    "confirmed": "the pair is confirmed",
    "below_threshold": "not confirmed: the probability is below the threshold",
    "screened": "not confirmed: the screen dropped the pair, its terms leave no hope",
    "not_found": "not confirmed: no view found the pair, so a run never compares it",
    "not_compared": "not confirmed: the run didn't compare the pair, its buckets were too large",
}


def print_explanation(found: Explanation, as_json: bool) -> None:
    """Print to stdout."""
    if as_json:
        print(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        return
    lines = explanation_lines(found)
    if not sys.stdout.isatty():
        print("\n".join("".join(text for text, _ in line).rstrip() for line in lines))
        return
    console = Console(highlight=False)
    for line in lines:
        console.print(Text.assemble(*line))


def explanation_lines(found: Explanation) -> Iterator[Line]:
    """The explanation's lines, from the verdict to the passages; control characters become spaces."""
    return (tuple((text.translate(_CONTROLS), style) for text, style in line) for line in _lines(found))


def _lines(found: Explanation) -> Iterator[Line]:
    sections = (_articles, _verdict, _views, _measures, _terms, _waterfall, _passages)
    for k, section in enumerate(sections):
        if k:
            yield ()
        yield from section(found)
    if found.notes:
        yield ()
    for note in found.notes:
        yield ((f"Note: {note}", DIM),)


def _articles(found: Explanation) -> Iterator[Line]:
    for side, article in (("A", found.a), ("B", found.b)):
        yield ((f"{side}  ", HEAD), (article.name, STRONG), (_about(article), DIM))
        if article.title:
            yield ((f"   {' '.join(article.title.split())}", ""),)


def _about(article: Article) -> str:
    source = f"  {article.source}" if article.source else ""
    furniture = f", {article.n_furniture_tokens:,} in furniture" if article.n_furniture_tokens else ""
    cluster = f"  cluster {article.cluster_id}" if article.cluster_id else ""
    return f"{source}  {article.n_tokens:,} tokens{furniture}{cluster}"


def _verdict(found: Explanation) -> Iterator[Line]:
    if found.is_one_cluster is not None:
        yield ((f"{'One cluster' if found.is_one_cluster else 'Different clusters'}; ", STRONG),
               (f"{VERDICTS[found.verdict]}.", STRONG))  # fmt: skip
    else:
        yield ((f"{VERDICTS[found.verdict].capitalize()}.", STRONG),)
    if found.is_one_cluster is False and found.verdict == "confirmed":
        why = (
            "An excerpt doesn't join clusters." if found.relation == "excerpt"
            else "Average linkage broke the chain between them: too few of their neighbours agree."
        )  # fmt: skip
        yield ((f"  {why}", ""),)
    if found.path:
        yield (("  linked by ", ""), (found.path[0].article_id_from, STRONG))
        for link in found.path:
            yield ((f"    {link.relation}, {link.probability:.3f} -> ", ""), (link.article_id_to, STRONG))
    conditional = "" if found.verdict == "confirmed" else "would be "
    yield (("  relation  ", DIM), (f"{conditional}{found.relation}: {found.relation_rule}", ""))


def _views(found: Explanation) -> Iterator[Line]:
    yield (("Views", HEAD), (f"  found by {found.found_by or 'none'}", ""))
    for view in found.views:
        yield (
            (f"  {view.name:<8}", STRONG if view.finds else ""),
            (f" resemblance about {view.estimate:.3f} (at least {view.minimum}), ", ""),
            (f"{view.shared_bands} of {view.bands} bands equal: {'finds it' if view.finds else 'does not'}",
             ""),
        )  # fmt: skip
    passes = "passes" if found.screen.passes else "is dropped"
    yield ((f"  screen   {found.screen.probability:.3f} by the terms alone "
            f"(at least {found.screen.threshold:.3f}): {passes}", ""),)  # fmt: skip


def _measures(found: Explanation) -> Iterator[Line]:
    yield (("Measures", HEAD),)
    for name, value in found.measures.items():
        yield ((f"  {name:<20} {value:.3f}", ""),)
    yield ((f"  {'longest_run':<20} {found.longest_run} shingles", ""),)
    yield ((f"  {'quoted':<20} {found.quoted} shingles", ""),)


def _terms(found: Explanation) -> Iterator[Line]:
    yield (("Terms that add most to the cosine", HEAD), ("  share of it, rarity", DIM))
    for term in found.shared_terms:
        yield _term(term)
    for side, alone in (("A", found.alone_a), ("B", found.alone_b)):
        yield ()
        yield ((f"Names and numbers that only {side} has", HEAD), ("  share of its weight, rarity", DIM))
        yield from map(_term, alone)
        if not alone:
            yield (("  none", DIM),)


def _term(term: Term) -> Line:
    return ((f"  {term.share:6.1%} {term.rarity:5.1f}  ", ""), (term.text, STRONG), (f"  {term.kind}", DIM))


def _waterfall(found: Explanation) -> Iterator[Line]:
    fall = found.waterfall
    yield (("Probability", HEAD), ("  log-odds of each feature, running total", DIM))
    longest = max(abs(part.log_odds) for part in fall.contributions) or 1.0
    total = fall.intercept
    yield ((f"  {'intercept':<30} {'':8} {fall.intercept:+7.2f} {total:+7.2f}", ""),)
    for part in fall.contributions[:N_CONTRIBUTIONS]:
        total += part.log_odds
        bar = "#" * round(BAR * abs(part.log_odds) / longest)
        yield ((f"  {part.feature:<30} {part.value:8.3f} {part.log_odds:+7.2f} {total:+7.2f}  ", ""),
               (bar, "green" if part.log_odds > 0 else "red"))  # fmt: skip
    rest = fall.contributions[N_CONTRIBUTIONS:]
    if rest:
        name = f"{len(rest)} other features"
        yield ((f"  {name:<30} {'':8} {fall.total - total:+7.2f} {fall.total:+7.2f}", ""),)
    yield ((f"  probability {fall.by_rule:.4f} by the rule (threshold {fall.threshold})", STRONG),)
    if fall.probability > fall.by_rule:
        yield ((f"  counts as {fall.probability:g}: the bodies are equal, which leaves no doubt", STRONG),)
    elif fall.probability < fall.by_rule:
        why = "an article is too short to be called reworded"
        yield ((f"  counts as {fall.probability:g}: {why}", STRONG),)


def _passages(found: Explanation) -> Iterator[Line]:
    aligned = found.alignment
    yield (
        ("Side by side", HEAD),
        (f"  {aligned.n_tokens_same:,} tokens are the same, in the same order. "
         "Names and numbers: [in both] {in one only}", DIM),
    )  # fmt: skip
    if aligned.n_tokens_left_out:
        yield ((f"  the last {aligned.n_tokens_left_out:,} tokens were not aligned: too long", DIM),)
    if aligned.is_coarse:
        yield (
            (
                "  more may be the same: the two repeat themselves too much to look for all of it",
                DIM,
            ),
        )
    for passage in aligned.passages:
        yield from _passage(passage)


def _passage(passage: Passage) -> Iterator[Line]:
    if passage.same:
        yield from _wrapped("  =  ", passage.text_a, (), SAME)
        return
    for mark, text, facts in (("A", passage.text_a, passage.facts_a), ("B", passage.text_b, passage.facts_b)):
        if text:
            yield from _wrapped(f"  {mark}  ", text, facts, "")


def _wrapped(lead: str, text: str, facts: Iterable[Fact], style: str) -> Iterator[Line]:
    """The text in lines, its names and numbers in brackets."""
    marked, done = [], 0
    for fact in facts:
        if fact.begin >= done:
            left, right = ("[", "]") if fact.in_other else ("{", "}")
            marked += [text[done : fact.begin], left, text[fact.begin : fact.end], right]
            done = fact.end
    marked.append(text[done:])
    lines = textwrap.wrap(
        " ".join("".join(marked).split()), 100, break_long_words=False, break_on_hyphens=False
    )
    for k, line in enumerate(lines):
        yield ((lead if k == 0 else " " * len(lead), DIM), *_styled(line, style))


def _styled(line: str, style: str) -> Iterator[Part]:
    """The parts of a line; what stands in brackets of ours gets a style of its own."""
    at = 0
    while at < len(line):
        begins = [place for place in (line.find("[", at), line.find("{", at)) if place >= 0]
        begin = min(begins, default=len(line))
        end = line.find("]" if line[begin : begin + 1] == "[" else "}", begin) + 1 or len(line)
        if begin > at:
            yield line[at:begin], style
        if begin < len(line):
            yield line[begin:end], BOTH if line[begin] == "[" else ONE_ONLY
        at = max(end, begin)
