"""The files of an evaluation: metrics.json, curve.csv, curve.svg, errors.csv."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from pipeline.errors import OutputError
from pipeline.evaluate import Curve, Evaluation, LabelError, Score, harmonic
from pipeline.tables import atomic_file

EVIDENCE = (
    "found_by", "cosine", "cosine_bigrams", "cosine_names", "cosine_numbers", "jaccard", "jaccard_estimate",
    "containment_l_in_r", "containment_r_in_l",
)  # fmt: skip
ERROR_COLUMNS = (
    "error", "id_a", "id_b", "kind", "probability", "relation", "reason", "same_cluster", "source_a",
    "source_b", "title_a", "title_b", *EVIDENCE,
)  # fmt: skip
EVALUATION = ("metrics.json", "curve.csv", "curve.svg", "errors.csv")
# The picture, in pixels: two square plots side by side.
_SIDE, _MARGIN = 320, 56
_BLUE, _ORANGE, _GREY = "#1f5fa8", "#c4570a", "#777777"


def write_evaluation(found: Evaluation, folder: Path, n_worst: int) -> tuple[Path, ...]:
    """Write the files, at most `n_worst` errors of each kind among them. Returns their paths.

    Raises OutputError when the folder can't be written.
    """
    metrics = json.dumps(metrics_of(found), indent=2, ensure_ascii=False) + "\n"
    texts = (
        metrics,
        _csv(("threshold", "n_same", "n_different", "precision", "recall", "f1"), _curve_rows(found.curve)),
        curve_svg(found.curve, found.threshold),
        _csv(ERROR_COLUMNS, (_error_row(e) for e in _worst(found.errors, n_worst))),
    )
    for name, text in zip(EVALUATION, texts, strict=True):
        write_text(folder / name, text)
    return tuple(folder / name for name in EVALUATION)


def keep_labels(labels: Path, *outputs: Path) -> None:
    """Refuse to write over the labels, which somebody made by hand. Raises OutputError."""
    for output in outputs:
        if output.exists() and labels.exists() and output.samefile(labels):
            raise OutputError(f"output {output}: must not be the file of the labels")


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises OutputError."""
    try:
        with atomic_file(path) as file:
            file.write(text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise OutputError(f"output {path}: must be a file that can be written: {error.strerror}") from None


def metrics_of(found: Evaluation) -> dict[str, Any]:
    """The content of metrics.json: shares with four digits, null where nothing can be said."""
    labels, clusters = found.labels, found.clusters
    b_cubed_f1 = harmonic(clusters.b_cubed_precision, clusters.b_cubed_recall)
    return {
        "run_id": found.run_id,
        "threshold": found.threshold,
        "labels": {
            "sha256": labels.sha256,
            "n_same": found.pairs.n_same,
            "n_different": found.pairs.n_different,
            "n_uncounted": labels.n_uncounted,
            "n_unknown": labels.n_unknown,
        },
        "pairs": _score(found.pairs),
        "by_relation": _scores(found.by_relation),
        "by_kind": _scores(found.by_kind),
        "by_source": _scores(found.by_source),
        "clusters": {
            "n_articles": clusters.n_articles,
            "n_stories": clusters.n_stories,
            "n_contradictions": clusters.n_contradictions,
            "pairs": _score(clusters.pairs),
            "b_cubed": {
                "precision": rounded(clusters.b_cubed_precision),
                "recall": rounded(clusters.b_cubed_recall),
                "f1": rounded(b_cubed_f1),
            },
            "adjusted_rand_index": rounded(clusters.adjusted_rand_index),
        },
        "curve": {"probabilities_from": found.curve_from, "best_f1": _best(found.curve)},
        "n_errors": {
            name: sum(error.error == name for error in found.errors) for name in ("false", "missed")
        },
    }


def rounded(share: float | None) -> float | None:
    """Four digits."""
    return None if share is None else round(share, 4)


def curve_svg(curve: Curve, threshold: float) -> str:
    """Precision against recall, and both against the threshold; a line and dots mark the run's own."""
    width, height = 2 * _SIDE + 3 * _MARGIN, _SIDE + 2 * _MARGIN
    at = int(np.searchsorted(curve.threshold, threshold))
    left, right = _MARGIN, _SIDE + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_axes(left, "recall", "precision"),
        _line(left, curve.recall, curve.precision, _BLUE),
        *_axes(right, "threshold", ""),
        _line(right, curve.threshold, curve.precision, _BLUE),
        _line(right, curve.threshold, curve.recall, _ORANGE),
        _text(right + 8, _MARGIN + _SIDE - 24, "precision", "start", _BLUE),
        _text(right + 8, _MARGIN + _SIDE - 8, "recall", "start", _ORANGE),
        _line(right, [threshold, threshold], [0, 1], _GREY, ' stroke-dasharray="4 3"'),
        _text(left, 24, f"threshold of the run: {threshold:g}", "start", _GREY),
    ]
    if at < len(curve.threshold):
        x, y = _place(left, curve.recall[at], curve.precision[at])
        parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{_GREY}"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _axes(left: int, x_name: str, y_name: str) -> list[str]:
    bottom = _MARGIN + _SIDE
    parts = [
        f'<rect x="{left}" y="{_MARGIN}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="{_GREY}"/>',
        _text(left + _SIDE / 2, bottom + 38, x_name, "middle"),
        _text(left, _MARGIN - 10, y_name, "start"),
    ]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = _place(left, tick, tick)
        parts += [_text(x, bottom + 18, f"{tick:g}", "middle"), _text(left - 6, y + 4, f"{tick:g}", "end")]
    return parts


def _line(
    left: int, xs: np.ndarray | list[float], ys: np.ndarray | list[float], colour: str, more: str = ""
) -> str:
    points = " ".join("{},{}".format(*_place(left, x, y)) for x, y in zip(xs, ys, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"{more}/>'


def _place(left: int, x: float, y: float) -> tuple[float, float]:
    """Pixels of a point of the unit square."""
    return round(left + float(x) * _SIDE, 2), round(_MARGIN + (1 - float(y)) * _SIDE, 2)


def _text(x: float, y: float, words: str, anchor: str, colour: str = "black") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def _score(score: Score) -> dict[str, Any]:
    shares = {name: rounded(getattr(score, name)) for name in ("precision", "recall", "f1")}
    return shares | {field.name: getattr(score, field.name) for field in fields(Score)}


def _scores(scores: Mapping[str, Score]) -> dict[str, dict[str, Any]]:
    return {name: _score(score) for name, score in scores.items()}


def _best(curve: Curve) -> dict[str, float] | None:
    """The point of the curve with the highest F1; None for an empty curve."""
    if not len(curve.threshold):
        return None
    at = int(np.argmax(curve.f1))
    names = ("threshold", "precision", "recall", "f1")
    return {name: round(float(getattr(curve, name)[at]), 6) for name in names}


def _curve_rows(curve: Curve) -> Iterable[Sequence[object]]:
    columns = (curve.threshold, curve.n_same, curve.n_different, curve.precision, curve.recall, curve.f1)
    return zip(*(column.tolist() for column in columns), strict=True)


def _worst(errors: Sequence[LabelError], n_worst: int) -> list[LabelError]:
    by_error = ([error for error in errors if error.error == name] for name in ("false", "missed"))
    return [error for lot in by_error for error in lot[:n_worst]]


def _error_row(error: LabelError) -> list[object]:
    pair = error.pair
    return [
        error.error, pair.id_a, pair.id_b, pair.kind, error.probability, error.relation, error.reason,
        int(error.same_cluster), *error.sources, *map(one_line, error.titles),
        *(error.evidence.get(name) for name in EVIDENCE),
    ]  # fmt: skip


def one_line(text: str) -> str:
    """White space as single spaces; a spreadsheet must not take a title for a formula."""
    words = " ".join(text.split())
    return f"'{words}" if words[:1] in ("=", "+", "-", "@") else words


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()
