// Texts of the page, placeholders too, whose contrast is under that of WCAG 2.2, AA.
() => {
  const parse = (css) => {
    const m = css.match(/[\d.]+/g).map(Number);
    return css.startsWith("color(srgb")
      ? [m[0] * 255, m[1] * 255, m[2] * 255, m[3] ?? 1]
      : [m[0], m[1], m[2], m[3] ?? 1];
  };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const light = (c) => {
    const [r, g, b] = c
      .slice(0, 3)
      .map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    const layers = [];
    for (; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest("script, style, title, :disabled"))
      continue;
    const style = getComputedStyle(e);
    let back = behind(e);
    const node = e.closest(".node");
    if (node) back = parse(getComputedStyle(node.querySelector("circle")).fill);
    const front = over(parse(e instanceof SVGElement ? style.fill : style.color), back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if ((a + 0.05) / (b + 0.05) < least)
      low.push(
        `${e.className.baseVal ?? e.className} ${((a + 0.05) / (b + 0.05)).toFixed(2)} ${walker.currentNode.data.slice(0, 30)}`,
      );
  }
  for (const e of document.querySelectorAll("input[placeholder]")) {
    const back = behind(e);
    const style = getComputedStyle(e, "::placeholder");
    const own = parse(style.color);
    own[3] *= Number(style.opacity);
    const [a, b] = [light(over(own, back)), light(back)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(`${((a + 0.05) / (b + 0.05)).toFixed(2)} ${e.placeholder}`);
  }
  return [...new Set(low)];
};
