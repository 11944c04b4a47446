// The list of clusters: filtered, sorted, a page at a time.

const A_PAGE = 50;
const SEARCHED_FILES = 30; // of details that a search looks into, beyond the titles in the list
const DEFAULTS = {
  q: "",
  texts: "",
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
  first: "First (UTC)",
  spread: "Spread",
  min_probability: "Weakest pair",
};
let memberWords = null; // per cluster: what its members have to search in, where that was loaded
// Texts beside the page that a search looks through, one file after the other, 128,000 of them.
const SEARCHED_TEXT_FILES = 2000;
let textHits = { key: null, found: null }; // of the last words: per word the clusters whose texts have it
let lastOrder = { key: null, order: null }; // of the clusters by a filter, for the next and the previous one

function showClusters() {
  const status = h("p", { class: "note", role: "status" }, "Loading …");
  const table = h("div", { class: "list" });
  const set = (changes, isTyped) => refine("clusters", DEFAULTS, changes, isTyped);
  const fields = filters(set);
  const update = async (query) => {
    const form = { ...DEFAULTS, ...query };
    const own = navigation;
    const tell = (words) => (own === navigation ? (status.textContent = words) : null);
    fillFields(fields, form);
    await loadLists((done, all) => (all > 1 ? tell(`Loading the list: ${done} of ${all} files …`) : null));
    fillSources();
    let words = "";
    try {
      await loadMemberWords();
    } catch (error) {
      words = `Only titles of representatives are searched: ${error.message}`;
    }
    const searched = [];
    if (inTexts(form))
      try {
        await searchTexts(form, (done, all) => tell(`Searching the texts: ${count(done)} of ${plural(all, "file")} …`));
        searched.push(textsSearched());
      } catch (error) {
        searched.push(`Texts are not searched: ${error.message}`);
      }
    if (own !== navigation) return;
    const order = await listOrder(query);
    if (own !== navigation) return;
    fillList(table, status, order, form, set);
    if (words && form.q) searched.push(words);
    for (const one of searched) if (one) status.append(" ", h("span", { class: "left-out" }, one));
  };
  return { nodes: [h("h1", null, "Clusters"), fields, status, table, anyTwo()], update };
}

// Places of the clusters that a filter finds, in its order.
async function listOrder(query) {
  const form = { ...DEFAULTS, ...query, page: "1" };
  const key = JSON.stringify([form, memberWords !== null, textHits.key]);
  if (lastOrder.key === key) return lastOrder.order;
  await loadLists();
  if (form.q) await loadMemberWords().catch(() => null);
  if (inTexts(form)) await searchTexts(form, () => null).catch(() => null);
  const order = sorted(chosen(form), form);
  lastOrder = { key: JSON.stringify([form, memberWords !== null, textHits.key]), order };
  return order;
}

const isLarge = () => run.shape.cluster_cuts.length - 1 > SEARCHED_FILES;
const textsAreInside = () => run.shape.text_files.every((name) => document.getElementById(`data-${name}`));

// Titles, ids and addresses of all members, and their texts where they are inside the page: of a large run too
// much to load for a search.
async function loadMemberWords() {
  const cuts = run.shape.cluster_cuts;
  if (memberWords || isLarge()) return;
  const words = [];
  for (let file = 0; file < cuts.length - 1; file++) {
    const { members } = await load(`clusters-${file}`);
    const texts = textsAreInside() ? await Promise.all(members.place.map(bodyAt)) : [];
    let begin = 0;
    for (const end of members.ends) {
      const own = [members.title, members.article_id, members.url, texts].map((column) => column.slice(begin, end));
      words.push(own.flat().join("\n").toLowerCase());
      begin = end;
    }
  }
  memberWords = words;
}

const wordsOf = (form) => form.q.toLowerCase().split(/\s+/).filter(Boolean);
const inTexts = (form) => form.q !== "" && form.texts !== "" && !textsAreInside();
const filesSearched = () => run.shape.text_files.slice(0, SEARCHED_TEXT_FILES);

// What a search in texts beside the page did not look through; null where it looked through all.
function textsSearched() {
  const n = filesSearched().length;
  if (n < run.shape.text_files.length)
    return `The texts of the first ${count(n)} of ${count(run.shape.text_files.length)} files are searched.`;
  const { n_texts: nTexts, n_shown: nShown } = run.shape;
  return nTexts < nShown ? `${count(nTexts)} of ${count(nShown)} texts are searched: the report has no more.` : null;
}

// Which clusters have each word in a text. Nothing of the texts stays in memory. Who goes elsewhere meanwhile
// ends it.
async function searchTexts(form, progress) {
  const words = wordsOf(form);
  const key = JSON.stringify(words);
  if (textHits.key === key) return;
  const asked = navigation;
  const clusterOf = await clustersOfPlaces();
  const found = words.map(() => new Set());
  const files = filesSearched();
  for (const [k, name] of files.entries()) {
    const { texts } = await load(name);
    texts.forEach((text, slot) => {
      const cluster = clusterOf[k * run.shape.texts_a_file + slot];
      if (cluster < 0) return;
      const own = text.toLowerCase();
      words.forEach((word, i) => (own.includes(word) ? found[i].add(cluster) : null));
    });
    progress(k + 1, files.length);
    if (asked !== navigation) throw new Error("something else was asked for");
  }
  textHits = { key, found };
}

// The cluster of the text at each place, -1 for none.
async function clustersOfPlaces() {
  const found = new Int32Array(run.shape.text_files.length * run.shape.texts_a_file).fill(-1);
  const cuts = run.shape.cluster_cuts;
  for (let file = 0; file < cuts.length - 1; file++) {
    const { members } = await load(`clusters-${file}`);
    let begin = 0;
    members.ends.forEach((end, at) => {
      for (const place of members.place.slice(begin, end)) if (place >= 0) found[place] = cuts[file] + at;
      begin = end;
    });
  }
  return found;
}

function filters(set) {
  const typed = (changes) => set(changes, true);
  const input = (label, name, type, props) => filterField(label, name, typed, { type, ...props });
  const choice = (label, name, choices) => choiceField(label, name, set, choices);
  const loosest = Object.entries(run.summary.clusters_by_relation).flatMap(([name, n]) => (n ? [name] : []));
  const words = isLarge()
    ? "words of the title, cluster id"
    : textsAreInside() && run.shape.n_texts
      ? "words of titles, texts, ids, addresses"
      : "words of titles, ids, addresses";
  return h(
    "form",
    { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    input(run.shape.n_texts ? "Search" : "Search, not in the texts", "q", "search", {
      id: "search",
      placeholder: words,
    }),
    run.shape.n_texts && !textsAreInside()
      ? h(
          "label",
          null,
          h("span", null, "In the texts too"),
          h("input", {
            type: "checkbox",
            name: "texts",
            onchange: (event) => set({ texts: event.target.checked ? "yes" : "" }),
          }),
        )
      : null,
    choice("Has a pair", "relation", run.in_clusters),
    choice("Loosest pair", "loosest", loosest),
    input("Source", "source", "search", { list: "source-names", title: 'In quotes: exactly this name' }),
    h("datalist", { id: "source-names" }),
    input("Articles from", "min", "number", { min: 2 }),
    input("Articles to", "max", "number", { min: 2 }),
    input("Published from (UTC)", "from", "date"),
    input("Published until (UTC)", "to", "date"),
    input("Weakest pair under", "weakest", "number", { min: 0, max: 1, step: 0.01 }),
    h("button", { type: "button", onclick: (event) => clear(event.target.form, set) }, "Clear"),
  );
}

// Half typed dates too.
function clear(fields, set) {
  fields.reset();
  set(DEFAULTS);
}

function fillSources() {
  const known = document.getElementById("source-names");
  if (known && !known.children.length)
    known.append(...sources.names.slice(0, 500).map((name) => h("option", { value: name })));
}

// Whether a source's name is, or has in it, what was asked for.
const isNamed = (name, asked) => exactly(name) === asked || name.toLowerCase().includes(asked.toLowerCase());
const joiningBits = () => run.relations.reduce((bits, one, i) => (one.joins ? bits | (1 << i) : bits), 0);

function chosen(form) {
  const words = wordsOf(form);
  const hits = inTexts(form) && textHits.key === JSON.stringify(words) ? textHits.found : null;
  const wanted =
    form.source && new Set(sources.names.flatMap((name, i) => (isNamed(name, form.source) ? [i] : [])));
  const [wantedBit, joining] = [1 << numberOf(form.relation), joiningBits()];
  const [from, to] = [form.from && Date.parse(form.from) / 1000, form.to && Date.parse(form.to) / 1000 + 86400];
  const [min, max, weakest] = [Number(form.min || 0), Number(form.max || Infinity), Number(form.weakest || Infinity)];
  const found = [];
  const n = run.summary.n_clusters;
  for (let i = 0; i < n; i++) {
    const size = listed(i, "n_articles");
    const bits = listed(i, "relations");
    if (size < min || size > max) continue;
    if (form.relation && !(bits & wantedBit)) continue;
    if (form.loosest && 31 - Math.clz32(bits & joining) !== numberOf(form.loosest)) continue;
    if (form.weakest && !(listed(i, "min_probability") < weakest)) continue;
    if (from && !(listed(i, "last") !== null && listed(i, "last") >= from)) continue;
    if (to && !(listed(i, "first") !== null && listed(i, "first") < to)) continue;
    if (wanted && !sourcesOf(i).some((place) => wanted.has(place))) continue;
    if (words.length) {
      const text =
        `${listed(i, "title")}\n${listed(i, "cluster_id")}\n${memberWords ? memberWords[i] : ""}`.toLowerCase();
      if (!words.every((word, k) => text.includes(word) || (hits && hits[k].has(i)))) continue;
    }
    found.push(i);
  }
  return found;
}

const spread = (i) => (listed(i, "first") === null ? null : listed(i, "last") - listed(i, "first"));

function sorted(found, form) {
  if (!SORTS[form.sort]) form = { ...form, sort: DEFAULTS.sort };
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

function fillList(table, status, order, form, set) {
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
  const go = (by) => toPage(set, at + by);
  const query = changed(form, DEFAULTS);
  put(
    table,
    h(
      "table",
      { class: "rows cards clusters" },
      h("thead", null, h("tr", null, head, h("th", { scope: "col" }, "Relations"))),
      h("tbody", null, order.slice((at - 1) * A_PAGE, at * A_PAGE).map((i) => clusterRow(i, query))),
    ),
    nPages > 1
      ? pager("Pages of the list", `Page ${count(at)} of ${count(nPages)}`, at > 1, at < nPages, go)
      : h("p"),
  );
}

// From the end of a page of a list to the beginning of another.
function toPage(set, page) {
  set({ page: String(page) });
  window.scrollTo(0, 0);
}

function clusterRow(i, query) {
  const own = sourcesOf(i);
  const shown = own.slice(0, 4);
  const first = listed(i, "first");
  return h(
    "tr",
    null,
    h(
      "th",
      { scope: "row", class: "story" },
      h(
        "a",
        { class: "clamped", href: `#cluster=${listed(i, "cluster_id")}${asQuery(query)}` },
        outside(listed(i, "title")),
      ),
      h(
        "span",
        { class: "note" },
        shown.map((place, k) => [k ? ", " : "", sourceName(place)]),
        own.length > shown.length ? ` and ${own.length - shown.length} more` : "",
      ),
    ),
    h("td", { class: "number", "data-label": "articles" }, count(listed(i, "n_articles"))),
    h("td", { class: "number", "data-label": "sources" }, count(listed(i, "n_sources"))),
    h("td", { class: "number date", "data-label": "first" }, first === null ? "–" : dated(first)),
    h("td", { class: "number", "data-label": "spread" }, first === null ? "–" : lasting(spread(i))),
    h("td", { class: "number", "data-label": "weakest" }, decimals(listed(i, "min_probability"))),
    h("td", null, relationsOf(listed(i, "relations"))),
  );
}
