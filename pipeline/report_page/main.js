// Which part of the report is shown: the address after `#` says it, so that back, forward and bookmarks work.

const PARTS = { overview: "Overview", clusters: "Clusters", repeats: "Repeats", sources: "Sources" };
let stepping = {}; // keys of the part that is shown
let navigation = 0; // counts what was asked for: what comes late for an earlier one is dropped
let openList = null; // the list that is shown, as { view, update }: its filters stay in place while it changes

function asked() {
  const hash = location.hash.slice(1) || "overview";
  const at = hash.indexOf("?");
  const [name, query] = at < 0 ? [hash, ""] : [hash.slice(0, at), hash.slice(at + 1)];
  const equals = name.indexOf("=");
  const [view, value] = equals < 0 ? [name, null] : [name.slice(0, equals), name.slice(equals + 1)];
  return {
    view,
    value: value && value.split("/").map(decoded),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Asks for another query of a list; `defaults` are left out of the address. What is typed takes effect at once, and
// makes no steps to go back through.
function refine(view, defaults, changes, isTyped) {
  const form = { ...defaults, ...asked().query, page: defaults.page, ...changes };
  const hash = `#${view}${asQuery(changed(form, defaults))}`;
  if (!isTyped) location.hash = hash;
  else {
    history.replaceState(null, "", hash);
    show();
  }
}

// The part's nodes, its keys, and of a list what fills it by a query: nothing else of the page may be touched
// meanwhile.
async function content({ view, value, query }) {
  if (view === "overview") return { nodes: showOverview() };
  if (view === "clusters") return showClusters();
  if (view === "cluster" && value) return showCluster(value, query);
  if (view === "pair") return showPair(value, query);
  if (view === "repeats") return value ? { nodes: await showRepeated(Number(value[0])) } : showRepeats();
  if (view === "sources") return showSources();
  return {
    nodes: [
      h("h1", null, "No such part"),
      h("p", null, "The report has nothing at ", outside(location.hash), ". ", h("a", { href: "#overview" }, "Overview")),
    ],
  };
}

async function show() {
  const own = ++navigation;
  const isStale = () => own !== navigation;
  const wanted = asked();
  const hash = location.hash;
  const main = document.getElementById("main");
  const focused = main.dataset.shown && document.activeElement !== document.body ? document.activeElement : null;
  stepping = {};
  const current = { cluster: "clusters", pair: "clusters" }[wanted.view] || wanted.view;
  for (const link of document.querySelectorAll("#parts a")) {
    if (link.dataset.part === current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.setAttribute("aria-busy", "true");
  try {
    if (!openList || openList.view !== wanted.view || wanted.value) {
      openList = null;
      const { nodes, keys, update } = await content(wanted);
      if (isStale()) return;
      put(main, nodes);
      if (main.dataset.shown) window.scrollTo(0, 0);
      stepping = keys || {};
      if (update) openList = { view: wanted.view, update };
      refocus(main, focused, null);
    }
    if (openList) await openList.update(wanted.query);
    if (isStale()) return;
  } catch (error) {
    if (isStale()) return;
    openList = null;
    put(main, h("h1", null, "This part can't be shown"), h("p", { class: "left-out" }, error.message));
  }
  refocus(main, focused, main);
  main.removeAttribute("aria-busy");
  const title = main.querySelector("h1")?.textContent || "";
  document.title = `${visibleWords(title)} – respun report`;
  say(title);
  main.dataset.shown = hash;
}

// Who works with keys goes on where they were: at the field or button of the same name, else at the beginning.
function refocus(main, before, otherwise) {
  if (!before || document.activeElement !== document.body) return;
  const again = before.name && main.querySelector(`[name="${CSS.escape(before.name)}"]:enabled`);
  (again || otherwise)?.focus({ preventScroll: true });
}

function theme(wanted) {
  const root = document.documentElement;
  if (wanted) root.dataset.theme = wanted;
  else
    root.dataset.theme =
      (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark"
        ? "light"
        : "dark";
  try {
    localStorage.setItem("respun-theme", root.dataset.theme);
  } catch {
    // Pages from disk may have no storage; the choice holds until the page is closed.
  }
}

const KEYS = [
  ["1 2 3 4", "overview, clusters, repeats, sources"],
  ["/", "search"],
  ["n p", "in a cluster: next and previous cluster of the list"],
  ["j k", "in a cluster: next and previous article on the right"],
  ["x", "in a cluster: change sides"],
  ["Enter", "on a reworded sentence, or on words that both have: to its like"],
  ["t", "light or dark"],
  ["?", "this page"],
  ["Esc", "close"],
];

function help() {
  const dialog = document.getElementById("help");
  put(
    dialog,
    h("h2", null, "Words"),
    h(
      "dl",
      { class: "glossary" },
      run.relations.map(({ name, meaning }) => [h("dt", null, relationBadge(name)), h("dd", null, meaning)]),
      Object.entries(run.measures).map(([name, meaning]) => [h("dt", null, name), h("dd", null, meaning)]),
    ),
    h("h2", null, "Keys"),
    h(
      "dl",
      { class: "keys" },
      KEYS.map(([key, what]) => [
        h(
          "dt",
          null,
          key.split(" ").map((one) => h("kbd", null, one)),
        ),
        h("dd", null, what),
      ]),
    ),
    h(
      "form",
      {
        method: "dialog",
        onsubmit: (event) => {
          event.preventDefault();
          dialog.close();
        },
      },
      h("button", { type: "submit" }, "Close"),
    ),
  );
  dialog.showModal();
  dialog.scrollTop = 0; // the button at the end has the focus
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("help").open) return;
  const isTyping = event.target.matches("input:not([type=radio]), select, textarea");
  if (isTyping) return;
  const part = Object.keys(PARTS)[Number(event.key) - 1];
  const action =
    stepping[event.key] ||
    { "/": focusSearch, "?": help, t: () => theme() }[event.key] ||
    (part && (() => (location.hash = part)));
  if (!action) return;
  event.preventDefault();
  action();
}

async function focusSearch() {
  if (!document.getElementById("search")) {
    location.hash = "clusters";
    await show();
  }
  document.getElementById("search")?.focus();
}

async function start() {
  run = await load("overview");
  document
    .getElementById("parts")
    .append(...Object.entries(PARTS).map(([key, label]) => h("a", { href: `#${key}`, "data-part": key }, label)));
  document.getElementById("run").append(outside(run.summary.run_id));
  document.getElementById("theme").addEventListener("click", () => theme());
  document.getElementById("keys").addEventListener("click", help);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
  try {
    const known = localStorage.getItem("respun-theme");
    if (known === "dark" || known === "light") theme(known);
  } catch {
    // no storage: as the system has it
  }
  window.addEventListener("hashchange", show);
  document.addEventListener("keydown", onKey);
  await show();
}

start();
