// One cluster: its members in the order of publishing, its confirmed pairs, and two of them side by side.

const MAX_ROWS = 200; // members listed at a time

async function showCluster(id, leftAsked, rightAsked) {
  const place = await findCluster(id);
  if (place < 0)
    return [
      h("h1", null, "No such cluster"),
      h("p", null, "This run has no cluster of two or more articles with the id ", outside(id), "."),
    ];
  sources = await load("sources");
  const cluster = await clusterAt(place);
  const n = cluster.members.length;
  const representative = cluster.members.findIndex((member) => member.is_representative);
  let left = isMember(leftAsked, n) ? leftAsked : 0;
  let right =
    isMember(rightAsked, n) && rightAsked !== left
      ? rightAsked
      : left === representative
        ? (left + 1) % n
        : representative;
  const beside = h("section", { class: "beside", "aria-label": "Side by side" });
  const graph = pairGraph(cluster, weakBelow(), (l, r) => pick(l, r));
  const table = h("div", { class: "scroll" });

  const pick = (l, r) => {
    if (l === r) [l, r] = l === left ? [l, left === right ? (l + 1) % n : right] : [left, r];
    [left, right] = [l, r];
    history.replaceState(null, "", `#cluster=${id}/${left}/${right}`);
    mark();
    return fillBeside(beside, cluster, left, right);
  };
  const mark = () => {
    for (const input of table.querySelectorAll("input"))
      input.checked = Number(input.value) === (input.name === "left" ? left : right);
    for (const node of graph.querySelectorAll(".node")) {
      node.classList.toggle("left", Number(node.dataset.member) === left);
      node.classList.toggle("right", Number(node.dataset.member) === right);
    }
  };
  let from = Math.floor(left / MAX_ROWS) * MAX_ROWS;
  const list = () => {
    put(
      table,
      membersTable(cluster, from, pick),
      n > MAX_ROWS
        ? h(
            "nav",
            { class: "pager", "aria-label": "Pages of the members" },
            h(
              "button",
              {
                type: "button",
                disabled: from === 0,
                onclick: () => {
                  from -= MAX_ROWS;
                  list();
                },
              },
              "← Previous",
            ),
            h("span", null, `Members ${count(from + 1)} to ${count(Math.min(from + MAX_ROWS, n))} of ${count(n)}`),
            h(
              "button",
              {
                type: "button",
                disabled: from + MAX_ROWS >= n,
                onclick: () => {
                  from += MAX_ROWS;
                  list();
                },
              },
              "Next →",
            ),
          )
        : null,
    );
    mark();
  };
  list();
  stepping = {
    n: () => go(1),
    p: () => go(-1),
    j: () => pick(left, next(right, 1)),
    k: () => pick(left, next(right, -1)),
    x: () => pick(right, left),
  };
  const next = (at, by) => {
    const step = (at + by + n) % n;
    return step === left ? (step + by + n) % n : step;
  };
  const at = order.indexOf(place);
  const go = (by) => {
    if (at >= 0 && order[at + by] !== undefined) location.hash = `cluster=${listed(order[at + by], "cluster_id")}`;
  };
  const around =
    at < 0
      ? null
      : h(
          "nav",
          { class: "around", "aria-label": "Other clusters of the list" },
          h("button", { type: "button", disabled: order[at - 1] === undefined, onclick: () => go(-1) }, "← Previous"),
          h("span", null, `${count(at + 1)} of ${count(order.length)}`),
          h("button", { type: "button", disabled: order[at + 1] === undefined, onclick: () => go(1) }, "Next →"),
        );
  await pick(left, right);
  return [
    h("p", { class: "crumbs" }, h("a", { href: listHash() }, "Clusters"), around),
    h("h1", null, outside(cluster.title)),
    h("p", { class: "facts" }, facts(cluster)),
    h(
      "div",
      { class: "cluster" },
      h("section", { "aria-label": "Members" }, table),
      h("section", { "aria-label": "Graph of the confirmed pairs" }, graph),
    ),
    beside,
  ];
}

const isMember = (at, n) => Number.isInteger(at) && at >= 0 && at < n;
// Weak is a pair in the lower half of what is confirmed.
const weakBelow = () => (1 + run.manifest.threshold) / 2;

function facts(cluster) {
  const [first, second] = cluster.members;
  const dated = cluster.members.filter((member) => member.at !== null);
  const pieces = [`${plural(cluster.n_articles, "article")}, ${plural(cluster.n_sources, "source")}. `];
  if (first.at === null) pieces.push("No member has a date. ");
  else {
    const together = dated.filter((member) => member.at === first.at).length;
    pieces.push(
      together > 1
        ? `${count(together)} were first, at ${when(first.at)}`
        : ["First published by ", sourceName(first.source), `, ${when(first.at)}`],
    );
    if (dated.length > 1)
      pieces.push(
        `; ${second.at !== null && together === 1 ? `the next ${lasting(second.at - first.at)} later, ` : ""}the last ${lasting(dated[dated.length - 1].at - first.at)} later`,
      );
    pieces.push(". ");
  }
  pieces.push(
    `${plural(cluster.nPairs, "confirmed pair")}, the weakest ${decimals(cluster.min_probability)}. `,
    relationsOf(cluster.relations),
    h("span", { class: "id" }, cluster.cluster_id),
  );
  return pieces;
}

function membersTable(cluster, from, pick) {
  const first = cluster.members[0].at;
  const radio = (name, i) =>
    h("input", {
      type: "radio",
      name,
      value: String(i),
      "aria-label": `${name} ${i + 1}`,
      onchange: () =>
        pick(
          ...["left", "right"].map((side) =>
            side === name ? i : Number(document.querySelector(`input[name=${side}]:checked`)?.value ?? i),
          ),
        ),
    });
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
          ["Published"],
          ["Article"],
          ["To the representative", "relation and probability"],
        ].map(([name, title]) => h("th", { scope: "col", title }, name)),
      ),
    ),
    h(
      "tbody",
      null,
      cluster.members.slice(from, from + MAX_ROWS).map((member, k) => {
        const i = from + k;
        return h(
          "tr",
          { class: member.is_representative ? "representative" : null },
          h("td", { class: "number" }, String(i + 1)),
          h("td", null, radio("left", i)),
          h("td", null, radio("right", i)),
          h(
            "td",
            { class: "date" },
            when(member.at),
            member.at !== null && member.at > first
              ? h("span", { class: "note" }, `+${lasting(member.at - first)}`)
              : null,
          ),
          h(
            "td",
            { class: "story" },
            outside(member.title || member.article_id),
            h(
              "span",
              { class: "note" },
              sourceName(member.source),
              " · ",
              outside(member.article_id, { class: "id" }),
              member.url ? [" · ", address(member.url)] : null,
            ),
          ),
          h(
            "td",
            null,
            member.is_representative
              ? h("span", { class: "badge" }, "representative")
              : [
                  relation(member.relation),
                  " ",
                  h("span", { class: "number" }, decimals(member.probability)),
                  h(
                    "span",
                    { class: "note" },
                    `cosine ${decimals(member.cosine)}, jaccard ${decimals(member.jaccard)}`,
                  ),
                ],
          ),
        );
      }),
    ),
  );
}
