// What the run found: the numbers of the summary and the manifest, as they are there.

function showOverview() {
  const { summary, manifest, timeline } = run;
  const counts = manifest.counts;
  const figure = (value, words, href) =>
    h("li", null, h("strong", null, href ? h("a", { href }, count(value)) : count(value)), h("span", null, words));
  return [
    h("h1", null, "What this run found"),
    h(
      "ul",
      { class: "figures" },
      figure(summary.n_articles, "articles"),
      figure(summary.n_clusters, "clusters of two or more", "#clusters"),
      figure(summary.n_clustered, `articles in them, ${share(summary.n_clustered, summary.n_articles)}`),
      figure(total(summary.pairs_by_relation), "confirmed pairs"),
      figure(summary.n_articles_with_repeats, "articles with repeated sections", "#repeats"),
      figure(total(summary.rejected_by_reason), "rows rejected"),
    ),
    leftOut(),
    h(
      "div",
      { class: "grid" },
      part(
        "Confirmed pairs by relation",
        bars(
          "Confirmed pairs by relation",
          RELATIONS.map((name) => ({
            label: h("span", { class: `relation ${name}` }, name),
            n: summary.pairs_by_relation[name],
            parts: [{ class: `fill-${name}`, n: summary.pairs_by_relation[name] }],
          })),
        ),
        betweenPairs(),
      ),
      part(
        "Clusters by their loosest relation",
        bars(
          "Clusters by their loosest relation",
          RELATIONS.map((name, i) => ({
            label: h("a", { href: `#clusters?loosest=${i}`, class: `relation ${name}` }, name),
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
      part("Probabilities of the confirmed pairs", probabilities(manifest.threshold)),
      part(
        "From candidates to clusters",
        bars("From candidates to clusters", [
          { label: "candidate pairs", n: counts.n_candidate_pairs },
          { label: "left by the screen", n: counts.n_candidate_pairs - counts.n_screened_pairs },
          { label: "confirmed", n: counts.n_confirmed_pairs },
        ]),
        h(
          "p",
          { class: "note" },
          `Confirmed from a probability of ${decimals(manifest.threshold, 3)} on, by calibration `,
          outside(manifest.calibration),
          ".",
          counts.n_oversized_buckets
            ? ` ${plural(counts.n_oversized_buckets, "bucket")} were too large to compare all their articles.`
            : "",
        ),
      ),
      part("Largest clusters", largest(summary.largest)),
      part(
        "First and later copies",
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

// Confirmed pairs that are in no cluster's graph.
function betweenPairs() {
  if (!run.n_between) return null;
  return [
    h(
      "p",
      { class: "note" },
      `${plural(run.n_between, "pair")} of them lead out of a cluster: excerpts join none, and chains are broken.`,
    ),
    h(
      "details",
      null,
      h("summary", null, "Which"),
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          { class: "rows between" },
          h(
            "tbody",
            null,
            run.between.map((pair) =>
              h(
                "tr",
                null,
                h(
                  "td",
                  null,
                  outside(pair.article_id_l, { class: "id" }),
                  h("br"),
                  outside(pair.article_id_r, { class: "id" }),
                ),
                h("td", null, h("span", { class: `relation ${pair.relation}` }, pair.relation)),
                h("td", { class: "number" }, decimals(pair.probability)),
              ),
            ),
          ),
        ),
      ),
      run.between.length < run.n_between
        ? h(
            "p",
            { class: "left-out" },
            `The ${count(run.between.length)} most certain of ${count(run.n_between)}; confirmed_pairs.parquet has all.`,
          )
        : null,
    ),
  ];
}

const total = (counted) => Object.values(counted).reduce((sum, n) => sum + n, 0);

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
  const { n_texts: nTexts, n_shown: nShown, has_texts: hasTexts } = run.shape;
  if (nTexts === nShown) return null;
  const shown = nTexts
    ? `The report has the texts of ${count(nTexts)} of the ${count(nShown)} articles that it shows: those with repeats, and those of the largest clusters. `
    : "The report has no texts. ";
  return h(
    "p",
    { class: "left-out" },
    shown,
    hasTexts ? ["Write it with all of them: ", command("report"), "."] : "The run was made with keep_texts = false.",
  );
}

function probabilities(threshold) {
  const n = run.probabilities[0].length;
  const from = Math.min(Math.floor(threshold * n), n - 1);
  const bins = Array.from({ length: n - from }, (_, i) => i + from);
  const labels = bins.map((bin) => `${decimals(bin / n)}–${decimals((bin + 1) / n)}`);
  const series = RELATIONS.map((name, i) => ({
    class: `fill-${name}`,
    label: name,
    values: bins.map((bin) => run.probabilities[i][bin]),
  }));
  return columns(
    "Confirmed pairs by probability",
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
    timeline.n_earlier
      ? h(
          "p",
          { class: "left-out" },
          `${plural(timeline.n_earlier, "article")} from before ${labels[0]} are not drawn.`,
        )
      : null,
    timeline.n_undated
      ? h("p", { class: "note" }, `${plural(timeline.n_undated, "article")} of clusters have no date.`)
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

function rejectedPart() {
  const reasons = Object.entries(run.summary.rejected_by_reason);
  const all = total(run.summary.rejected_by_reason);
  if (!all)
    return part("Rejected rows", h("p", { class: "note" }, "None: every row of the input became an article."));
  return part(
    "Rejected rows",
    bars(
      "Rejected rows by reason",
      reasons.map(([reason, n]) => ({ label: reason, n })),
    ),
    h(
      "details",
      null,
      h("summary", null, "Which rows"),
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          { class: "rows" },
          headRow(["file", "row", "article_id", "reason", "detail"]),
          h(
            "tbody",
            null,
            run.rejected.map((row) =>
              h(
                "tr",
                null,
                h("td", null, outside(row.input_file)),
                h("td", { class: "number" }, row.row === null ? "all" : count(row.row)),
                h("td", null, row.article_id === null ? "" : outside(row.article_id)),
                h("td", null, row.reason),
                h("td", null, row.detail === null ? "" : outside(row.detail)),
              ),
            ),
          ),
        ),
      ),
      run.rejected.length < all
        ? h(
            "p",
            { class: "left-out" },
            `The first ${count(run.rejected.length)} of ${count(all)}; rejected.parquet has all.`,
          )
        : null,
    ),
  );
}

function stagesPart(manifest) {
  const seconds = manifest.stages.reduce((sum, stage) => sum + stage.seconds, 0);
  const most = Math.max(...manifest.stages.map((stage) => stage.seconds));
  return part(
    "Stages",
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "rows stages" },
        headRow(["stage", "calls", "rows", "seconds", "", "rows/s", "peak MB"], (i) => i > 0),
        h(
          "tbody",
          null,
          manifest.stages.map((stage) =>
            h(
              "tr",
              null,
              h("th", { scope: "row" }, stage.stage),
              ["n_calls", "n_rows"].map((name) => h("td", { class: "number" }, count(stage[name]))),
              h("td", { class: "number" }, stage.seconds.toFixed(2)),
              h(
                "td",
                { class: "bar" },
                s(
                  "svg",
                  { width: 90, height: 10, "aria-hidden": "true" },
                  s("rect", { width: Math.max(1, (90 * stage.seconds) / most), height: 10, class: "ink" }),
                ),
              ),
              h("td", { class: "number" }, count(Math.round(stage.rows_per_second))),
              h("td", { class: "number" }, count(Math.round(stage.peak_rss_bytes / 1e6))),
            ),
          ),
        ),
      ),
    ),
    h(
      "p",
      { class: "note" },
      `${seconds.toFixed(2)} s in all but the last stage, ${count(Math.round(manifest.counts.n_accepted / Math.max(seconds, 1e-9)))} articles/s; at most ${count(Math.round(manifest.peak_rss_bytes / 1e6))} MB of memory.`,
    ),
  );
}

function runPart(manifest) {
  const row = (name, ...value) => [h("dt", null, name), h("dd", null, value)];
  return part(
    "The run",
    h(
      "dl",
      null,
      row("run", run.summary.run_id),
      row("configuration", h("code", null, manifest.config_fingerprint.slice(0, 16))),
      row(
        "versions",
        Object.entries(manifest.versions)
          .map(([name, version]) => `${name} ${version}`)
          .join(", "),
      ),
      row("tables", run.summary.tables.join(", ")),
      row(
        "input",
        `${plural(manifest.counts.n_input, "row")} of ${plural(manifest.counts.n_files, "file")}`,
        h(
          "ul",
          { class: "inputs" },
          manifest.inputs.map((file) => h("li", null, outside(file.name))),
        ),
        manifest.n_inputs > manifest.inputs.length
          ? h(
              "p",
              { class: "left-out" },
              `The first ${count(manifest.inputs.length)} of ${count(manifest.n_inputs)} files.`,
            )
          : null,
      ),
    ),
  );
}
