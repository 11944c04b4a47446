// Articles that tell something twice: the list, and one of them with its repeats.

const REPEATS = { q: "", level: "", sort: "", way: "down", page: "1" };
const REPEAT_SORTS = {
  title: ["Article", (article) => article.title],
  n_sections: ["Sections", (article) => article.sections.length],
  n_again: ["Words repeated", wordsAgain],
};

const isAgain = (section) => section.occurrence > 0;
const levelsOf = (article) => [...new Set(article.sections.map((section) => section.level))];

function wordsAgain(article) {
  return article.sections.filter(isAgain).reduce((sum, section) => sum + section.n_tokens, 0);
}

async function showRepeats() {
  const { articles } = await load("repeats");
  sources = await load("sources");
  const head = h("h1", null, "Repeated sections");
  if (!articles.length) return { nodes: [head, h("p", null, "No article of this run repeats a section of its own.")] };
  const set = (changes, isTyped) => refine("repeats", REPEATS, changes, isTyped);
  const fields = repeatFilters(articles, set);
  const status = h("p", { class: "note", role: "status" });
  const table = h("div");
  const update = (query) => {
    const form = { ...REPEATS, ...query };
    fillFields(fields, form);
    fillRepeats(table, status, articles, form, set);
  };
  return { nodes: [head, fields, status, table], update };
}

function fillRepeats(table, status, articles, form, set) {
  const found = repeatsFound(articles, form);
  const nPages = Math.max(1, Math.ceil(found.length / A_PAGE));
  const at = Math.min(Math.max(1, Number(form.page) || 1), nPages);
  const labels = Object.fromEntries(Object.entries(REPEAT_SORTS).map(([key, [label]]) => [key, label]));
  const heads = sortHeads(labels, form, set, (key) => key === "title", (key) => (key === "title" ? "up" : "down"));
  const others = ["Level", "Relation"].map((name) => h("th", { scope: "col" }, name));
  const all = plural(articles.length, "article");
  put(
    status,
    found.length < articles.length ? `${count(found.length)} of ${all}` : all,
    articles.length === 1 ? " tells a passage twice or more." : " tell a passage twice or more.",
  );
  put(
    table,
    h(
      "table",
      { class: "rows cards" },
      h("thead", null, h("tr", null, heads, others)),
      h("tbody", null, found.slice((at - 1) * A_PAGE, at * A_PAGE).map(([i, article]) => repeatRow(i, article))),
    ),
    nPages > 1
      ? pager("Pages of the list", `Page ${count(at)} of ${count(nPages)}`, at > 1, at < nPages, (by) =>
          toPage(set, at + by),
        )
      : null,
  );
}

// Number and article of those that a filter finds, in its order.
function repeatsFound(articles, form) {
  const words = form.q.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [...articles.entries()].filter(([, article]) => {
    const source = article.source < 0 ? "" : sources.names[article.source];
    const text = [article.title, article.article_id, article.url, source].join("\n").toLowerCase();
    return words.every((word) => text.includes(word)) && (!form.level || levelsOf(article).includes(form.level));
  });
  if (!REPEAT_SORTS[form.sort]) return found; // as in the input
  const value = REPEAT_SORTS[form.sort][1];
  const compare = form.sort === "title" ? new Intl.Collator().compare : (a, b) => a - b;
  const way = form.way === "down" ? -1 : 1;
  return found.sort(([i, one], [j, other]) => way * compare(value(one), value(other)) || i - j);
}

function repeatFilters(articles, set) {
  const levels = [...new Set(articles.flatMap(levelsOf))];
  return h(
    "form",
    { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    filterField("Search, not in the texts", "q", (changes) => set(changes, true), {
      type: "search",
      id: "search",
      placeholder: "words of titles, ids, sources",
    }),
    choiceField("Level", "level", set, levels),
  );
}

function repeatRow(i, article) {
  const again = article.sections.filter(isAgain);
  return h(
    "tr",
    null,
    h(
      "th",
      { scope: "row", class: "story" },
      h("a", { class: "clamped", href: `#repeats=${i}` }, outside(article.title)),
      h("span", { class: "note" }, sourceName(article.source), " · ", outside(article.article_id, { class: "id" })),
    ),
    h("td", { class: "number", "data-label": "sections" }, count(article.sections.length)),
    h("td", { class: "number", "data-label": "words repeated" }, count(wordsAgain(article))),
    h("td", null, levelsOf(article).join(", ")),
    h(
      "td",
      null,
      run.relations.map(({ name }, k) => (again.some((section) => section.relation === name) ? relation(k) : null)),
    ),
  );
}

async function showRepeated(at) {
  const { articles } = await load("repeats");
  sources = await load("sources");
  const article = articles[at];
  if (!article) return [h("h1", null, "No such article")];
  const text = await textAt(article.place);
  const head = [
    h("p", { class: "crumbs" }, h("a", { href: "#repeats" }, "Repeated sections")),
    h("h1", null, outside(article.title)),
    h(
      "p",
      { class: "facts" },
      sourceName(article.source),
      ", ",
      when(article.at),
      ". ",
      outside(article.article_id, { class: "id" }),
      article.url ? [" ", address(article.url)] : null,
      article.cluster_id ? [" ", h("a", { href: `#cluster=${article.cluster_id}` }, "its cluster")] : null,
    ),
    h(
      "ul",
      { class: "legend groups" },
      groupsOf(article).map((group, k) =>
        h(
          "li",
          null,
          h("span", { class: `repeat hue-${k % 6}` }, `${group[0].level} ${k + 1}`),
          ` ${plural(group.length, "time")}, `,
          group
            .slice(1)
            .map((section) => [
              relationBadge(section.relation),
              ` cosine ${decimals(section.cosine)}, jaccard ${decimals(section.jaccard)} `,
            ]),
        ),
      ),
    ),
  ];
  if (!text) return [...head, h("p", { class: "left-out" }, "The report does not have this text.")];
  const places = unitsOf(text.body);
  const parts = groupsOf(article).find((group) => group[0].level === "part");
  const body = parts ? h("div", null, versions(text, places, parts)) : null;
  return [
    ...head,
    body,
    h(
      "section",
      { class: "whole" },
      parts ? h("h2", null, "The whole page") : null,
      h("article", { class: "text", lang: "" }, repeatedText(article, text.body, places)),
    ),
  ];
}

// The versions of one story on a page, two of them side by side; of more than two a reader picks which.
function versions(text, places, parts) {
  const shown = h("div");
  const picked = [0, 1];
  const draw = () => put(shown, twoVersions(text, places, parts, picked));
  const choice = (side) =>
    h(
      "label",
      null,
      h("span", null, side ? "right" : "left"),
      h(
        "select",
        {
          name: side ? "right" : "left",
          onchange: (event) => {
            const wanted = Number(event.target.value);
            if (picked[1 - side] === wanted) picked[1 - side] = picked[side];
            picked[side] = wanted;
            for (const [k, select] of choices.entries()) select.querySelector("select").value = String(picked[k]);
            draw();
          },
        },
        parts.map((_, k) => h("option", { value: String(k), selected: picked[side] === k }, `version ${k + 1}`)),
      ),
    );
  const choices = parts.length > 2 ? [choice(0), choice(1)] : [];
  draw();
  return [
    choices.length
      ? h(
          "form",
          { class: "filters", onsubmit: (event) => event.preventDefault() },
          choices,
          h("p", { class: "note" }, `Two of the ${count(parts.length)} versions on this page.`),
        )
      : null,
    shown,
  ];
}

function twoVersions(text, places, parts, picked) {
  const found = align(...picked.map((k) => partOf(text, places, parts[k])));
  return [
    alignedWords(
      found,
      picked.map((k) => `version ${k + 1}`),
    ),
    h(
      "div",
      { class: "two", onclick: follow, onkeydown: followKey },
      [found.left, found.right].map((own, side) =>
        h(
          "article",
          { class: "text", lang: "", "data-side": side, "aria-label": `version ${picked[side] + 1}` },
          h(
            "header",
            null,
            h("strong", null, `Version ${picked[side] + 1}`),
            h("span", { class: "note" }, plural(parts[picked[side]].n_tokens, "word")),
          ),
          h("div", { class: "body" }, paragraphs(own, 0, side)),
        ),
      ),
    ),
  ];
}

// A section of a text as a text of its own. What the report doesn't have of its tokens is counted.
function partOf(text, places, section) {
  const [begin, end] = [places[section.begin], places[section.end]];
  const shift = text.title.length + 1 + begin;
  const body = text.body.slice(begin, end);
  const tokens = text.tokens
    .filter((token) => token.begin >= shift && token.end <= shift + end - begin)
    .map((token) => ({ ...token, begin: token.begin - shift, end: token.end - shift }));
  const last = text.tokens[text.tokens.length - 1];
  const isCut = text.nLeftOut > 0 && (!last || last.end < shift + end - begin);
  return { title: "", body, text: body, tokens, nLeftOut: isCut ? Math.max(1, section.n_tokens - tokens.length) : 0 };
}

function groupsOf(article) {
  const groups = new Map();
  for (const section of article.sections)
    groups.set(section.group_id, [...(groups.get(section.group_id) || []), section]);
  return [...groups.values()].map((group) => group.sort((a, b) => a.occurrence - b.occurrence));
}

// Spans count code points, strings UTF-16 units: the unit at which each code point begins, and the end.
function unitsOf(text) {
  const found = [];
  for (let unit = 0; unit < text.length; unit += text.codePointAt(unit) > 0xffff ? 2 : 1) found.push(unit);
  found.push(text.length);
  return found;
}

// The text cut at the sections' edges; each piece has the colour of the smallest section around it.
function repeatedText(article, text, places) {
  const groups = groupsOf(article);
  const number = new Map(groups.map((group, k) => [group[0].group_id, k]));
  const { sections } = article;
  const edges = [
    ...new Set([0, places.length - 1, ...sections.flatMap((section) => [section.begin, section.end])]),
  ].sort((a, b) => a - b);
  return h(
    "div",
    { class: "body pre", dir: "auto" },
    edges.slice(0, -1).map((begin, k) => {
      const piece = visible(text, places[begin], places[edges[k + 1]]);
      const around = sections
        .filter((section) => section.begin <= begin && section.end >= edges[k + 1])
        .sort((a, b) => a.end - a.begin - (b.end - b.begin))[0];
      if (!around) return piece;
      const group = number.get(around.group_id);
      const own = groups[group];
      const isStart = begin === around.begin;
      const id = (section) => `repeat-${group}-${section.occurrence}`;
      const next = own[(own.indexOf(around) + 1) % own.length];
      return h(
        "span",
        { class: `repeat hue-${group % 6}`, id: isStart ? id(around) : null },
        isStart
          ? h(
              "button",
              {
                type: "button",
                class: "jump",
                "aria-label": `${around.level} ${group + 1}, time ${around.occurrence + 1} of ${own.length}: to the next`,
                onclick: () => jump(id(next)),
              },
              `${group + 1}.${around.occurrence + 1}`,
            )
          : null,
        piece,
      );
    }),
  );
}

function jump(id) {
  const to = document.getElementById(id);
  if (!to) return;
  to.scrollIntoView({ block: "center" });
  to.querySelector("button")?.focus({ preventScroll: true });
}
