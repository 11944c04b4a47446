// Charts in SVG, each with its numbers in words. Colours come from the style sheet's classes.

// Horizontal bars: [{label, n, parts?: [{class, n}]}].
function bars(label, items) {
  const most = Math.max(1, ...items.map((item) => item.n));
  return h(
    "table",
    { class: "bars" },
    h("caption", { class: "unseen" }, label),
    h(
      "tbody",
      null,
      items.map((item) =>
        h(
          "tr",
          null,
          h("th", { scope: "row" }, item.label),
          h(
            "td",
            { class: "bar" },
            s(
              "svg",
              {
                width: "100%",
                height: 12,
                "aria-hidden": "true",
                preserveAspectRatio: "none",
                viewBox: "0 0 100 12",
              },
              (item.parts || [{ class: "ink", n: item.n }]).reduce(
                ([pieces, x], part) => {
                  const width = (100 * part.n) / most;
                  return [
                    [
                      ...pieces,
                      part.n
                        ? s("rect", { x, y: 1, width: Math.max(width, 0.4), height: 10, class: part.class })
                        : null,
                    ],
                    x + width,
                  ];
                },
                [[], 0],
              )[0],
            ),
          ),
          h("td", { class: "number" }, count(item.n)),
        ),
      ),
    ),
  );
}

const WIDE = 600; // units, from which on a chart keeps its width

// Stacked columns: `series` [{class, label, values}] over `labels`.
function columns(title, labels, series, axis, width) {
  const height = 170;
  const [left, bottom, top] = [46, 22, 8];
  const n = labels.length;
  const totals = labels.map((_, i) => series.reduce((sum, one) => sum + one.values[i], 0));
  const most = Math.max(1, ...totals);
  const step = (width - left) / n;
  const y = (value) => top + (height - top - bottom) * (1 - value / most);
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": title });
  for (const value of ticks(most)) {
    svg.append(
      s("line", { x1: left, x2: width, y1: y(value), y2: y(value), class: "grid" }),
      s("text", { x: left - 6, y: y(value) + 4, class: "tick end" }, count(value)),
    );
  }
  labels.forEach((label, i) => {
    let base = 0;
    const group = s(
      "g",
      null,
      s("title", null, `${label}: ${series.map((one) => `${count(one.values[i])} ${one.label}`).join(", ")}`),
    );
    group.append(s("rect", { x: left + i * step, y: top, width: step, height: height - top - bottom, class: "hit" }));
    for (const one of series) {
      const value = one.values[i];
      if (value) {
        const from = y(base + value);
        group.append(
          s("rect", {
            x: left + i * step + Math.min(1, step / 8),
            y: from,
            width: Math.max(step - Math.min(2, step / 4), 0.8),
            height: y(base) - from,
            class: one.class,
          }),
        );
      }
      base += value;
    }
    svg.append(group);
  });
  svg.append(s("line", { x1: left, x2: width, y1: y(0), y2: y(0), class: "axis" }));
  const long = 6.5 * Math.max(...axis.map((label) => label.length));
  const every = Math.max(1, Math.ceil((n * (20 + long)) / width));
  axis.forEach((label, i) => {
    // Over the right edge a label would be cut off.
    if (i % every === 0 && left + i * step + long <= width)
      svg.append(s("text", { x: left + i * step, y: height - 6, class: "tick" }, label));
  });
  // A wide one would have labels too small to read in a narrow window.
  const chart = width > WIDE ? scrolled(`${title}, chart`, svg) : svg;
  return h("figure", null, chart, legend(series), inWords(title, labels, series));
}

function legend(series) {
  return h(
    "ul",
    { class: "legend" },
    series.map((one) =>
      h(
        "li",
        null,
        s(
          "svg",
          { width: 12, height: 12, "aria-hidden": "true" },
          s("rect", { width: 12, height: 12, class: one.class }),
        ),
        one.label,
      ),
    ),
  );
}

function inWords(title, labels, series) {
  return h(
    "details",
    { class: "words" },
    h("summary", null, "as a table"),
    scrolled(
      title,
      h(
        "table",
        null,
        h("caption", { class: "unseen" }, title),
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            h("th", { scope: "col" }, ""),
            series.map((one) => h("th", { scope: "col", class: "number" }, one.label)),
          ),
        ),
        h(
          "tbody",
          null,
          labels.map((label, i) =>
            series.some((one) => one.values[i])
              ? h(
                  "tr",
                  null,
                  h("th", { scope: "row" }, label),
                  series.map((one) => h("td", { class: "number" }, count(one.values[i]))),
                )
              : null,
          ),
        ),
      ),
    ),
  );
}

function ticks(most) {
  const raw = most / 3;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(
    1,
    [1, 2, 5, 10].map((m) => m * power).find((value) => value >= raw),
  );
  const found = [];
  for (let value = step; value <= most; value += step) found.push(value);
  return found;
}

const [MAX_NODES, MAX_LINKS, NAMED_NODES] = [240, 600, 60];
const NUMBERS_AROUND = 24;
const [TREE, BRIDGE] = [1, 2]; // what a pair does for its cluster, as in pipeline/report_pairs.py

// What the graph draws: everything of a small cluster. Of a large one the pairs that people look for: the only
// links, the weak ones, and the tree of the most certain ones that holds it together, with their members.
function drawn(cluster, weakBelow) {
  const n = cluster.members.length;
  if (n <= NAMED_NODES) return { links: cluster.pairs, nodes: cluster.members.map((_, i) => i) };
  const isWeak = (pair) => run.relations[pair.relation].joins && pair.probability < weakBelow;
  const wanted = [
    cluster.pairs.filter((pair) => pair.holds === BRIDGE),
    cluster.pairs.filter((pair) => pair.holds !== BRIDGE && isWeak(pair)),
    cluster.pairs.filter((pair) => pair.holds === TREE && !isWeak(pair)),
  ].flat();
  const nodes = new Set();
  const links = [];
  for (const pair of wanted) {
    const added = !nodes.has(pair.l) + !nodes.has(pair.r);
    if (links.length === MAX_LINKS || nodes.size + added > MAX_NODES) continue;
    links.push(pair);
    nodes.add(pair.l).add(pair.r);
  }
  return { links, nodes: [...nodes].sort((a, b) => a - b) };
}

// The pairs of a cluster: members on a ring in order of publishing, from the top clockwise. `pick` is told of a
// click on a pair, `pickNode` of one on a member.
function pairGraph(cluster, weakBelow, pick, pickNode) {
  const { links, nodes } = drawn(cluster, weakBelow);
  const n = nodes.length;
  const size = 380;
  const radius = n > 2 ? size / 2 - 34 : size / 4;
  const place = new Map(nodes.map((i, k) => [i, k]));
  const at = (i) => {
    const angle = (2 * Math.PI * place.get(i)) / n;
    return [size / 2 + radius * Math.sin(angle), size / 2 - radius * Math.cos(angle)];
  };
  const svg = s("svg", { viewBox: `0 0 ${size} ${size}`, class: "graph", role: "group", "aria-label": "Pairs" });
  const isWeak = (pair) => pair.probability < weakBelow;
  const lastOnTop = [...links].sort((a, b) => b.probability - a.probability);
  for (const pair of lastOnTop) svg.append(edge(pair, at, isWeak(pair), pick));
  for (const i of nodes) svg.append(node(cluster.members[i], i, at(i), n, pickNode));
  if (n > NAMED_NODES)
    for (let k = 0; k < n; k += Math.ceil(n / NUMBERS_AROUND)) svg.append(numberBeside(nodes[k], at(nodes[k]), size / 2, radius));
  return h(
    "figure",
    { class: "pairs" },
    svg,
    h(
      "ul",
      { class: "legend" },
      run.relations.map(({ name }, i) => (links.some((pair) => pair.relation === i) ? edgeKey(name, 3, name) : null)),
      links.some(isWeak) ? edgeKey("weak", 2, measured("weak", `weak, under ${decimals(weakBelow)}`)) : null,
      links.some((pair) => pair.holds === BRIDGE) ? edgeKey("bridge", 2, measured("only link")) : null,
    ),
    notDrawn(cluster, links, nodes),
  );
}

function notDrawn(cluster, links, nodes) {
  const words = [];
  if (links.length < cluster.pairs.length)
    words.push(
      `Drawn are ${count(links.length)} of ${plural(cluster.nPairs, "pair")}, the only links, the weak ones and those that hold the cluster together, and ${count(nodes.length)} of ${plural(cluster.members.length, "member")}. `,
    );
  if (cluster.pairs.length < cluster.nPairs)
    words.push(
      `The report holds ${count(cluster.pairs.length)} of ${plural(cluster.nPairs, "pair")}: the least certain, and those with the first, the representative and the closest earlier article.`,
    );
  return words.length ? h("p", { class: "left-out" }, words) : null;
}

function edge(pair, at, isWeak, pick) {
  const { name } = run.relations[pair.relation];
  const [[x1, y1], [x2, y2]] = [at(pair.l), at(pair.r)];
  const isBridge = pair.holds === BRIDGE;
  const words = `${pair.l + 1} and ${pair.r + 1}: ${name}, probability ${decimals(pair.probability)}${isWeak ? ", weak" : ""}${isBridge ? ", the only link between two parts" : ""}`;
  const kinds = `edge ${name}${isWeak ? " weak" : ""}${isBridge ? " bridge" : ""}`;
  return s(
    "g",
    { class: "link", onclick: () => pick(pair.l, pair.r) },
    s("title", null, words),
    s("line", { x1, y1, x2, y2, class: "hit" }),
    s("line", { x1, y1, x2, y2, class: kinds, "stroke-width": 0.8 + 2.2 * pair.probability }),
  );
}

function node(member, i, [x, y], n, pickNode) {
  const isNamed = n <= NAMED_NODES;
  return s(
    "g",
    {
      class: `node${member.is_representative ? " representative" : ""}`,
      "data-member": i,
      onclick: () => pickNode(i),
    },
    s("title", null, `${i + 1}: ${visibleWords(member.title)}`),
    s("circle", { cx: x, cy: y, r: isNamed ? (n > 30 ? 8 : 12) : 4 }),
    isNamed ? s("text", { x, y: y + 4, class: "tick middle" }, String(i + 1)) : null,
  );
}

// Of too many members to have a number each some have one, outside of the ring.
function numberBeside(i, [x, y], middle, radius) {
  const out = (at) => middle + ((at - middle) * (radius + 16)) / radius;
  return s("text", { x: out(x), y: out(y) + 4, class: "tick middle" }, String(i + 1));
}

function edgeKey(kind, width, label) {
  const line = s("line", { x1: 0, x2: 22, y1: 5, y2: 5, class: `edge ${kind}`, "stroke-width": width });
  return h("li", null, s("svg", { width: 22, height: 10, "aria-hidden": "true" }, line), label);
}

// A string from the outside where no element can be: in a tooltip.
const visibleWords = (text) =>
  visible(String(text))
    .map((piece) => (typeof piece === "string" ? piece : `[${piece.textContent}]`))
    .join("");
