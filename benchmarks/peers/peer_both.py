"""datasketch and scikit-learn put together to do what respun does: both views, cosines, components.

Word 5-shingles and rare terms are signed by datasketch's MinHash, with respun's numbers of hashes and bands,
candidates come from its LSH and are pruned by the estimate. scikit-learn's TF-IDF cosines over words with
bigrams, names and numbers confirm them. No furniture, no sources and dates, no sections, no chains broken,
no report, no tables.
"""

from __future__ import annotations

import multiprocessing
from math import exp

import numpy as np
import numpy.typing as npt
from datasketch import MinHashLSH
from peer_datasketch import insert, prototype, sign_sets
from peer_run import WORD, Run, arguments, components, installed, pairs_of_queries, read_texts, shingles
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

HASH = "xxh"
CHUNK = 500
PAIRS_AT_A_TIME = 20_000
SHINGLES, RARE_TERMS = 128, 512  # hashes of the two views
REPRINT_THRESHOLD, RESPUN_BANDS = 0.5, (256, 2)
LEAST_SHINGLES, LEAST_RARE_TERMS = 0.2, 0.082  # of the estimates
MIN_IDF = 4.0
# The first that were tried, and not tuned: respun has a fitted rule instead.
LEAST_COSINE, LEAST_COSINE_OF_NAMES = 0.3, 0.4

Signatures = npt.NDArray[np.uint32]


def is_fact(word: str) -> bool:
    """Whether a word is written like a name or a number."""
    return word[0].isupper() or any(map(str.isdigit, word))


def names(text: str) -> list[str]:
    """The words of a text that are written like names."""
    return [word.lower() for word in WORD.findall(text) if word[0].isupper()]


def numbers(text: str) -> list[str]:
    """The words of a text with a digit."""
    return [word for word in WORD.findall(text) if any(map(str.isdigit, word))]


def rare_terms(text: str, common: set[str]) -> set[str]:
    """The words of a text that few articles have; names and numbers twice."""
    words = {word for word in WORD.findall(text) if word.lower() not in common}
    return {word.lower() for word in words} | {f"{word.lower()} 2" for word in words if is_fact(word)}


def sign_both(texts: list[str], common: set[str]) -> tuple[Signatures, Signatures]:
    """Signatures of some texts in both views."""
    sets = (map(shingles, texts), (rare_terms(text, common) for text in texts))
    reprint, respun = map(sign_sets, sets, (prototype(HASH, n) for n in (SHINGLES, RARE_TERMS)))
    return reprint, respun


def candidates(signatures: Signatures, index: MinHashLSH, least: float) -> set[tuple[int, int]]:
    """Pairs that share a band, whose estimated resemblance is `least` or more."""
    minhashes = insert(signatures, prototype(HASH, signatures.shape[1]), index)
    pairs = list(pairs_of_queries(index.query(minhash) for minhash in minhashes))
    kept: set[tuple[int, int]] = set()
    for at in range(0, len(pairs), PAIRS_AT_A_TIME):
        some = np.array(pairs[at : at + PAIRS_AT_A_TIME])
        alike = (signatures[some[:, 0]] == signatures[some[:, 1]]).mean(axis=1)
        kept.update(map(tuple, some[alike >= least].tolist()))
    return kept


def cosines(vectors: csr_matrix, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Cosine of each pair of rows, float32 (n,)."""
    blocks = [pairs[at : at + PAIRS_AT_A_TIME] for at in range(0, len(pairs), PAIRS_AT_A_TIME)]
    products = (vectors[block[:, 0]].multiply(vectors[block[:, 1]]) for block in blocks)
    return np.concatenate([np.zeros(0, np.float32), *(np.asarray(p.sum(axis=1)).ravel() for p in products)])


def main() -> None:
    """Run once."""
    args = arguments()
    run = Run(f"{installed('datasketch')}, {installed('scikit-learn')}", args)
    texts = read_texts(args)
    run.mark("read")
    counter = CountVectorizer(binary=True, token_pattern=WORD.pattern, dtype=np.int32)
    df = np.asarray(counter.fit_transform(texts).sum(axis=0)).ravel()
    terms = counter.get_feature_names_out()
    common = set(terms[df > len(texts) * exp(-MIN_IDF)].tolist())
    run.mark("count terms")
    chunks = [(texts[i : i + CHUNK], common) for i in range(0, len(texts), CHUNK)]
    if args.procs > 1:
        with multiprocessing.Pool(args.procs) as pool:
            signed = pool.starmap(sign_both, chunks, 1)
    else:
        signed = [sign_both(*chunk) for chunk in chunks]
    reprint, respun = (np.concatenate(view) for view in zip(*signed, strict=True))
    run.mark("sign both views")
    found = candidates(
        reprint, MinHashLSH(threshold=REPRINT_THRESHOLD, num_perm=SHINGLES), LEAST_SHINGLES
    ) | candidates(respun, MinHashLSH(num_perm=RARE_TERMS, params=RESPUN_BANDS), LEAST_RARE_TERMS)
    pairs = np.array(sorted(found), np.int64).reshape(-1, 2)
    run.mark("candidates")
    how = {"sublinear_tf": True, "dtype": np.float32}
    words = TfidfVectorizer(token_pattern=WORD.pattern, ngram_range=(1, 2), **how).fit_transform(texts)
    of_names, of_numbers = (
        TfidfVectorizer(analyzer=analyzer, **how).fit_transform(texts) for analyzer in (names, numbers)
    )
    run.mark("vectorise")
    facts = np.maximum(cosines(of_names, pairs), cosines(of_numbers, pairs))
    confirmed = pairs[(cosines(words, pairs) >= LEAST_COSINE) & (facts >= LEAST_COSINE_OF_NAMES)]
    run.mark("confirm")
    labels = components(len(texts), map(tuple, confirmed.tolist()))
    run.mark("cluster")
    run.finish(len(texts), map(tuple, confirmed.tolist()), labels)


if __name__ == "__main__":
    main()
