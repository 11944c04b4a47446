// Data inside the page, or in scripts beside it. From disk a page may load scripts and nothing else.

const KEPT = 60; // files of details and texts that stay in memory
const taken = new Map(); // name -> promise of the data
const waiting = new Map(); // name -> what to do when its script has called `respun`

// Numbers of the tokens' code points and bits, as in pipeline/report_tokens.py.
const FIRST_CODE = 61;
const BACKSLASH = 92; // is stepped over, and so are the surrogates
const SURROGATES = 0xd800;
const N_SURROGATES = 0x800;
const [NAME_BIT, NUMBER_BIT, FURNITURE_BIT, BITS] = [1, 2, 4, 3];
const NUMBERS_A_TOKEN = 3; // step, length with bits, term

const trusted = window.trustedTypes
  ? trustedTypes.createPolicy("respun", {
      createScriptURL(url) {
        if (/^report\/[a-z]+(-\d+){0,2}\.js$/.test(url)) return url;
        throw new TypeError(`not a file of the report: ${url}`);
      },
    })
  : { createScriptURL: (url) => url };

Object.defineProperty(window, "respun", {
  value: (name, key, data) => {
    const take = waiting.get(name);
    waiting.delete(name);
    if (take) take(key, data);
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
    const failed = (words) => {
      waiting.delete(name);
      script.remove();
      fail(new Error(words));
    };
    // The page knows the keys of its own data: those of a report written later are others.
    waiting.set(name, (key, data) => {
      if (key === run.shape.keys[name]) take(data);
      else failed(`${file} belongs to another report than this page: write both again with respun report`);
    });
    script.src = trusted.createScriptURL(file);
    script.addEventListener("load", () => {
      if (waiting.has(name)) failed(`${file} is damaged: write the report again with respun report`);
      script.remove();
    });
    script.addEventListener("error", () => failed(`${file} can't be loaded: it belongs beside report.html`));
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

const LONGEST_NAME = 80; // letters of a source's name that are shown; a longer one is whole in its tooltip

function sourceName(place) {
  if (place < 0) return h("span", { class: "none" }, "no source");
  const name = sources.names[place];
  if (!name.trim()) return h("span", { class: "none" }, "blank name");
  const letters = [...name.slice(0, 2 * LONGEST_NAME)];
  if (letters.length <= LONGEST_NAME) return outside(name);
  return outside(`${letters.slice(0, LONGEST_NAME).join("")} …`, { title: visibleWords(name) });
}

// A filter's value for one source and no other whose name has it in it.
const exactly = (name) => `"${name}"`;

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
  const pairs = rows(own.pairs, at);
  const pairOf = new Map(pairs.flatMap((pair) => [[`${pair.l}/${pair.r}`, pair], [`${pair.r}/${pair.l}`, pair]]));
  return {
    ...head,
    members: rows(own.members, at).map((member) => ({ ...member, cluster_id: head.cluster_id })),
    pairs,
    pairOf: (i, j) => pairOf.get(`${i}/${j}`),
    nPairs: own.pairs.n_all[at],
  };
}

// An article by its id: of a pair between clusters, with repeats, or of a cluster; null for none. Those of
// clusters are looked for in one file of details after the other.
async function findArticle(id) {
  for (const name of ["between", "repeats"]) {
    const found = (await load(name)).articles.find((article) => article.article_id === id);
    if (found) return found;
  }
  const cuts = run.shape.cluster_cuts;
  for (let file = 0; file < cuts.length - 1; file++) {
    const { members } = await load(`clusters-${file}`);
    const at = members.article_id.indexOf(id);
    if (at < 0) continue;
    const place = cuts[file] + members.ends.findIndex((end) => end > at);
    const list = await load(`list-${Math.floor(place / run.shape.list_clusters)}`);
    const one = Object.fromEntries(Object.keys(members).map((name) => [name, members[name][at]]));
    return { ...one, cluster_id: list.cluster_id[place % run.shape.list_clusters] };
  }
  return null;
}

function rows(columns, at) {
  const begin = at ? columns.ends[at - 1] : 0;
  const names = Object.keys(columns).filter((name) => name !== "ends" && name !== "n_all");
  const found = [];
  for (let k = begin; k < columns.ends[at]; k++)
    found.push(Object.fromEntries(names.map((name) => [name, columns[name][k]])));
  return found;
}

// The text alone; null where the report doesn't have it.
async function bodyAt(place) {
  if (place < 0) return null;
  const file = await load(run.shape.text_files[Math.floor(place / run.shape.texts_a_file)]);
  return file.texts[place % run.shape.texts_a_file];
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
    if (code >= SURROGATES + N_SURROGATES) code -= N_SURROGATES;
    if (code > BACKSLASH) code--;
    values.push(code - FIRST_CODE);
  }
  const tokens = [];
  let begin = 0;
  for (let i = 0; i < values.length; i += NUMBERS_A_TOKEN) {
    const [step, length, term] = values.slice(i, i + NUMBERS_A_TOKEN);
    begin += step;
    tokens.push({
      begin,
      end: begin + (length >> BITS),
      term: terms.terms[term],
      rarity: terms.rarity[term] / 10,
      kind: length & (NAME_BIT | NUMBER_BIT),
      furniture: (length & FURNITURE_BIT) !== 0,
    });
  }
  return { title, body, text: `${title}\n${body}`, tokens, nLeftOut: nTokens - tokens.length };
}
