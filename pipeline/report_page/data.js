// Data inside the page, or in scripts beside it. From disk a page may load scripts and nothing else.

const KEPT = 60; // files of details and texts that stay in memory
const taken = new Map(); // name -> promise of the data
const waiting = new Map(); // name -> what to do when its script has called `respun`

const trusted = window.trustedTypes
  ? trustedTypes.createPolicy("respun", {
      createScriptURL(url) {
        if (/^report\/[a-z]+(-\d+){0,2}\.js$/.test(url)) return url;
        throw new TypeError(`not a file of the report: ${url}`);
      },
    })
  : { createScriptURL: (url) => url };

Object.defineProperty(window, "respun", {
  value: (name, data) => {
    const take = waiting.get(name);
    waiting.delete(name);
    if (take) take(data);
  },
});

function load(name) {
  const known = taken.get(name);
  if (known) {
    taken.delete(name);
    taken.set(name, known); // the youngest
    return known;
  }
  const inside = document.getElementById(`data-${name}`);
  const promise = inside ? Promise.resolve(JSON.parse(inside.textContent)) : beside(name);
  taken.set(name, promise);
  promise.catch(() => taken.delete(name));
  const large = [...taken.keys()].filter(
    (key) => /^(texts|clusters)-/.test(key) && !document.getElementById(`data-${key}`),
  );
  for (const key of large.slice(0, Math.max(0, large.length - KEPT))) taken.delete(key);
  return promise;
}

function beside(name) {
  return new Promise((take, fail) => {
    const script = document.createElement("script");
    const file = `report/${name}.js`;
    waiting.set(name, take);
    script.src = trusted.createScriptURL(file);
    script.addEventListener("load", () => script.remove());
    script.addEventListener("error", () => {
      script.remove();
      fail(new Error(`${file} can't be loaded: it belongs beside report.html`));
    });
    document.head.append(script);
  });
}

let run = null; // the overview
let sources = null;
const lists = []; // columns of the clusters, shape.list_clusters each

async function loadLists(progress) {
  sources = await load("sources");
  for (let i = lists.length; i < run.shape.n_lists; i++) {
    lists[i] = await load(`list-${i}`);
    if (progress) progress(i + 1, run.shape.n_lists);
  }
}

const listed = (i, column) => lists[Math.floor(i / run.shape.list_clusters)][column][i % run.shape.list_clusters];

function sourcesOf(i) {
  const own = lists[Math.floor(i / run.shape.list_clusters)];
  const at = i % run.shape.list_clusters;
  return own.sources.slice(at ? own.source_ends[at - 1] : 0, own.source_ends[at]);
}

const sourceName = (place) => (place < 0 ? h("span", { class: "none" }, "no source") : outside(sources.names[place]));

// Place of a cluster by its id, -1 for none; ids ascend.
async function findCluster(id) {
  const first = run.shape.first_ids;
  let at = first.length - 1;
  while (at > 0 && first[at] > id) at--;
  if (at < 0) return -1;
  const found = (await load(`list-${at}`)).cluster_id.indexOf(id);
  return found < 0 ? -1 : at * run.shape.list_clusters + found;
}

async function clusterAt(i) {
  const cuts = run.shape.cluster_cuts;
  let file = 0;
  let end = cuts.length - 2;
  while (file < end) {
    const middle = (file + end + 1) >> 1;
    if (cuts[middle] <= i) file = middle;
    else end = middle - 1;
  }
  const own = await load(`clusters-${file}`);
  const at = i - cuts[file];
  const list = await load(`list-${Math.floor(i / run.shape.list_clusters)}`);
  const head = Object.fromEntries(
    Object.keys(list)
      .filter((key) => !key.startsWith("source"))
      .map((key) => [key, list[key][i % run.shape.list_clusters]]),
  );
  return { ...head, members: rows(own.members, at), pairs: rows(own.pairs, at), nPairs: own.pairs.n_all[at] };
}

function rows(columns, at) {
  const begin = at ? columns.ends[at - 1] : 0;
  const names = Object.keys(columns).filter((name) => name !== "ends" && name !== "n_all");
  const found = [];
  for (let k = begin; k < columns.ends[at]; k++)
    found.push(Object.fromEntries(names.map((name) => [name, columns[name][k]])));
  return found;
}

// The text at a place, and its tokens; null where the report doesn't have it.
async function textAt(place) {
  if (place < 0) return null;
  const size = run.shape.texts_a_file;
  const file = await load(run.shape.text_files[Math.floor(place / size)]);
  if (!file.decoded) {
    const words = bytes(file.terms);
    file.decoded = { terms: new Uint32Array(words.buffer), rarity: bytes(file.rarity) };
  }
  const at = place % size;
  return telling(file.titles[at], file.texts[at], file.tokens[at], file.n_tokens[at], file.decoded);
}

function bytes(base64) {
  const letters = atob(base64);
  const found = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) found[i] = letters.charCodeAt(i);
  return found;
}

// Tokens as pipeline/report_tokens.py writes them: step, length with bits, number of the term.
function telling(title, body, packed, nTokens, terms) {
  const values = [];
  for (const letter of packed) {
    let code = letter.codePointAt(0);
    if (code >= 0xe000) code -= 0x800;
    if (code > 92) code--;
    values.push(code - 61);
  }
  const tokens = [];
  let begin = 0;
  for (let i = 0; i < values.length; i += 3) {
    begin += values[i];
    const bits = values[i + 1] & 7;
    tokens.push({
      begin,
      end: begin + (values[i + 1] >> 3),
      term: terms.terms[values[i + 2]],
      rarity: terms.rarity[values[i + 2]] / 10,
      kind: bits & 3,
      furniture: (bits & 4) !== 0,
    });
  }
  return { title, body, text: `${title}\n${body}`, tokens, nLeftOut: nTokens - tokens.length };
}
