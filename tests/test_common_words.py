"""The lists of common words: what is kept of the texts that they are counted over."""

from __future__ import annotations

from pathlib import Path

from benchmarks.common_words import count_news, count_stories


def test_words_of_few_stories_are_left_out(tmp_path: Path):
    stories = [f'{{"story": "{k}", "text": "The pier of town{chr(97 + k)} closed"}}' for k in range(5)]
    (tmp_path / "stories.jsonl").write_text("\n".join(stories), encoding="utf-8")
    assert count_stories([tmp_path / "stories.jsonl"]) == [
        ("closed", 1.0),
        ("of", 1.0),
        ("pier", 1.0),
        ("the", 1.0),
    ]


def test_words_of_news_are_of_several_sets_and_names_of_nearly_all():
    """Of five sets `pier` is in all, `Monday` in four, `hull` and `Perth` are in three, `oddly` in two."""
    text = "On{monday} the pier{hull}{perth}{oddly} of Town{letter} was closed."
    articles = []
    for k, name in enumerate("abcde"):
        words = {
            "monday": " Monday" if k < 4 else "",
            "hull": " hull" if k < 3 else "",
            "perth": " Perth" if k < 3 else "",
            "oddly": " oddly" if k < 2 else "",
        }
        articles += [(name, text.format(letter=name, **words))] * 2
    shares = dict(count_news(articles))
    assert shares.keys() == {"on", "monday", "the", "pier", "hull", "of", "was", "closed"}
    assert (shares["pier"], shares["monday"], shares["hull"]) == (1.0, 4 / 5, 3 / 5)


def test_a_word_of_news_must_be_common_and_more_than_once_in_a_set():
    def count_of(times: int, n: int) -> set[str]:
        texts = [f"the pier{' was' if i < times else ''} closed" for i in range(n)]
        return {word for word, _ in count_news((name, text) for name in "abc" for text in texts)}

    assert "was" in count_of(2, 200)
    assert "was" not in count_of(2, 201)
    assert "was" not in count_of(1, 50)
