"""Kernels that make up articles: codes of words (`spelling`) are drawn and edited.

Words of the language, of a topic, and names are drawn by Zipf's law (a rank is log-uniform). What an article
is about, its *facts* (names and numbers), follows from its story's seed alone: so two texts on one story
share their facts, and a variant is an edit of the codes of its source.
"""

import numba as nb
import numpy as np

from benchmarks.spelling import (
    CLASS_SHIFT,
    CLOSE_QUOTE,
    COMMA,
    COMMON,
    END,
    FUNCTION,
    MARK,
    N_FUNCTION,
    NAME,
    NUMBER,
    OPEN_QUOTE,
    PARAGRAPH,
    SPECIAL,
    TYPO,
    VALUE,
)
from pipeline.arrays import I64, U32

# How large the vocabularies are. Names have no end in practice: each story brings some of its own.
N_COMMON, N_SPECIAL, N_KNOWN_NAMES, N_GIVEN = 40_000, 250_000, 1 << 20, 400
N_NAMES = 1 << 26
TOPIC_WORDS, TOPIC_NAMES, N_TOPICS = 300, 40, 5_000
N_FACTS, N_FIGURES = 12, 6

_ZERO = np.uint64(0)


@nb.njit(nb.uint64(nb.uint64, nb.uint64), cache=True, nogil=True, inline="always")
def mix(seed, salt):  # type: ignore[no-untyped-def]
    """A 64-bit hash of two numbers (the finaliser of splitmix64, Steele 2014)."""
    z = np.uint64(seed + np.uint64(salt * np.uint64(0x9E3779B97F4A7C15)))
    z = np.uint64((z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
    z = np.uint64((z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
    return np.uint64(z ^ (z >> np.uint64(31)))


@nb.njit(nb.uint64(nb.uint64[::1]), cache=True, nogil=True, inline="always")
def _draw(state):  # type: ignore[no-untyped-def]
    """The next 64 random bits."""
    state[0] = np.uint64(state[0] + np.uint64(0x9E3779B97F4A7C15))
    return mix(state[0], _ZERO)


@nb.njit(nb.float64(nb.uint64), cache=True, nogil=True, inline="always")
def share(bits):  # type: ignore[no-untyped-def]
    """Bits as a number, 0 <= x < 1."""
    return np.float64(bits >> np.uint64(11)) / 9007199254740992.0


@nb.njit(nb.int64(nb.uint64, nb.int64), cache=True, nogil=True, inline="always")
def below(bits, n):  # type: ignore[no-untyped-def]
    """Bits as a number, 0 <= i < n, for n < 2**31."""
    return np.int64(((bits >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@nb.njit(nb.int64(nb.uint64, nb.int64, nb.float64), cache=True, nogil=True, inline="always")
def zipf(bits, n, head):  # type: ignore[no-untyped-def]
    """A rank, 0 <= r < n, of probability about 1 / (r + head): Zipf's law as Mandelbrot has it."""
    return min(n - 1, np.int64(head * np.exp(share(bits) * np.log((n + head) / head)) - head))


@nb.njit(nb.uint32(nb.int64, nb.int64), cache=True, nogil=True, inline="always")
def _code(kind, value):  # type: ignore[no-untyped-def]
    return np.uint32((kind << CLASS_SHIFT) | value)


@nb.njit(nb.uint32(nb.uint64), cache=True, nogil=True)
def _figure(bits):  # type: ignore[no-untyped-def]
    """A number: of one or two digits, a year, or larger."""
    dice = below(bits, 100)
    other = mix(bits, np.uint64(1))
    if dice < 45:
        return _code(NUMBER, 1 + below(other, 60))
    if dice < 60:
        return _code(NUMBER, 1980 + below(other, 47))
    if dice < 85:
        return _code(NUMBER, 60 + below(other, 940))
    return _code(NUMBER, 1000 + below(other, 900_000))


@nb.njit(nb.uint32(nb.uint64, nb.int64), cache=True, nogil=True)
def _topic_name(bits, topic):  # type: ignore[no-untyped-def]
    """One of the names that a topic's articles have in common."""
    rank = zipf(bits, TOPIC_NAMES, 3.0)
    return _code(NAME, N_GIVEN + below(mix(np.uint64(topic), np.uint64(rank + 7)), N_KNOWN_NAMES))


@nb.njit(nb.void(nb.uint64, nb.int64, U32, U32), cache=True, nogil=True)
def facts_of(story, topic, names, figures):  # type: ignore[no-untyped-def]
    """Fills the names (N_FACTS,) and the numbers (N_FIGURES,) of a story: known names, and its own."""
    for k in range(N_FACTS):
        bits = mix(story, np.uint64(100 + k))
        if k % 3 == 0:
            names[k] = _topic_name(bits, topic)
        elif k % 3 == 1:
            names[k] = _code(NAME, N_GIVEN + zipf(bits, N_KNOWN_NAMES, 30.0))
        else:
            names[k] = _code(NAME, N_GIVEN + N_KNOWN_NAMES + below(bits, N_NAMES))
    for k in range(N_FIGURES):
        figures[k] = _figure(mix(story, np.uint64(200 + k)))


@nb.njit(nb.int64(nb.uint64), cache=True, nogil=True)
def _topical(story):  # type: ignore[no-untyped-def]
    """How many of a thousand words of a story are its topic's: few in most stories, many in some."""
    return np.int64(160 + 520 * share(mix(story, np.uint64(9))) ** 3)


@nb.njit(nb.uint32(nb.uint64, nb.int64, nb.int64), cache=True, nogil=True)
def _content_word(bits, topic, topical):  # type: ignore[no-untyped-def]
    """A word of the language, or of the topic; now and then a misspelling that nobody else makes."""
    dice = below(bits, 1000)
    other = mix(bits, np.uint64(2))
    if dice < 4:
        return _code(TYPO, below(other, 1 << 27))
    if dice < 850 - topical:
        return _code(COMMON, zipf(other, N_COMMON, 60.0))
    if dice < 1000 - topical:
        return _code(SPECIAL, zipf(other, N_SPECIAL, 400.0))
    rank = zipf(other, TOPIC_WORDS, 8.0)
    return _code(SPECIAL, zipf(mix(np.uint64(topic), np.uint64(rank + 1000)), N_SPECIAL, 400.0))


@nb.njit(nb.int64(nb.uint64[::1], nb.int64, nb.int64, U32, nb.int64, U32, nb.int64), cache=True, nogil=True)
def _name(state, topic, topical, names, stop, out, n):  # type: ignore[no-untyped-def]
    """Appends a name, half of the time with the given name that belongs to it; returns the new length."""
    dice = below(_draw(state), 100)
    bits = _draw(state)
    if dice < 70:
        name = names[zipf(bits, N_FACTS, 4.0)]
    elif dice < 70 + topical // 24:
        name = _topic_name(bits, topic)
    else:
        name = _code(NAME, N_GIVEN + zipf(bits, N_KNOWN_NAMES, 30.0))
    if dice % 2 and n < stop:
        out[n] = _code(NAME, below(mix(np.uint64(name), np.uint64(3)), N_GIVEN))
        n += 1
    out[n] = name
    return n + 1


@nb.njit(nb.int64(nb.uint64[::1], nb.int64, nb.int64, U32, U32, U32, nb.int64), cache=True, nogil=True)
def _sentence(state, topic, topical, names, figures, out, n):  # type: ignore[no-untyped-def]
    """Appends a sentence; returns the new length. One in eight is a quotation."""
    length = 7 + below(_draw(state), 12) + below(_draw(state), 9)
    is_quote = below(_draw(state), 8) == 0
    if is_quote:
        out[n] = _code(MARK, OPEN_QUOTE)
        n += 1
    was_function = False
    stop = n + length
    while n < stop:
        bits = _draw(state)
        dice = below(bits, 1000)
        if (dice < 560 and not was_function) or dice < 250:
            out[n] = _code(FUNCTION, zipf(_draw(state), N_FUNCTION, 2.0))
            n += 1
            was_function = True
            continue
        was_function = False
        dice = below(_draw(state), 100)
        if dice < 17:
            n = _name(state, topic, topical, names, stop, out, n)
        elif dice < 22:
            figure = _draw(state)
            own = below(figure, 10) < 6
            out[n] = figures[below(_draw(state), N_FIGURES)] if own else _figure(mix(figure, np.uint64(4)))
            n += 1
        else:
            out[n] = _content_word(_draw(state), topic, topical)
            n += 1
            if dice > 94 and n < stop - 2:
                out[n] = _code(MARK, COMMA)
                n += 1
    if is_quote:
        out[n] = _code(MARK, CLOSE_QUOTE)
        out[n + 1] = names[below(_draw(state), N_FACTS)]
        n += 2
    out[n] = _code(MARK, END)
    return n + 1


@nb.njit(nb.int64(nb.uint64, nb.uint64, nb.int64, nb.int64, U32, nb.int64), cache=True, nogil=True)
def compose(story, telling, topic, n_words, out, n):  # type: ignore[no-untyped-def]
    """Appends an article of about `n_words` on a story; returns the new length.

    `telling`: the seed of the wording. `out` must have room for 100 codes more.
    """
    names, figures = np.empty(N_FACTS, np.uint32), np.empty(N_FIGURES, np.uint32)
    facts_of(story, topic, names, figures)
    topical = _topical(story)
    state = np.array([mix(telling, np.uint64(5))])
    stop = n + n_words
    while n < stop:
        for _ in range(1 + below(_draw(state), 3)):
            if n < stop:
                n = _sentence(state, topic, topical, names, figures, out, n)
        out[n] = _code(MARK, PARAGRAPH)
        n += 1
    return n


@nb.njit(nb.int64(nb.uint64, nb.uint64, nb.int64, U32), cache=True, nogil=True)
def headline(story, telling, topic, out):  # type: ignore[no-untyped-def]
    """The codes of a headline on a story; returns how many. Ends as a sentence does."""
    names, figures = np.empty(N_FACTS, np.uint32), np.empty(N_FIGURES, np.uint32)
    facts_of(story, topic, names, figures)
    state = np.array([mix(telling, np.uint64(6))])
    n = 0
    for place in range(6 + below(_draw(state), 5)):
        bits = _draw(state)
        if place == 0 or below(bits, 5) == 0:
            out[n] = names[below(mix(bits, np.uint64(1)), 5)]
        elif below(bits, 4) == 0:
            out[n] = _code(FUNCTION, zipf(mix(bits, np.uint64(2)), N_FUNCTION, 2.0))
        else:
            out[n] = _content_word(mix(bits, np.uint64(3)), topic, _topical(story))
        n += 1
    out[n] = _code(MARK, END)
    return n + 1


@nb.njit(nb.int64(U32, nb.int64, I64), cache=True, nogil=True)
def _sentences(codes, n, starts):  # type: ignore[no-untyped-def]
    """Where the sentences of codes[:n] begin, and the end of the last; returns how many there are."""
    found = 0
    fresh = True
    for i in range(n):
        if codes[i] >> np.uint32(CLASS_SHIFT) == MARK and codes[i] & VALUE == PARAGRAPH:
            continue
        if fresh:
            starts[found] = i
            found += 1
            fresh = False
        if codes[i] >> np.uint32(CLASS_SHIFT) == MARK and codes[i] & VALUE == END:
            fresh = True
            starts[found] = i + 1
    return found


@nb.njit(
    nb.int64(U32, nb.int64, nb.uint64, nb.int64, nb.float64, nb.float64, nb.float64, nb.float64, U32),
    cache=True, nogil=True,
)  # fmt: skip
def reword(codes, n, telling, topic, words, facts, dropped, moved, out):  # type: ignore[no-untyped-def]
    """Edits codes[:n] into `out`, which needs room for n; returns the new length.

    Shares 0..1: `words` replaced, or, one time in five, left out; `facts` (names, numbers) replaced;
    sentences `dropped`; `moved` to any other place. Paragraphs stay where no sentence moves.
    """
    state = np.array([mix(telling, np.uint64(7))])
    starts = np.empty(n // 4 + 2, np.int64)
    n_sentences = _sentences(codes, n, starts)
    order = np.arange(n_sentences)
    for i in range(n_sentences - 1, 0, -1):
        if share(_draw(state)) < moved:
            j = below(_draw(state), i + 1)
            order[i], order[j] = order[j], order[i]
    length = 0
    for k in range(n_sentences):
        s = order[k]
        stop = starts[s + 1] if moved > 0 else (starts[k + 1] if k + 1 < n_sentences else n)
        if share(_draw(state)) < dropped:
            continue
        for i in range(starts[s], stop):
            code = codes[i]
            kind = code >> np.uint32(CLASS_SHIFT)
            if kind == MARK and code & VALUE == PARAGRAPH and moved > 0:
                continue
            if kind in (NAME, NUMBER):
                if share(_draw(state)) < facts:
                    bits = _draw(state)
                    if kind == NUMBER:
                        code = _figure(bits)
                    else:
                        code = _code(NAME, N_GIVEN + zipf(bits, N_KNOWN_NAMES, 30.0))
            elif kind != MARK and share(_draw(state)) < words:
                bits = _draw(state)
                if below(bits, 5) == 0:
                    continue
                if kind == FUNCTION:
                    code = _code(FUNCTION, zipf(mix(bits, np.uint64(8)), N_FUNCTION, 2.0))
                else:
                    code = _content_word(mix(bits, np.uint64(8)), topic, np.int64(140))
            out[length] = code
            length += 1
        if moved > 0 and below(_draw(state), 2) == 0 and length < len(out):
            out[length] = _code(MARK, PARAGRAPH)
            length += 1
    return length
