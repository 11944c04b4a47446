// The list of clusters: filtered, sorted, a page at a time.

const A_PAGE = 50;
const SEARCHED_FILES = 30; // of details that a search looks into, beyond the titles in the list
const DEFAULTS = {
  q: "",
  relation: "",
  loosest: "",
  source: "",
  min: "",
  max: "",
  from: "",
  to: "",
  weakest: "",
  sort: "n_articles",
  way: "down",
  page: "1",
};
const SORTS = {
  title: "Story",
  n_articles: "Articles",
  n_sources: "Sources",
  first: "First",
  spread: "Spread",
  min_probability: "Weakest pair",
};
let order = []; // places of the clusters that the list shows, for the next and the previous one
let memberWords = null; // per cluster: titles, ids and addresses of its members, where they were loaded

async function showClusters(asked) {
  const form = { ...DEFAULTS, ...asked };
  const status = h("p", { class: "note", role: "status" }, "Loading …");
  const table = h("div", { class: "list" });
  const set = (changes) => {
    const next = { ...form, page: "1", ...changes };
    location.hash = `clusters?${new URLSearchParams(Object.entries(next).filter(([key, value]) => value !== DEFAULTS[key]))}`;
  };
  const page = [h("h1", null, "Clusters"), filters(form, set), status, table];
  const filled = (async () => {
    await loadLists((done, all) => {
      if (all > 1) status.textContent = `Loading the list: ${done} of ${all} files …`;
    });
    await loadMemberWords();
    fillSources();
    order = sorted(chosen(form), form);
    fillList(table, status, form, set);
  })().catch((error) => {
    status.textContent = error.message;
    status.className = "left-out";
  });
  return { page, filled };
}

// Titles, ids and addresses of all members: of a large run too much to load for a search.
async function loadMemberWords() {
  const cuts = run.shape.cluster_cuts;
  if (memberWords || cuts.length - 1 > SEARCHED_FILES) return;
  const words = [];
  for (let file = 0; file < cuts.length - 1; file++) {
    const { members } = await load(`clusters-${file}`);
    let begin = 0;
    for (const end of members.ends) {
      words.push(
        [
          ...members.title.slice(begin, end),
          ...members.article_id.slice(begin, end),
          ...members.url.slice(begin, end),
        ]
          .join("\n")
          .toLowerCase(),
      );
      begin = end;
    }
  }
  memberWords = words;
}

function filters(form, set) {
  const field = (label, input) => h("label", null, h("span", null, label), input);
  const input = (name, type, props) =>
    h("input", {
      type,
      name,
      value: form[name],
      autocomplete: "off",
      ...props,
      onchange: (event) => set({ [name]: event.target.value.trim() }),
    });
  const choice = (name, words) =>
    h(
      "select",
      { name, onchange: (event) => set({ [name]: event.target.value }) },
      h("option", { value: "" }, "any"),
      RELATIONS.map((relationName, i) =>
        h("option", { value: String(i), selected: form[name] === String(i) }, words(relationName)),
      ),
    );
  const isLarge = run.shape.cluster_cuts.length - 1 > SEARCHED_FILES;
  return h(
    "form",
    { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    field(
      "Search",
      input("q", "search", {
        id: "search",
        placeholder: isLarge ? "words of the title, cluster id" : "words of titles, ids, addresses",
      }),
    ),
    field(
      "Has a pair",
      choice("relation", (name) => name),
    ),
    field(
      "Loosest pair",
      choice("loosest", (name) => name),
    ),
    field("Source", input("source", "search", { list: "source-names" })),
    h("datalist", { id: "source-names" }),
    field("Articles from", input("min", "number", { min: 2 })),
    field("to", input("max", "number", { min: 2 })),
    field("Published from", input("from", "date")),
    field("until", input("to", "date")),
    field("Weakest pair under", input("weakest", "number", { min: 0, max: 1, step: 0.01 })),
    h("button", { type: "button", onclick: () => set(DEFAULTS) }, "Clear"),
  );
}

function fillSources() {
  const known = document.getElementById("source-names");
  if (known) known.append(...sources.names.slice(0, 500).map((name) => h("option", { value: name })));
}

function chosen(form) {
  const words = form.q.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted =
    form.source &&
    new Set(sources.names.flatMap((name, i) => (name.toLowerCase().includes(form.source.toLowerCase()) ? [i] : [])));
  const [from, to] = [form.from && Date.parse(form.from) / 1000, form.to && Date.parse(form.to) / 1000 + 86400];
  const [min, max, weakest] = [Number(form.min || 0), Number(form.max || Infinity), Number(form.weakest || Infinity)];
  const found = [];
  const n = run.summary.n_clusters;
  for (let i = 0; i < n; i++) {
    const size = listed(i, "n_articles");
    const bits = listed(i, "relations");
    if (size < min || size > max) continue;
    if (form.relation && !(bits & (1 << Number(form.relation)))) continue;
    if (form.loosest && 31 - Math.clz32(bits) !== Number(form.loosest)) continue;
    if (form.weakest && !(listed(i, "min_probability") < weakest)) continue;
    if (from && !(listed(i, "last") !== null && listed(i, "last") >= from)) continue;
    if (to && !(listed(i, "first") !== null && listed(i, "first") < to)) continue;
    if (wanted && !sourcesOf(i).some((place) => wanted.has(place))) continue;
    if (words.length) {
      const text =
        `${listed(i, "title")}\n${listed(i, "cluster_id")}\n${memberWords ? memberWords[i] : ""}`.toLowerCase();
      if (!words.every((word) => text.includes(word))) continue;
    }
    found.push(i);
  }
  return found;
}

const spread = (i) => (listed(i, "first") === null ? null : listed(i, "last") - listed(i, "first"));

function sorted(found, form) {
  const value = form.sort === "spread" ? spread : (i) => listed(i, form.sort);
  const values = new Map(found.map((i) => [i, value(i)]));
  const way = form.way === "down" ? -1 : 1;
  const compare = form.sort === "title" ? new Intl.Collator().compare : (a, b) => a - b;
  // What is unknown comes last either way; ties go by size, then by id.
  return found.sort((i, j) => {
    const [a, b] = [values.get(i), values.get(j)];
    if (a === null || b === null) return (a === null) - (b === null) || i - j;
    return (
      way * compare(a, b) ||
      listed(j, "n_articles") - listed(i, "n_articles") ||
      listed(j, "n_sources") - listed(i, "n_sources") ||
      i - j
    );
  });
}

function fillList(table, status, form, set) {
  const nPages = Math.max(1, Math.ceil(order.length / A_PAGE));
  const at = Math.min(Math.max(1, Number(form.page) || 1), nPages);
  status.textContent =
    order.length === run.summary.n_clusters
      ? plural(order.length, "cluster")
      : `${count(order.length)} of ${plural(run.summary.n_clusters, "cluster")}`;
  if (!order.length) {
    put(
      table,
      h(
        "p",
        { class: "note" },
        run.summary.n_clusters ? "No cluster is like this." : "The run found no cluster of two or more articles.",
      ),
    );
    return;
  }
  const firstWay = (key) => (key === "title" || key === "min_probability" ? "up" : "down");
  const head = sortHeads(SORTS, form, set, (key) => key === "title", firstWay);
  const pager = h(
    "nav",
    { class: "pager", "aria-label": "Pages of the list" },
    h(
      "button",
      { type: "button", name: "previous", disabled: at === 1, onclick: () => set({ page: String(at - 1) }) },
      "← Previous",
    ),
    h("span", null, `Page ${count(at)} of ${count(nPages)}`),
    h(
      "button",
      { type: "button", name: "next", disabled: at === nPages, onclick: () => set({ page: String(at + 1) }) },
      "Next →",
    ),
  );
  put(
    table,
    h(
      "table",
      { class: "rows clusters" },
      h("thead", null, h("tr", null, head, h("th", { scope: "col" }, "Relations"))),
      h("tbody", null, order.slice((at - 1) * A_PAGE, at * A_PAGE).map(clusterRow)),
    ),
    nPages > 1 ? pager : h("p"),
  );
}

function clusterRow(i) {
  const own = sourcesOf(i);
  const shown = own.slice(0, 4);
  const first = listed(i, "first");
  return h(
    "tr",
    null,
    h(
      "th",
      { scope: "row", class: "story" },
      h("a", { href: `#cluster=${listed(i, "cluster_id")}` }, outside(listed(i, "title"))),
      h(
        "span",
        { class: "note" },
        shown.map((place, k) => [k ? ", " : "", sourceName(place)]),
        own.length > shown.length ? ` and ${own.length - shown.length} more` : "",
      ),
    ),
    h("td", { class: "number", "data-label": "articles" }, count(listed(i, "n_articles"))),
    h("td", { class: "number", "data-label": "sources" }, count(listed(i, "n_sources"))),
    h("td", { class: "number date", "data-label": "first" }, first === null ? "–" : when(first)),
    h("td", { class: "number", "data-label": "spread" }, first === null ? "–" : lasting(spread(i))),
    h("td", { class: "number", "data-label": "weakest" }, decimals(listed(i, "min_probability"))),
    h("td", null, relationsOf(listed(i, "relations"))),
  );
}
