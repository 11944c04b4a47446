// Everything that the page shows is made here: text goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]/;
const HIDDEN_NAMES = {
  0x61c: "ALM",
  0x200e: "LRM",
  0x200f: "RLM",
  0x202a: "LRE",
  0x202b: "RLE",
  0x202c: "PDF",
  0x202d: "LRO",
  0x202e: "RLO",
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

// Pieces of a string from the outside: characters that steer or hide are shown by their names.
function visible(text) {
  if (!HIDDEN.test(text)) return [text];
  const pieces = [];
  let plain = "";
  for (const letter of text) {
    if (!HIDDEN.test(letter)) {
      plain += letter;
      continue;
    }
    const code = letter.codePointAt(0);
    if (code === 13) continue; // of CR LF; the line feed is kept
    if (plain) pieces.push(plain);
    plain = "";
    const name = HIDDEN_NAMES[code] || `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
    pieces.push(h("span", { class: "hidden-char", title: `control character ${name}` }, name));
  }
  if (plain) pieces.push(plain);
  return pieces;
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
const share = (part, whole) =>
  whole ? `${((100 * part) / whole).toFixed(part && part / whole < 0.1 ? 1 : 0)} %` : "–";
const decimals = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));

function when(at) {
  return at === null || at === undefined
    ? "no date"
    : new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ");
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

// What links articles of a story; and what else a pair or a member may be called.
const RELATIONS = ["exact", "reprint", "excerpt", "respun"];
const RELATION_NAMES = [...RELATIONS, "related", "indirect"];
const relation = (number) =>
  number < 0 ? null : h("span", { class: `relation ${RELATION_NAMES[number]}` }, RELATION_NAMES[number]);

function relationsOf(bits) {
  return h(
    "span",
    { class: "relations" },
    RELATIONS.map((_, i) => (bits & (1 << i) ? relation(i) : null)),
  );
}

function say(text) {
  document.getElementById("said").textContent = text;
}

// For a shell: in single quotes where it needs them; null where a terminal could be misled.
function shellWord(text) {
  if (HIDDEN.test(text) || text.startsWith("-") || text.includes("\n")) return null;
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
