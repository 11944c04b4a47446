// Charts in SVG, each with its numbers in words. Colours come from the style sheet's classes.

// Horizontal bars: [{label, n, parts?: [{class, n}], note?}].
function bars(label, items, unit) {
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
          h("td", { class: "number" }, item.note || count(item.n), unit ? ` ${unit}` : ""),
        ),
      ),
    ),
  );
}

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
  const every = Math.max(1, Math.ceil((n * 75) / width));
  axis.forEach((label, i) => {
    if (i % every === 0) svg.append(s("text", { x: left + i * step, y: height - 6, class: "tick" }, label));
  });
  return h("figure", null, svg, legend(series), inWords(title, labels, series));
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
    h(
      "div",
      { class: "scroll" },
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

const MAX_NODES = 60;

// Confirmed pairs that hold two halves of the graph together alone: pairs [from, to] over n nodes (Tarjan 1974).
function bridges(n, links) {
  const next = Array.from({ length: n }, () => []);
  links.forEach(([a, b], k) => {
    next[a].push([b, k]);
    next[b].push([a, k]);
  });
  const order = new Int32Array(n).fill(-1);
  const low = new Int32Array(n);
  const found = new Set();
  let clock = 0;
  for (let root = 0; root < n; root++) {
    if (order[root] >= 0) continue;
    order[root] = low[root] = clock++;
    const stack = [[root, -1, 0]];
    while (stack.length) {
      const top = stack[stack.length - 1];
      const [node, via, at] = top;
      if (at < next[node].length) {
        top[2]++;
        const [other, k] = next[node][at];
        if (k === via) continue;
        if (order[other] >= 0) low[node] = Math.min(low[node], order[other]);
        else {
          order[other] = low[other] = clock++;
          stack.push([other, k, 0]);
        }
      } else {
        stack.pop();
        if (!stack.length) continue;
        const parent = stack[stack.length - 1][0];
        low[parent] = Math.min(low[parent], low[node]);
        if (low[node] > order[parent]) found.add(via);
      }
    }
  }
  return found;
}

// The confirmed pairs of a cluster: members on a ring in order of publishing, from the top clockwise.
function pairGraph(cluster, weakBelow, pick) {
  const n = Math.min(cluster.members.length, MAX_NODES);
  const links = cluster.pairs.filter((pair) => pair.l < n && pair.r < n);
  const joins = links.filter((pair) => !["excerpt", "related"].includes(RELATION_NAMES[pair.relation]));
  const isWhole = cluster.pairs.length === cluster.nPairs && n === cluster.members.length;
  const cut = isWhole
    ? bridges(
        n,
        joins.map((pair) => [pair.l, pair.r]),
      )
    : new Set();
  const size = 380;
  const radius = n > 2 ? size / 2 - 34 : size / 4;
  const at = (i) => [
    size / 2 + radius * Math.sin((2 * Math.PI * i) / n),
    size / 2 - radius * Math.cos((2 * Math.PI * i) / n),
  ];
  const svg = s("svg", {
    viewBox: `0 0 ${size} ${size}`,
    class: "graph",
    role: "group",
    "aria-label": "Confirmed pairs",
  });
  const weakFirst = [...links].sort((a, b) => a.probability - b.probability).reverse();
  let nWeak = 0;
  for (const pair of weakFirst) {
    const [x1, y1] = at(pair.l);
    const [x2, y2] = at(pair.r);
    const isBridge = cut.has(joins.indexOf(pair));
    const isWeak = pair.probability < weakBelow;
    nWeak += isWeak;
    const words = `${pair.l + 1} and ${pair.r + 1}: ${RELATION_NAMES[pair.relation]}, probability ${decimals(pair.probability)}${isWeak ? ", weak" : ""}${isBridge ? ", the only link between two parts" : ""}`;
    svg.append(
      s(
        "g",
        { class: "link", onclick: () => pick(pair.l, pair.r) },
        s("title", null, words),
        s("line", { x1, y1, x2, y2, class: "hit" }),
        s("line", {
          x1,
          y1,
          x2,
          y2,
          class: `edge ${RELATION_NAMES[pair.relation]}${isWeak ? " weak" : ""}${isBridge ? " bridge" : ""}`,
          "stroke-width": 0.8 + 2.2 * pair.probability,
        }),
      ),
    );
  }
  for (let i = 0; i < n; i++) {
    const [x, y] = at(i);
    const member = cluster.members[i];
    svg.append(
      s(
        "g",
        { class: `node${member.is_representative ? " representative" : ""}`, "data-member": i },
        s("title", null, `${i + 1}: ${visibleWords(member.title || member.article_id)}`),
        s("circle", { cx: x, cy: y, r: n > 30 ? 8 : 12 }),
        s("text", { x, y: y + 4, class: "tick middle" }, String(i + 1)),
      ),
    );
  }
  const left = cluster.members.length - n;
  return h(
    "figure",
    { class: "pairs" },
    svg,
    h(
      "ul",
      { class: "legend" },
      RELATIONS.map((name) =>
        links.some((pair) => RELATIONS[pair.relation] === name) ? edgeKey(name, 3, name) : null,
      ),
      nWeak ? edgeKey("weak", 2, `weak, under ${decimals(weakBelow)}`) : null,
      cut.size ? edgeKey("bridge", 2, "only link") : null,
    ),
    left > 0 || cluster.pairs.length < cluster.nPairs
      ? h(
          "p",
          { class: "left-out" },
          left > 0 ? `The graph shows the first ${count(n)} of ${count(cluster.members.length)} members. ` : "",
          cluster.pairs.length < cluster.nPairs
            ? `Of ${count(cluster.nPairs)} confirmed pairs the report has the ${count(cluster.pairs.length)} least certain.`
            : "",
        )
      : null,
  );
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
