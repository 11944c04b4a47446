// The end of the overview: rejected rows, the stages, and what the run was.

function rejectedPart() {
  const reasons = Object.entries(run.summary.rejected_by_reason);
  const all = run.summary.n_rejected;
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
      scrolled(
        "Rejected rows",
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
  const most = Math.max(...manifest.stages.map((stage) => stage.seconds));
  return part(
    "Stages",
    scrolled(
      "Stages",
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
      took(manifest),
      `At most ${count(Math.round(manifest.peak_rss_bytes / 1e6))} MB of memory.`,
    ),
  );
}

// Stages that ran at the same time each count from their common beginning: they add up to more than this.
function took({ seconds, started_at: startedAt, counts }) {
  if (seconds === undefined) return "";
  const rate = count(Math.round(counts.n_accepted / Math.max(seconds, 1e-9)));
  return `${seconds.toFixed(2)} s from ${startedAt.slice(0, 19).replace("T", " ")} UTC to the last stage, ${rate} articles/s; stages that ran at the same time overlap. `;
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
