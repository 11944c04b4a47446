// One cluster: its members in the order of publishing, its pairs, and two of them side by side.

const MAX_ROWS = 200; // members listed at a time
const COPIED = { exact: "exact copy of", reprint: "reprint of", excerpt: "excerpt, as of", respun: "respun from" };

async function showCluster([id, leftAsked, rightAsked], query) {
  const place = await findCluster(id);
  if (place < 0)
    return {
      nodes: [
        h("h1", null, "No such cluster"),
        h("p", null, "This run has no cluster of two or more articles with the id ", outside(id), "."),
      ],
    };
  sources = await load("sources");
  const state = clusterState(await clusterAt(place), Number(leftAsked), Number(rightAsked), query);
  await fillBeside(state);
  const crumbs = h("p", { class: "crumbs" }, h("a", { href: `#clusters${asQuery(query)}` }, "Clusters"));
  // The order of the list takes all its files, and the cluster need not wait for it.
  listOrder(query)
    .then((order) => crumbs.append(around(state, order, order.indexOf(place))))
    .catch(() => null);
  return {
    nodes: [
      crumbs,
      h("h1", null, outside(state.cluster.title)),
      h("p", { class: "facts" }, facts(state.cluster)),
      state.bar,
      h(
        "div",
        { class: "cluster" },
        h("section", { "aria-label": "Members" }, state.table),
        h("section", { "aria-label": "Graph of the pairs" }, state.graph, await pairsOut(id), anyTwo()),
      ),
      state.beside,
    ],
    keys: {
      n: () => state.go(1),
      p: () => state.go(-1),
      j: () => pick(state, state.left, nextRight(state, 1)),
      k: () => pick(state, state.left, nextRight(state, -1)),
      x: () => pick(state, state.right, state.left),
    },
  };
}

// Pairs of its members with articles of other clusters, or of none; null for none.
async function pairsOut(id) {
  const { articles, pairs, n_all: nAll } = await load("between");
  const own = pairs.filter((pair) => [pair.l, pair.r].some((side) => articles[side].cluster_id === id));
  if (!own.length) return null;
  const rows = own.map((pair) => betweenRow(articles, pair));
  return h(
    "details",
    { class: "out" },
    h("summary", null, `${plural(own.length, "pair")} with articles outside of it`),
    scrolled("Pairs with articles outside", h("table", { class: "rows between" }, h("tbody", null, rows))),
    pairs.length < nAll
      ? h("p", { class: "left-out" }, `Of the ${count(pairs.length)} most certain of ${count(nAll)} such pairs.`)
      : null,
  );
}

const asQuery = (query) => (Object.keys(query).length ? `?${new URLSearchParams(query)}` : "");

// What is shown of a cluster, and which two are picked: the first and the representative, if nobody asked.
function clusterState(cluster, leftAsked, rightAsked, query) {
  const n = cluster.members.length;
  const isMember = (at) => Number.isInteger(at) && at >= 0 && at < n;
  const representative = cluster.members.findIndex((member) => member.is_representative);
  const left = isMember(leftAsked) ? leftAsked : 0;
  const otherwise = left === representative ? (left + 1) % n : representative;
  const state = {
    cluster,
    query,
    left,
    right: isMember(rightAsked) && rightAsked !== left ? rightAsked : otherwise,
    from: Math.floor(left / MAX_ROWS) * MAX_ROWS,
    table: h("div", { class: "box" }),
    beside: h("section", { class: "beside", "aria-label": "Side by side" }),
    picked: h("strong"),
    go: () => null,
  };
  state.graph = pairGraph(cluster, weakBelow(), (l, r) => pick(state, l, r), (i) => pick(state, state.left, i));
  state.bar = h(
    "p",
    { class: "picked" },
    state.picked,
    h("button", { type: "button", onclick: () => goTo(state.beside.querySelector("h2")) }, "to the texts ↓"),
    h("button", { type: "button", onclick: () => goTo(state.table.querySelector("input:checked")) }, "to the members ↑"),
  );
  listMembers(state);
  return state;
}

function goTo(element) {
  if (!element) return;
  element.scrollIntoView({ block: element.matches("h2") ? "start" : "center" });
  element.focus({ preventScroll: true });
}

function pick(state, l, r) {
  const { left, right } = state;
  if (l === r) [l, r] = l === left ? [r === right ? left : right, l] : [left, r];
  if (l === r) return null;
  [state.left, state.right] = [l, r];
  history.replaceState(null, "", `#cluster=${state.cluster.cluster_id}/${l}/${r}${asQuery(state.query)}`);
  mark(state);
  return fillBeside(state);
}

function nextRight({ cluster, left, right }, by) {
  const n = cluster.members.length;
  const step = (right + by + n) % n;
  return step === left ? (step + by + n) % n : step;
}

async function fillBeside(state) {
  const { cluster, left, right } = state;
  const pair = cluster.pairOf(left, right);
  const two = [cluster.members[left], cluster.members[right]];
  let nodes = null;
  try {
    nodes = await besideNodes(
      two,
      [left + 1, right + 1],
      pair ? pairWords(pair, pair.l !== left) : noPairWords(cluster, left, right),
    );
  } catch (error) {
    nodes = [h("p", { class: "left-out" }, error.message)];
  }
  if (state.left === left && state.right === right) put(state.beside, nodes); // else others were picked meanwhile
}

// Of two members that are no pair of the page. It has all pairs with the first and with the representative,
// whom each member is measured against, candidates or not.
function noPairWords({ members, pairs, nPairs }, left, right) {
  const [l, r] = [members[left], members[right]];
  const other = l.is_representative ? r : r.is_representative ? l : null;
  if (other && run.relations[other.relation].name !== "indirect")
    return [
      "Not a confirmed pair: the two were no candidates, or screened. Measured against the representative all the same:",
      representativeWords(other),
    ];
  if (!other && left && right && pairs.length < nPairs)
    return [
      `Not among the ${count(pairs.length)} of ${plural(nPairs, "pair")} of this cluster that the report holds; confirmed_pairs.parquet has all.`,
    ];
  return ["Not a confirmed pair: the two are in one cluster by way of others."];
}

function mark({ table, graph, picked, left, right }) {
  picked.textContent = `${left + 1} ↔ ${right + 1}`;
  for (const input of table.querySelectorAll("input"))
    input.checked = Number(input.value) === (input.name === "left" ? left : right);
  for (const node of graph.querySelectorAll(".node")) {
    node.classList.toggle("left", Number(node.dataset.member) === left);
    node.classList.toggle("right", Number(node.dataset.member) === right);
  }
}

function listMembers(state) {
  const { cluster, table, from } = state;
  const n = cluster.members.length;
  const words = `Members ${count(from + 1)} to ${count(Math.min(from + MAX_ROWS, n))} of ${count(n)}`;
  const go = (by) => {
    state.from += by * MAX_ROWS;
    listMembers(state);
  };
  put(
    table,
    scrolled("Members", membersTable(state)),
    n > MAX_ROWS ? pager("Pages of the members", words, from > 0, from + MAX_ROWS < n, go) : null,
  );
  mark(state);
}

// To the clusters before and after it in the list, where it is in the list.
function around(state, order, at) {
  if (at < 0) return "";
  const id = (by) => order[at + by] !== undefined && listed(order[at + by], "cluster_id");
  state.go = (by) => {
    if (id(by)) location.hash = `cluster=${id(by)}${asQuery(state.query)}`;
  };
  const words = `${count(at + 1)} of ${count(order.length)}`;
  return pager("Other clusters of the list", words, id(-1), id(1), state.go);
}

// Weak is a pair in the lower half of what is confirmed.
const weakBelow = () => (1 + run.manifest.threshold) / 2;

function facts(cluster) {
  return [
    `${plural(cluster.n_articles, "article")}, ${plural(cluster.n_sources, "source")}. `,
    whoWasFirst(cluster.members),
    pairsInWords(cluster),
    relationsOf(cluster.relations),
    h("span", { class: "id" }, cluster.cluster_id),
  ];
}

function whoWasFirst(members) {
  const known = members.filter((member) => member.at !== null);
  const nUnknown = members.length - known.length;
  if (!known.length) return "No member has a date. ";
  const at = known[0].at;
  const first = known.filter((member) => member.at === at);
  const names = [...new Set(first.map((member) => member.source))];
  const undated = nUnknown ? `; ${count(nUnknown)} ${nUnknown === 1 ? "has" : "have"} no date` : "";
  const listedNames = names.slice(0, 4).map((source, k) => [k ? ", " : "", sourceName(source)]);
  const by = [listedNames, names.length > 4 ? ` and ${count(names.length - 4)} more` : "", ", ", when(at)];
  const earliest = `Earliest of the ${plural(known.length, "dated article")}: `;
  if (known.length === 1) return [earliest, by, undated, ". "];
  const together = first.length > 1 ? `${count(first.length)} at the same time, by ` : "";
  const next = known[first.length];
  const later = next
    ? [`; the next ${lasting(next.at - at)} later, the last ${lasting(known[known.length - 1].at - at)} later`]
    : "";
  return [nUnknown ? earliest : together ? "First: " : "First published by ", together, by, later, undated, ". "];
}

// Neighbours are listed among the pairs, and are not confirmed.
function pairsInWords(cluster) {
  const hasNeighbours = run.relations.some((one, i) => !one.is_confirmed && cluster.relations & (1 << i));
  return `${count(cluster.nPairs)} ${hasNeighbours ? "listed" : "confirmed"} pair${cluster.nPairs === 1 ? "" : "s"}, the weakest that joins it ${decimals(cluster.min_probability)}. `;
}

function membersTable(state) {
  const { cluster, from } = state;
  const first = cluster.members[0].at;
  return h(
    "table",
    { class: "rows members" },
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        [
          ["", "order of publishing"],
          ["L", "left of the two side by side"],
          ["R", "right of the two side by side"],
          ["Published (UTC)"],
          ["Article"],
          ["Closest earlier article", "of those with which the pair is confirmed: closest relation, then highest cosine"],
          ["To the representative", run.measures.representative],
        ].map(([name, title]) => h("th", { scope: "col", title }, name)),
      ),
    ),
    h(
      "tbody",
      null,
      cluster.members.slice(from, from + MAX_ROWS).map((member, k) => memberRow(state, member, from + k, first)),
    ),
  );
}

function memberRow(state, member, i, first) {
  const radio = (name) =>
    h("input", {
      type: "radio",
      name,
      value: String(i),
      "aria-label": `${name} ${i + 1}`,
      onchange: () => (name === "left" ? pick(state, i, state.right) : pick(state, state.left, i)),
    });
  const later = member.at !== null && member.at > first;
  return h(
    "tr",
    { class: member.is_representative ? "representative" : null },
    h("td", { class: "number" }, String(i + 1)),
    h("td", null, radio("left")),
    h("td", null, radio("right")),
    h(
      "td",
      { class: "date" },
      member.at === null ? "no date" : dated(member.at),
      later ? h("span", { class: "note" }, `+${lasting(member.at - first)}`) : null,
    ),
    h(
      "td",
      { class: "story" },
      h("span", { class: "clamped" }, outside(member.title)),
      h(
        "span",
        { class: "note" },
        sourceName(member.source),
        " · ",
        outside(member.article_id, { class: "id" }),
        member.url ? [" · ", address(member.url)] : null,
      ),
    ),
    h("td", { class: "closest" }, closestWords(state, member, i, first)),
    h("td", null, representativeWords(member)),
  );
}

function closestWords(state, member, i, first) {
  const other = member.closest;
  if (other >= 0) {
    const pair = state.cluster.pairOf(i, other);
    const { name, meaning } = run.relations[pair.relation];
    return h(
      "button",
      { type: "button", class: `copied ${name}`, title: meaning, onclick: () => pick(state, other, i) },
      `${COPIED[name]} ${other + 1}`,
    );
  }
  if (member.at === null) return h("span", { class: "none" }, "no date");
  return member.at === first
    ? h("span", { class: "none" }, "none is earlier")
    : h("span", { class: "none" }, "no pair with an earlier one");
}

function representativeWords(member) {
  if (member.is_representative)
    return h("span", { class: "badge", title: run.measures.representative }, "representative");
  return [
    relation(member.relation),
    " ",
    h("span", { class: "number", title: run.measures.probability }, decimals(member.probability)),
    h(
      "span",
      { class: "note" },
      measured("cosine"),
      ` ${decimals(member.cosine)}, `,
      measured("jaccard"),
      ` ${decimals(member.jaccard)}`,
    ),
  ];
}
