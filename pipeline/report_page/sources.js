// Sources: who prints first and who later, who takes from whom, and each one's furniture.

const MOST_SOURCES = 16; // in the rows of the matrix, and in its columns
const MOST_ROWS = 200;
const SOURCE_SORTS = {
  name: "Source",
  n_articles: "Articles",
  n_undated: "Undated",
  n_first: "First",
  n_later: "Later copies",
  original: "Original",
  furniture_share: "Furniture",
};

const SOURCES = { q: "", sort: "n_articles", way: "down" };

async function showSources() {
  sources = await load("sources");
  const head = h("h1", null, "Sources");
  if (!sources.names.length) return { nodes: [head, h("p", null, "The articles of this run have no source.")] };
  const set = (changes, isTyped) => refine("sources", SOURCES, changes, isTyped);
  const fields = h(
    "form",
    { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    filterField("Search", "q", (changes) => set(changes, true), { type: "search", id: "search" }),
  );
  const table = h("div");
  const update = (query) => {
    const form = { ...SOURCES, ...query };
    if (!SOURCE_SORTS[form.sort]) form.sort = SOURCES.sort;
    fillFields(fields, form);
    put(table, sourcesTable(form, set));
  };
  const nodes = [
    head,
    part("Who takes from whom", matrix(), "wide"),
    part("Each source", fields, table),
    sources.furniture[""]
      ? part(
          "Furniture of the whole collection",
          h(
            "p",
            { class: "note" },
            "Lines of articles of many sites. First the articles of sites that don't repeat the line on enough pages of their own; those of sites that do are counted with their source above.",
          ),
          furnitureOf(""),
        )
      : null,
  ];
  return { nodes, update };
}

// Of its dated articles, those that are no later copies; nothing is known of the others.
const nOriginal = (i) => sources.n_dated[i] - sources.n_later[i];
const nUndated = (i) => sources.n_articles[i] - sources.n_dated[i];

function matrix() {
  const flows = sources.flows.map(([from, to, reprinted, respun, through]) => ({
    from,
    to,
    parts: [reprinted, respun, through],
    n: reprinted + respun + through,
  }));
  if (!flows.length) return h("p", { class: "note" }, "No cluster has dated articles of two sources.");
  const { rows, columns, nShown } = ofLargest(flows);
  const cells = new Map(flows.map((flow) => [`${flow.from},${flow.to}`, flow]));
  const most = Math.max(...flows.map((flow) => flow.n));
  const shade = (n) => Math.min(5, Math.ceil((5 * n) / most));
  return [
    h(
      "p",
      { class: "note" },
      "Rows published first, columns later: articles of the column's source after the first of their cluster, the row's. Reprinted + re-spun + linked through others. Where several sources were first at one time, a copy counts for each.",
    ),
    scrolled(
      "Who takes from whom",
      h(
        "table",
        { class: "matrix" },
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            h("td"),
            columns.map((place) => h("th", { scope: "col" }, h("span", null, sourceName(place)))),
          ),
        ),
        h(
          "tbody",
          null,
          rows.map((from) =>
            h(
              "tr",
              null,
              h("th", { scope: "row" }, sourceName(from)),
              columns.map((to) => {
                const flow = cells.get(`${from},${to}`);
                if (!flow) return h("td", { class: from === to ? "self" : null });
                return h(
                  "td",
                  {
                    class: `shade-${shade(flow.n)}`,
                    title: `${count(flow.parts[0])} reprinted, ${count(flow.parts[1])} re-spun, ${count(flow.parts[2])} linked through others`,
                  },
                  h("strong", null, count(flow.n)),
                  h("small", null, flow.parts.join("+")),
                );
              }),
            ),
          ),
        ),
      ),
    ),
    nShown < sources.n_flows
      ? h(
          "p",
          { class: "left-out" },
          `The largest, ${count(nShown)} of ${count(sources.n_flows)} numbers: at most ${MOST_SOURCES} sources fit in the rows, and in the columns.`,
        )
      : null,
    h(
      "details",
      null,
      h("summary", null, "As a list"),
      scrolled(
        "Who takes from whom, as a list",
        h(
          "table",
          { class: "rows" },
          headRow(["From", "To", "Articles", "Reprinted", "Re-spun", "Through others"], (i) => i > 1),
          h(
            "tbody",
            null,
            flows.slice(0, MOST_ROWS).map((flow) =>
              h(
                "tr",
                null,
                h("td", null, sourceName(flow.from)),
                h("td", null, sourceName(flow.to)),
                [flow.n, ...flow.parts].map((n) => h("td", { class: "number" }, count(n))),
              ),
            ),
          ),
        ),
      ),
      sources.n_flows > MOST_ROWS
        ? h("p", { class: "left-out" }, `The first ${MOST_ROWS} of ${count(sources.n_flows)}.`)
        : null,
    ),
  ];
}

// Sources of the rows and of the columns, those with most of it first: the largest flows, as far as they fit.
function ofLargest(flows) {
  const [rows, columns] = [new Map(), new Map()]; // of a source: the articles that it has in the matrix
  const fits = (ends, place) => ends.has(place) || ends.size < MOST_SOURCES;
  let nShown = 0;
  for (const flow of flows) {
    if (!fits(rows, flow.from) || !fits(columns, flow.to)) continue;
    rows.set(flow.from, 0);
    columns.set(flow.to, 0);
  }
  for (const flow of flows) {
    if (!rows.has(flow.from) || !columns.has(flow.to)) continue;
    rows.set(flow.from, rows.get(flow.from) + flow.n);
    columns.set(flow.to, columns.get(flow.to) + flow.n);
    nShown++;
  }
  const weight = (place) => (rows.get(place) || 0) + (columns.get(place) || 0);
  const ordered = (ends) => [...ends.keys()].sort((a, b) => weight(b) - weight(a) || a - b);
  return { rows: ordered(rows), columns: ordered(columns), nShown };
}

function sourcesTable(form, set) {
  const found = sources.names.flatMap((name, i) => (name.toLowerCase().includes(form.q.toLowerCase()) ? [i] : []));
  const values = { name: (i) => sources.names[i], original: (i) => nOriginal(i) / sources.n_dated[i], n_undated: nUndated };
  const value = values[form.sort] || ((i) => sources[form.sort][i]);
  const way = form.way === "down" ? -1 : 1;
  const compare = form.sort === "name" ? new Intl.Collator().compare : (a, b) => a - b;
  // Of whom nothing is known come last either way.
  const isUnknown = (i) => Number.isNaN(value(i));
  found.sort((i, j) => isUnknown(i) - isUnknown(j) || way * compare(value(i), value(j)) || i - j);
  const isText = (key) => key === "name";
  const head = sortHeads(SOURCE_SORTS, form, set, isText, () => "down");
  return [
    scrolled(
      "Each source",
      h(
        "table",
        { class: "rows cards sources" },
        h("thead", null, h("tr", null, head, h("th", { scope: "col" }, "Lines that it repeats"))),
        h(
          "tbody",
          null,
          found
            .slice(0, MOST_ROWS)
            .map((i) =>
              h(
                "tr",
                null,
                h(
                  "th",
                  { scope: "row" },
                  h(
                    "a",
                    { href: `#clusters?${new URLSearchParams({ source: exactly(sources.names[i]) })}` },
                    sourceName(i),
                  ),
                ),
                [
                  ["articles", count(sources.n_articles[i])],
                  ["undated", count(nUndated(i))],
                  ["first", count(sources.n_first[i])],
                  ["later", count(sources.n_later[i])],
                  ["original", share(nOriginal(i), sources.n_dated[i])],
                  ["furniture", share(sources.furniture_share[i], 1)],
                ].map(([label, words]) => h("td", { class: "number", "data-label": label }, words)),
                h(
                  "td",
                  null,
                  sources.furniture[i]
                    ? h("details", null, h("summary", null, plural(sources.n_furniture[i], "line")), furnitureOf(i))
                    : "",
                ),
              ),
            ),
        ),
      ),
      found.length > MOST_ROWS
        ? h("p", { class: "left-out" }, `The first ${MOST_ROWS} of ${count(found.length)}.`)
        : null,
    ),
    h(
      "p",
      { class: "note" },
      "First: clusters of which it published the first article, or one of the first; of clusters with one dated article nobody knows. Later copies: published after the first of their cluster, by a source that was not among the first. Original: share of the dated articles that are no later copies. Furniture: share of the words that stand in lines repeated on many pages.",
    ),
  ];
}

function furnitureOf(key) {
  const lines = sources.furniture[key];
  const all = sources.n_furniture[key];
  return [
    h(
      "ul",
      { class: "furniture-lines" },
      lines.map(([line, n, nOwn]) => {
        const words = nOwn === undefined ? plural(n, "article") : `${plural(n, "article")}, ${count(nOwn)} more of sites that repeat it`;
        return h("li", null, outside(line), h("span", { class: "note" }, words));
      }),
    ),
    all > lines.length ? h("p", { class: "left-out" }, `The first ${lines.length} of ${count(all)}.`) : null,
  ];
}
