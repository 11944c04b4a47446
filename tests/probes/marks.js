// Bars and marks of the page that can't be told from what is behind them: WCAG 2.2, 1.4.11 asks 3 to 1. A mark
// of words may have it in its background, in a line, or in the line under its words.
() => {
  const parse = (css) => {
    const m = (css.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
    return css.startsWith("color(srgb") ? [m[0] * 255, m[1] * 255, m[2] * 255, m[3] ?? 1] : [m[0], m[1], m[2], m[3] ?? 1];
  };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    const layers = [];
    for (; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const ratio = (front, back) => {
    const [a, b] = [light(over(front, back)), light(back)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const low = [];
  const note = (e, found) => {
    if (found < 3) low.push(`${e.className.baseVal ?? e.className} ${found.toFixed(2)}`);
  };
  for (const e of document.querySelectorAll("main svg rect:not(.hit), main svg .edge, main .node circle")) {
    if (!e.checkVisibility()) continue;
    const style = getComputedStyle(e);
    const isLine = !e.matches("rect");
    const own = parse(isLine ? style.stroke : style.fill);
    own[3] *= Number(isLine ? style.strokeOpacity : style.fillOpacity);
    note(e, ratio(own, behind(e.closest("svg"))));
  }
  // The two kinds of a stacked bar touch each other.
  const bar = (kind) => document.querySelector(`main rect.fill-${kind}`);
  const fill = (kind) => parse(getComputedStyle(bar(kind)).fill);
  if (bar("first") && bar("later") && ratio(fill("first"), fill("later")) < 3) low.push("first beside later");
  for (const e of document.querySelectorAll("main :is(.same, .reworded, .repeat, .both, .only)")) {
    const style = getComputedStyle(e);
    const back = behind(e.parentElement);
    const cues = [parse(style.backgroundColor)];
    if (style.borderBottomStyle !== "none") cues.push(parse(style.borderBottomColor));
    if (style.textDecorationLine !== "none") cues.push(parse(style.textDecorationColor));
    // Letters much heavier than those around them.
    if (Number(style.fontWeight) - Number(getComputedStyle(e.parentElement).fontWeight) >= 200) continue;
    note(e, Math.max(...cues.map((cue) => ratio(cue, back))));
  }
  return [...new Set(low)];
};
