// Everything that the page shows is made here: text goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
// Characters that steer or hide. Joiners are none between emoji and between letters of scripts that join them,
// tags none in a flag, variation selectors none behind what has variants.
const JOINING = "[[\\p{L}\\p{M}]--[\\p{sc=Latn}\\p{sc=Grek}\\p{sc=Cyrl}\\p{sc=Hani}]]";
const EMOJI_JOINER = "(?<=[\\p{ExtPict}\\p{EMod}\\uFE0F])\\u200D(?=\\p{ExtPict})";
const LETTER_JOINER = `(?<=${JOINING})[\\u200C\\u200D](?=${JOINING})`;
const HIDDEN = new RegExp(
  [
    "[\\u0000-\\u0008\\u000B-\\u001F\\u007F-\\u009F\\u00AD\\u034F\\u061C\\u115F\\u1160\\u17B4\\u17B5\\u180B-\\u180F]",
    "[\\u200B\\u200E\\u200F\\u2028-\\u202E\\u2060-\\u206F\\u2800\\u3164\\uFEFF\\uFFA0\\uFFF9-\\uFFFB]",
    `(?!${EMOJI_JOINER})(?!${LETTER_JOINER})[\\u200C\\u200D]`,
    "(?<!\\u{1F3F4}[\\u{E0061}-\\u{E007A}]{0,6})[\\u{E0000}-\\u{E007F}]",
    "(?<=[\\uFE00-\\uFE0F])[\\uFE00-\\uFE0F]|(?<!\\p{sc=Hani})[\\u{E0100}-\\u{E01EF}]",
  ].join("|"),
  "gv",
);
const [SEEN_BEFORE, SEEN_BEHIND] = [16, 2]; // units around a character that HIDDEN looks at
const HIDDEN_NAMES = {
  0xad: "SHY",
  0x34f: "CGJ",
  0x61c: "ALM",
  0x180e: "MVS",
  0x200b: "ZWSP",
  0x200c: "ZWNJ",
  0x200d: "ZWJ",
  0x200e: "LRM",
  0x200f: "RLM",
  0x202a: "LRE",
  0x202b: "RLE",
  0x202c: "PDF",
  0x202d: "LRO",
  0x202e: "RLO",
  0x2060: "WJ",
  0x2066: "LRI",
  0x2067: "RLI",
  0x2068: "FSI",
  0x2069: "PDI",
  0x2028: "LS",
  0x2029: "PS",
  0xfeff: "BOM",
};

// An element. `props`: attributes; `on...` listeners; null and false are left out. Strings become text.
function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

function s(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...solid(children));
  return element;
}

const solid = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== false && child !== undefined);

function put(element, ...children) {
  element.replaceChildren(...solid(children));
}

// The head of a table: a column for each name; `isNumber` says of which places the values are numbers.
function headRow(names, isNumber) {
  const column = (name, i) => h("th", { scope: "col", class: isNumber && isNumber(i) ? "number" : null }, name);
  return h("thead", null, h("tr", null, names.map(column)));
}

// A table that may be wider than the window: scrolled with the arrow keys.
const scrolled = (label, ...children) =>
  h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, children);

// Buttons to the pages before and after; `label` says of what, `words` where one is.
function pager(label, words, hasPrevious, hasNext, go) {
  return h(
    "nav",
    { class: "pager", "aria-label": label },
    h("button", { type: "button", name: "previous", disabled: !hasPrevious, onclick: () => go(-1) }, "← Previous"),
    h("span", null, words),
    h("button", { type: "button", name: "next", disabled: !hasNext, onclick: () => go(1) }, "Next →"),
  );
}

// A field of a filter: each letter takes effect at once. What waited until the field is left would change the list
// between the two halves of a click on it.
function filterField(label, name, typed, props) {
  const oninput = (event) => typed({ [name]: event.target.value.trim() });
  return h("label", null, h("span", null, label), h("input", { name, autocomplete: "off", ...props, oninput }));
}

// A choice of a filter, where the empty one is any.
function choiceField(label, name, set, choices) {
  return h(
    "label",
    null,
    h("span", null, label),
    h(
      "select",
      { name, onchange: (event) => set({ [name]: event.target.value }) },
      h("option", { value: "" }, "any"),
      choices.map((one) => h("option", { value: one }, one)),
    ),
  );
}

// Gives the fields of a filter what the address says. What is half typed is left alone: a date, say.
function fillFields(fields, form) {
  for (const field of fields.elements) {
    const wanted = form[field.name];
    if (wanted === undefined) continue;
    if (field.type === "checkbox") field.checked = wanted !== "";
    else if (field.value.trim() !== wanted) field.value = wanted;
  }
}

// What differs from the defaults, for the address.
const changed = (form, defaults) =>
  Object.fromEntries(Object.entries(form).filter(([key, value]) => value !== defaults[key]));

// Column heads that sort by their column; a click on the one that sorts turns the order round. `labels` by key;
// `isText` says which columns hold words, `firstWay` which way another column is sorted at first.
function sortHeads(labels, form, set, isText, firstWay) {
  return Object.entries(labels).map(([key, label]) => {
    const isDown = form.way === "down";
    const isSorted = form.sort === key;
    const way = isSorted ? (isDown ? "up" : "down") : firstWay(key);
    return h(
      "th",
      {
        scope: "col",
        class: isText(key) ? null : "number",
        "aria-sort": isSorted ? (isDown ? "descending" : "ascending") : null,
      },
      h(
        "button",
        { type: "button", name: `sort-${key}`, class: "sort", onclick: () => set({ sort: key, way }) },
        label,
        h("span", { "aria-hidden": "true" }, isSorted ? (isDown ? " ↓" : " ↑") : ""),
      ),
    );
  });
}

// Pieces of text[from, to) from the outside: characters that steer or hide are shown by their names. Only
// what is around the piece is looked at: a long text has many.
function visible(text, from = 0, to = text.length) {
  const pieces = [];
  const shift = Math.max(0, from - SEEN_BEFORE);
  const near = text.slice(shift, to + SEEN_BEHIND);
  let done = from;
  HIDDEN.lastIndex = from - shift;
  for (let found = HIDDEN.exec(near); found && found.index + shift < to; found = HIDDEN.exec(near)) {
    const at = found.index + shift;
    if (at > done) pieces.push(text.slice(done, at));
    done = at + found[0].length;
    const code = found[0].codePointAt(0);
    if (code === 13) continue; // of CR LF; the line feed is kept
    const name = HIDDEN_NAMES[code] || `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
    pieces.push(h("span", { class: "hidden-char", title: `control character ${name}` }, name));
  }
  if (done < to) pieces.push(text.slice(done, to));
  return pieces;
}

function hides(text) {
  HIDDEN.lastIndex = 0;
  return HIDDEN.test(text);
}

// A name, title, id or address from the outside, apart from the text around it in its direction.
function outside(text, props) {
  return h("bdi", { dir: "auto", ...props }, visible(String(text)));
}

// The address as a link where it is one that a browser may open, else as text.
function address(url) {
  if (!url) return null;
  let parsed = null;
  try {
    parsed = new URL(url);
  } catch {
    return outside(url, { class: "url" });
  }
  if (parsed.protocol !== "https:" && parsed.protocol !== "http:") return outside(url, { class: "url" });
  return h(
    "a",
    { class: "url", href: parsed.href, target: "_blank", rel: "noopener noreferrer nofollow" },
    outside(url),
  );
}

const NUMBER = new Intl.NumberFormat("en");
const count = (n) => NUMBER.format(n);
const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

// Never "100 %" of what is not all, nor "0 %" of what is not nothing.
function share(part, whole) {
  if (!whole) return "–";
  const percent = (100 * part) / whole;
  if (part < whole && percent >= 99.5) return part && percent >= 99.95 ? "under 100 %" : `${percent.toFixed(1)} %`;
  if (part && percent < 0.05) return "under 0.1 %";
  return `${percent.toFixed(part && percent < 10 ? 1 : 0)} %`;
}

const decimals = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));

// A time in UTC, to the minute.
const minute = (at) => new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ");
const when = (at) => (at === null || at === undefined ? "no date" : [dated(at), " UTC"]);

// The same without the zone, for columns whose head says it; a date far from all others of the run has a mark.
function dated(at) {
  const usual = run.timeline && run.timeline.usual;
  if (!usual || (at >= usual[0] && at <= usual[1])) return minute(at);
  return h(
    "span",
    { class: "odd-date", title: "far from the dates of all other articles: perhaps not its time of publication" },
    `${minute(at)} (?)`,
  );
}

function lasting(seconds) {
  const units = [
    [86400 * 365.25, "y"],
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
  ];
  const unit = units.find(([size]) => seconds >= size);
  if (!unit) return `${Math.round(seconds)} s`;
  const value = seconds / unit[0];
  return `${value < 10 && value % 1 >= 0.05 ? value.toFixed(1) : Math.round(value)} ${unit[1]}`;
}

// A relation by its number; `run.relations` has them all, and what they mean.
const relation = (number) => (number < 0 ? null : relationBadge(run.relations[number].name));

function relationBadge(name, props) {
  const { meaning } = run.relations.find((one) => one.name === name);
  return h(props ? "a" : "span", { class: `relation ${name}`, title: meaning, ...props }, name);
}

// Those that the run's table of pairs has.
const pairRelations = () => Object.keys(run.summary.pairs_by_relation);
const numberOf = (name) => run.relations.findIndex((one) => one.name === name);
const measured = (name, label) => h("span", { title: run.measures[name] }, label || name);

function relationsOf(bits) {
  return h(
    "span",
    { class: "relations" },
    run.relations.map((_, i) => (bits & (1 << i) ? relation(i) : null)),
  );
}

function say(text) {
  document.getElementById("said").textContent = text;
}

// For a shell: in single quotes where it needs them; null where a terminal could be misled.
function shellWord(text) {
  if (hides(text) || text.startsWith("-") || text.includes("\n")) return null;
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

// A command of respun on this run, whose folder is where the page is.
function command(name, ...words) {
  const here =
    location.protocol === "file:"
      ? decodeURIComponent(location.pathname).replace(/\/[^/]*$/, "")
      : `runs/${run.summary.run_id}`;
  const quoted = [here, ...words].map(shellWord);
  return quoted.includes(null) ? null : h("code", { dir: "ltr" }, `respun ${name} ${quoted.join(" ")}`);
}
