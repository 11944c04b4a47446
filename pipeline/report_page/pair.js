// Any two articles of the report side by side, whether they are in one cluster or not.

async function showPair(ids, query) {
  sources = await load("sources");
  const [left, right] = ids || ["", ""];
  const nodes = [h("h1", null, "Two articles side by side"), pairForm(left || "", right || "")];
  if (!left || !right) return { nodes };
  if (left === right) return { nodes: [nodes, h("p", { class: "left-out" }, "Both ids are of the same article.")] };
  const between = await load("between");
  const found = await Promise.all([left, right].map(findArticle));
  const missing = [left, right].filter((_, side) => !found[side]);
  if (missing.length)
    return {
      nodes: [
        nodes,
        missing.map((id) => h("p", { class: "left-out" }, "The report shows no article with the id ", outside(id), ".")),
      ],
    };
  const place = (id) => between.articles.findIndex((article) => article.article_id === id);
  const [l, r] = [place(left), place(right)];
  const pair = between.pairs.find((one) => (one.l === l && one.r === r) || (one.l === r && one.r === l));
  const heads = found.map((article, side) =>
    h(
      "li",
      null,
      h("strong", null, side ? "right" : "left"),
      " ",
      outside(article.title),
      " · ",
      clusterLink(article),
      article.url ? [" · ", address(article.url)] : null,
    ),
  );
  const words = pair ? pairWords(pair, pair.l !== l) : await knownWords(found);
  const beside = await besideNodes(found, ["left", "right"], words);
  return { nodes: [nodes, h("ul", { class: "heads" }, heads), h("section", { class: "beside" }, beside)] };
}

// What is known of two articles that are no pair between clusters.
async function knownWords([left, right]) {
  if (left.cluster_id !== right.cluster_id)
    return [
      run.n_between > (await load("between")).pairs.length
        ? "Not among the pairs between clusters that the report holds; confirmed_pairs.parquet has all."
        : "Not a confirmed pair.",
    ];
  const at = await findCluster(left.cluster_id);
  if (at < 0) return ["Not a confirmed pair."];
  const cluster = await clusterAt(at);
  const [i, j] = [left, right].map((own) =>
    cluster.members.findIndex((member) => member.article_id === own.article_id),
  );
  const pair = cluster.pairOf(i, j);
  return pair ? pairWords(pair, pair.l !== i) : noPairWords(cluster, i, j);
}

const pairHash = (left, right) => `#pair=${encodeURIComponent(left)}/${encodeURIComponent(right)}`;

// To the form for two articles that are in no list together.
const anyTwo = () => h("p", { class: "note" }, h("a", { href: "#pair" }, "Any two articles side by side"));

// The article's id, as a link where it is in a cluster of two or more.
function clusterLink(article) {
  const id = outside(article.article_id, { class: "id" });
  return article.cluster_id ? h("a", { href: `#cluster=${article.cluster_id}` }, id) : id;
}

function pairForm(left, right) {
  const field = (label, value) =>
    h("label", null, h("span", null, label), h("input", { name: label, value, autocomplete: "off" }));
  const form = h(
    "form",
    {
      class: "filters",
      onsubmit: (event) => {
        event.preventDefault();
        const [one, other] = ["left", "right"].map((name) => form.elements[name].value.trim());
        if (one && other) location.hash = pairHash(one, other);
      },
    },
    field("left", left),
    field("right", right),
    h("button", { type: "submit" }, "Compare"),
    h("p", { class: "note" }, "Ids of articles whose texts the report has."),
  );
  return form;
}
