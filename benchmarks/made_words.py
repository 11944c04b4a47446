"""Kernels that write made-up articles: codes of words are drawn, edited, and spelt out as UTF-8.

A code is a class in its four high bits and a number below. Words of the language, of a topic, and names are
drawn by Zipf's law (a rank is log-uniform); a code always has the same spelling, and two codes never share
one. What an article is about, its *facts* (names and numbers), follows from its story's seed alone: so two
texts on one story share their facts, and a variant is an edit of the codes of its source.
"""

# ruff: noqa: SIM905
import numba as nb
import numpy as np

from pipeline.arrays import BYTES, I64, U8, U32

FUNCTION, COMMON, SPECIAL, NAME, NUMBER, TYPO, MARK = range(7)
CLASS_SHIFT = 28
_VALUE = np.uint32((1 << CLASS_SHIFT) - 1)
END, PARAGRAPH, COMMA, OPEN_QUOTE, CLOSE_QUOTE = range(5)  # values of MARK

# How large the vocabularies are. Names have no end in practice: each story brings some of its own.
N_COMMON, N_SPECIAL, N_KNOWN_NAMES, N_GIVEN = 40_000, 250_000, 1 << 20, 400
N_NAMES = 1 << 26
TOPIC_WORDS, TOPIC_NAMES, N_TOPICS = 300, 40, 5_000
N_FACTS, N_FIGURES = 12, 6

_FUNCTION_WORDS = (
    "the of and to in a that it is was for on he with as at by from his be were are had this which but have "
    "not they an has been its or who will their one she would when there all we said more if about after up "
    "her out over than so no into also could last other under some two while them only new can may what him "
    "these any because between before most during where against through such now then since both should did "
    "many being still those very how just own each first your until our"
).split()
N_FUNCTION = len(_FUNCTION_WORDS)
_CONSONANTS = "b c d f g h l m n p r s t v w br cl dr fl gr pr st tr".split()
_SYLLABLES = [c + v for c in _CONSONANTS for v in "aeiou"]
_ENDINGS = "s ed ing er n t m nt ly st d l nce rd ck ble".split()
_NAME_ENDINGS = "k ff sky vic zzo berg x quez hov ji thy wyck kko zel yev qvist".split()
N_SYLLABLES, N_ENDINGS = len(_SYLLABLES), len(_ENDINGS)


def _packed(words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Bytes uint8 of all words, and where each begins and the last ends, int64."""
    ends = np.cumsum([0, *map(len, words)]).astype(np.int64)
    return np.frombuffer("".join(words).encode(), np.uint8), ends


_FUNCTION_BYTES, _FUNCTION_ENDS = _packed(_FUNCTION_WORDS)
_PARTS, _PART_ENDS = _packed([*_SYLLABLES, *_ENDINGS, *_NAME_ENDINGS])
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
        if codes[i] >> np.uint32(CLASS_SHIFT) == MARK and codes[i] & _VALUE == PARAGRAPH:
            continue
        if fresh:
            starts[found] = i
            found += 1
            fresh = False
        if codes[i] >> np.uint32(CLASS_SHIFT) == MARK and codes[i] & _VALUE == END:
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
            if kind == MARK and code & _VALUE == PARAGRAPH and moved > 0:
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


@nb.njit(nb.int64(U8, nb.int64, BYTES, I64, nb.int64), cache=True, nogil=True, inline="always")
def _copy(out, n, parts, ends, which):  # type: ignore[no-untyped-def]
    for j in range(ends[which], ends[which + 1]):
        out[n] = parts[j]
        n += 1
    return n


@nb.njit(nb.int64(U8, nb.int64, nb.uint32), cache=True, nogil=True)
def _spell(out, n, code):  # type: ignore[no-untyped-def]
    """Appends the spelling of a word; returns the new length."""
    kind, value = code >> np.uint32(CLASS_SHIFT), np.int64(code & _VALUE)
    if kind == FUNCTION:
        return _copy(out, n, _FUNCTION_BYTES, _FUNCTION_ENDS, value)
    if kind == NUMBER:
        digits = 1
        while 10**digits <= value:
            digits += 1
        comma = digits > 4
        for place in range(digits - 1, -1, -1):
            out[n] = np.uint8(48 + value // 10**place % 10)
            n += 1
            if comma and place == 3:
                out[n] = np.uint8(44)
                n += 1
        return n
    # Numbers in syllables, the last one an ending. Names differ in their endings, words
    # of the language in having two syllables to three, no function word is so long.
    first = n
    ending = value % N_ENDINGS
    rest = value // N_ENDINGS
    if kind == COMMON:
        rest += N_SYLLABLES
    if kind == SPECIAL:
        rest += N_SYLLABLES * 40
    if kind == TYPO:
        rest += N_SYLLABLES * N_SYLLABLES * 40
        out[n] = np.uint8(122)
        n += 1
    while True:
        n = _copy(out, n, _PARTS, _PART_ENDS, rest % N_SYLLABLES)
        rest //= N_SYLLABLES
        if rest == 0:
            break
    if kind == NAME:
        n = _copy(out, n, _PARTS, _PART_ENDS, N_SYLLABLES + N_ENDINGS + ending)
        out[first] -= np.uint8(32)
    else:
        n = _copy(out, n, _PARTS, _PART_ENDS, N_SYLLABLES + ending)
    return n


@nb.njit(nb.int64(U32, nb.int64, U8, nb.int64), cache=True, nogil=True)
def spell_out(codes, n_codes, out, n):  # type: ignore[no-untyped-def]
    """Appends codes as sentences and paragraphs, UTF-8; returns the new length.

    `out` needs room for 32 bytes a code.
    """
    first_byte = n
    begins, glued = True, True
    for i in range(n_codes):
        code = codes[i]
        if code >> np.uint32(CLASS_SHIFT) == MARK:
            mark = code & _VALUE
            if mark == END:
                out[n] = np.uint8(46)
                begins = True
            elif mark == COMMA:
                out[n] = np.uint8(44)
            elif mark == PARAGRAPH:
                if not glued:
                    out[n] = np.uint8(10)
                    out[n + 1] = np.uint8(10)
                    n += 2
                begins, glued = True, True
                continue
            elif mark == OPEN_QUOTE:
                if not glued:
                    out[n] = np.uint8(32)
                    n += 1
                out[n] = np.uint8(34)
                glued = True
                n += 1
                continue
            else:
                for letter in (44, 34, 32, 115, 97, 105, 100):  # `," said`
                    out[n] = np.uint8(letter)
                    n += 1
                continue
            n += 1
            continue
        if not glued:
            out[n] = np.uint8(32)
            n += 1
        glued = False
        first = n
        n = _spell(out, n, code)
        if begins and 97 <= out[first] <= 122:
            out[first] -= np.uint8(32)
        begins = False
    while n > first_byte and out[n - 1] == 10:
        n -= 1
    return n
