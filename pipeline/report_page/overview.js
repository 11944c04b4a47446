// What the run found: the numbers of the summary and the manifest, as they are there.

function showOverview() {
  const { summary, manifest, timeline } = run;
  const counts = manifest.counts;
  const groups = plural(summary.n_repeated_groups, "group");
  const figure = (value, words, href) =>
    h(
      "li",
      null,
      h("strong", null, href ? h("a", { href }, count(value)) : count(value)),
      h("span", null, words.split("|")[value === 1 ? 0 : words.split("|").length - 1]),
    );
  return [
    h("h1", null, "What this run found"),
    h(
      "ul",
      { class: "figures" },
      figure(
        summary.n_articles,
        summary.n_earlier ? `article|articles, ${count(summary.n_earlier)} of earlier nights` : "article|articles",
      ),
      figure(summary.n_clusters, "cluster of two or more|clusters of two or more", "#clusters"),
      figure(summary.n_clustered, `article in them|articles in them, ${share(summary.n_clustered, summary.n_articles)}`),
      figure(summary.n_pairs, "confirmed pair|confirmed pairs"),
      summary.n_neighbours ? figure(summary.n_neighbours, "pair of neighbours|pairs of neighbours") : null,
      figure(
        summary.n_articles_with_repeats,
        ["article", "articles"].map((noun) => `${noun} with repeated sections, ${groups}`).join("|"),
        "#repeats",
      ),
      figure(summary.n_rejected, "row rejected|rows rejected"),
      summary.n_unreadable_dates
        ? figure(summary.n_unreadable_dates, "article whose date can't be read|articles whose date can't be read")
        : null,
      summary.n_files_passed_over
        ? figure(summary.n_files_passed_over, "file of another kind passed over|files of another kind passed over")
        : null,
      summary.index ? figure(summary.n_recognised, "came again") : null,
      summary.index ? figure(summary.n_new_versions, "with another text than before") : null,
    ),
    leftOut(),
    h(
      "div",
      { class: "grid" },
      part(
        summary.n_neighbours ? "Listed pairs by relation" : "Confirmed pairs by relation",
        bars(
          "Pairs by relation",
          pairRelations().map((name) => ({
            label: relationBadge(name),
            n: summary.pairs_by_relation[name],
            parts: [{ class: `fill-${name}`, n: summary.pairs_by_relation[name] }],
          })),
        ),
        betweenPairs(),
        anyTwo(),
      ),
      part(
        "Clusters by their loosest relation",
        bars(
          "Clusters by their loosest relation",
          joiningRelations().map((name) => ({
            label: summary.clusters_by_relation[name]
              ? relationBadge(name, { href: `#clusters?loosest=${name}` })
              : relationBadge(name),
            n: summary.clusters_by_relation[name],
            parts: [{ class: `fill-${name}`, n: summary.clusters_by_relation[name] }],
          })),
        ),
      ),
      part(
        "Sizes of the clusters",
        bars(
          "Clusters by number of articles",
          run.sizes.filter((bin) => bin.n).map((bin) => ({ label: `${bin.label} articles`, n: bin.n })),
        ),
      ),
      part("Probabilities of the pairs", probabilities(manifest.threshold)),
      part(
        "From candidates to clusters",
        bars("From candidates to clusters", [
          { label: "candidate pairs", n: counts.n_candidate_pairs },
          { label: "left by the screen", n: counts.n_candidate_pairs - counts.n_screened_pairs },
          {
            label: summary.index ? "confirmed, nights before too" : "confirmed",
            n: summary.n_pairs,
          },
        ]),
        h(
          "p",
          { class: "note" },
          `Confirmed from a probability of ${decimals(manifest.threshold, 3)} on, by calibration `,
          outside(manifest.calibration),
          ".",
          counts.n_oversized_buckets
            ? ` ${plural(counts.n_oversized_buckets, "bucket")} ${counts.n_oversized_buckets === 1 ? "was" : "were"} too large to compare all articles in ${counts.n_oversized_buckets === 1 ? "it" : "them"}.`
            : "",
          " The stage screen counts the pairs that it writes: those that are left, and the others too where keep_rejected_candidates asks for them.",
        ),
      ),
      part("Largest clusters", largest(summary.largest)),
      summary.newest.length && summary.index ? part("Newest clusters", largest(summary.newest)) : null,
      summary.index ? part("The index", indexFacts(summary)) : null,
      part(
        "First and later articles, UTC",
        timeline
          ? timelineChart(timeline)
          : h("p", { class: "note" }, "No article of a cluster has a time of publication."),
        "wide",
      ),
    ),
    rejectedPart(),
    stagesPart(manifest),
    runPart(manifest),
  ];
}

function indexFacts({ index, n_recognised: nRecognised, n_new_versions: nVersions }) {
  const row = (name, ...value) => [h("dt", null, name), h("dd", null, value)];
  const events = Object.entries(run.events).map(([event, n]) => `${count(n)} ${event}`);
  return [
    h(
      "dl",
      null,
      row("articles before", count(index.n_articles_before)),
      row("came again", `${count(nRecognised)} as they were, ${count(nVersions)} with another text`),
      row("clusters", events.length ? events.join(", ") : "none changed"),
      index.n_forgotten
        ? row("forgotten", `${count(index.n_forgotten)} articles, ${count(index.n_forgotten_new)} of this run`)
        : null,
      row(
        "drift",
        decimals(index.drift, 3),
        index.is_rebuild_due ? h("strong", null, ": a rebuild is due, respun index rebuild") : "",
      ),
      row("statistics", index.statistics === null ? "of this run" : outside(index.statistics)),
    ),
    index.is_rebuild_due
      ? h("p", { class: "note" }, "Drift: how much of what was said is new to the counts that the index began with.")
      : null,
  ];
}

// No pair of another relation can be the loosest of a cluster.
const joiningRelations = () =>
  Object.keys(run.summary.clusters_by_relation).filter((name) => run.relations[numberOf(name)].joins);

// Pairs that are in no cluster's graph.
function betweenPairs() {
  if (!run.n_between) return null;
  return [
    h(
      "p",
      { class: "note" },
      `${plural(run.n_between, "pair")} of them ${run.n_between === 1 ? "leads" : "lead"} out of a cluster: excerpts and neighbours join none, and chains are broken.`,
    ),
    h("details", { ontoggle: (event) => fillBetween(event.target) }, h("summary", null, "Which")),
  ];
}

async function fillBetween(details) {
  if (!details.open || details.querySelector("table")) return;
  try {
    sources = await load("sources");
    const { articles, pairs, n_all: nAll } = await load("between");
    details.append(
      scrolled(
        "Pairs between clusters",
        h("table", { class: "rows between" }, h("tbody", null, pairs.map((pair) => betweenRow(articles, pair)))),
      ),
      pairs.length < nAll
        ? h(
            "p",
            { class: "left-out" },
            `The ${count(pairs.length)} most certain of ${count(nAll)}; confirmed_pairs.parquet has all.`,
          )
        : "",
    );
  } catch (error) {
    details.append(h("p", { class: "left-out" }, error.message));
  }
}

function betweenRow(articles, pair) {
  const [left, right] = [articles[pair.l], articles[pair.r]];
  return h(
    "tr",
    null,
    h("td", null, clusterLink(left), h("br"), clusterLink(right)),
    h("td", null, relation(pair.relation)),
    h("td", { class: "number" }, decimals(pair.probability)),
    h("td", null, h("a", { href: pairHash(left.article_id, right.article_id) }, "side by side")),
  );
}

const part = (title, ...content) => {
  const wide = content.includes("wide");
  return h(
    "section",
    { class: wide ? "card wide" : "card" },
    h("h2", null, title),
    content.filter((one) => one !== "wide"),
  );
};

function leftOut() {
  const { n_texts: nTexts, n_shown: nShown, n_gone: nGone } = run.shape;
  if (nTexts === nShown) return null;
  const shown = nTexts
    ? `The report has the texts of ${count(nTexts)} of the ${count(nShown)} articles that it shows: those with repeats, those of pairs between clusters, and those of the largest clusters. `
    : "The report has no texts. ";
  return [
    nTexts + nGone < nShown ? h("p", { class: "left-out" }, shown, whereTextsAre()) : null,
    nGone ? goneTexts() : null,
  ];
}

// Texts of earlier nights that can't be had.
function goneTexts() {
  const { n_gone: nGone, n_gone_runs: nRuns, gone } = run.shape;
  return h(
    "div",
    { class: "left-out gone" },
    `The texts of ${plural(nGone, "article")} of earlier nights are not there. Each lies in the run that brought it:`,
    h(
      "ul",
      null,
      gone.map(({ run_id: id, n, why }) => h("li", null, outside(id, { class: "id" }), ` ${why}; ${plural(n, "article")}`)),
      nRuns > gone.length ? h("li", null, `and ${plural(nRuns - gone.length, "earlier run")} more`) : null,
    ),
    "With these runs back in their place beside this one, this writes the texts too: ",
    command("report"),
    ".",
  );
}

function probabilities(threshold) {
  const n = run.probabilities[0].length;
  const from = run.summary.n_neighbours ? 0 : Math.min(Math.floor(threshold * n), n - 1); // neighbours may have less
  const bins = Array.from({ length: n - from }, (_, i) => i + from);
  const labels = bins.map((bin) => `${decimals(bin / n)}–${decimals((bin + 1) / n)}`);
  const series = pairRelations().map((name) => ({
    class: `fill-${name}`,
    label: name,
    values: bins.map((bin) => run.probabilities[numberOf(name)][bin]),
  }));
  return columns(
    "Pairs by probability",
    labels,
    series,
    bins.map((bin) => decimals(bin / n)),
    420,
  );
}

function timelineChart(timeline) {
  const length = { hour: 13, day: 10, month: 7, year: 4 }[timeline.unit];
  const labels = timeline.starts.map(
    (at) => new Date(at * 1000).toISOString().slice(0, length).replace("T", " ") + (length === 13 ? ":00" : ""),
  );
  return [
    columns(
      `Articles of clusters by ${timeline.unit} of publication`,
      labels,
      [
        { class: "fill-first", label: "first of its cluster", values: timeline.first },
        { class: "fill-later", label: "later", values: timeline.later },
      ],
      labels,
      1200,
    ),
    h(
      "p",
      { class: "note" },
      "Later: all that were published after the first of their cluster, those of the same source too. Sources counts later copies, which are of other sources.",
    ),
    timeline.n_left_out
      ? h(
          "p",
          { class: "left-out" },
          `${plural(timeline.n_left_out, "article")} ${timeline.n_left_out === 1 ? "is" : "are"} not drawn: from before ${labels[0]}, or far from all other dates. Such dates have a mark (?) in the lists.`,
        )
      : null,
    timeline.n_undated
      ? h(
          "p",
          { class: "note" },
          `${plural(timeline.n_undated, "article")} of clusters ${timeline.n_undated === 1 ? "has" : "have"} no date.`,
        )
      : null,
    timeline.n_alone
      ? h(
          "p",
          { class: "note" },
          `${plural(timeline.n_alone, "article")} ${timeline.n_alone === 1 ? "is" : "are"} not drawn: alone dated in the cluster, neither known to be first nor later.`,
        )
      : null,
  ];
}

function largest(clusters) {
  return h(
    "ol",
    { class: "largest" },
    clusters.map((cluster) =>
      h(
        "li",
        null,
        h("a", { href: `#cluster=${cluster.cluster_id}` }, outside(cluster.title)),
        h(
          "span",
          { class: "note" },
          `${plural(cluster.n_articles, "article")}, ${plural(cluster.n_sources, "source")}`,
        ),
      ),
    ),
  );
}
