// Two articles side by side: the runs of words that both have, as pipeline/aligned.py finds them over the same
// tokens, and beyond it the sentences that say the same in other words.

const MIN_RUN = 3;
// Cosine of two sentences, terms weighed by the square of their rarity, from which one is the other reworded. Of
// the sentences of the sample that are no copies 32 % reach it with an article of their own cluster, 0.4 % with
// one of another cluster (2026-11-25, best of all sentences; 187 and 132 pairs of articles).
const MIN_REWORDED = 0.3;
const MIN_SENTENCE = 4; // tokens

function runsOf(tokens, ids) {
  const found = new Int32Array(Math.max(0, tokens.length - MIN_RUN + 1));
  for (let i = 0; i < found.length; i++) {
    const key = `${tokens[i].term},${tokens[i + 1].term},${tokens[i + 2].term}`;
    if (!ids.has(key)) ids.set(key, ids.size);
    found[i] = ids.get(key);
  }
  return found;
}

// difflib.SequenceMatcher.get_matching_blocks without junk: [at in a, at in b, length], ascending.
function matchingBlocks(a, b) {
  const places = new Map();
  b.forEach((id, j) => (places.has(id) ? places.get(id).push(j) : places.set(id, [j])));
  const found = [];
  const open = [[0, a.length, 0, b.length]];
  let before = new Int32Array(b.length + 1);
  let here = new Int32Array(b.length + 1);
  while (open.length) {
    const [fromA, toA, fromB, toB] = open.pop();
    let [bestA, bestB, best] = [fromA, fromB, 0];
    let filled = [];
    for (let i = fromA; i < toA; i++) {
      const touched = [];
      for (const j of places.get(a[i]) || []) {
        if (j < fromB) continue;
        if (j >= toB) break;
        const length = before[j] + 1;
        here[j + 1] = length;
        touched.push(j + 1);
        if (length > best) [bestA, bestB, best] = [i - length + 1, j - length + 1, length];
      }
      for (const j of filled) before[j] = 0;
      [before, here] = [here, before];
      filled = touched;
    }
    for (const j of filled) before[j] = 0;
    if (!best) continue;
    found.push([bestA, bestB, best]);
    open.push([fromA, bestA, fromB, bestB], [bestA + best, toA, bestB + best, toB]);
  }
  found.sort((x, y) => x[0] - y[0] || x[1] - y[1]);
  const joined = [];
  for (const [i, j, size] of found) {
    const last = joined[joined.length - 1];
    if (last && last[0] + last[2] === i && last[1] + last[2] === j) last[2] += size;
    else joined.push([i, j, size]);
  }
  return joined;
}

function matches(a, b) {
  if (Math.min(a.length, b.length) < MIN_RUN) return [];
  const ids = new Map();
  const found = [];
  let doneA = 0;
  let doneB = 0;
  for (const [i, j, length] of matchingBlocks(runsOf(a, ids), runsOf(b, ids))) {
    const cut = Math.max(doneA - i, doneB - j, 0);
    const size = length + MIN_RUN - 1 - cut;
    if (size <= 0) continue;
    found.push([i + cut, j + cut, size]);
    doneA = i + cut + size;
    doneB = j + cut + size;
  }
  return found;
}

// Sentences of a text, [begin, end) each; a line feed ends one.
function sentencesOf(text) {
  const found = [];
  const cutter = window.Intl && Intl.Segmenter ? new Intl.Segmenter(undefined, { granularity: "sentence" }) : null;
  let at = 0;
  for (const line of text.split("\n")) {
    if (cutter)
      for (const part of cutter.segment(line)) found.push([at + part.index, at + part.index + part.segment.length]);
    else if (line) found.push([at, at + line.length]);
    at += line.length + 1;
  }
  return found;
}

function sides(a, b) {
  return [a, b].map((side) => {
    const tokens = side.tokens.filter((token) => !token.furniture).map((token) => ({ ...token, run: -1 }));
    const sentences = [];
    let k = 0;
    for (const [begin, end] of sentencesOf(side.text)) {
      const own = [];
      while (k < tokens.length && tokens[k].begin < end) own.push(tokens[k++]);
      const weights = new Map(own.map((token) => [token.term, token.rarity * token.rarity]));
      const norm = Math.sqrt([...weights.values()].reduce((sum, weight) => sum + weight, 0));
      sentences.push({ begin, end, tokens: own, weights, norm, other: -1, link: 0 });
    }
    return { side, tokens, sentences, terms: new Set(tokens.map((token) => token.term)) };
  });
}

function alike(one, other) {
  if (!one.norm || !other.norm) return 0;
  let sum = 0;
  for (const [term, weight] of one.weights) if (other.weights.has(term)) sum += weight;
  return sum / (one.norm * other.norm);
}

// The runs, and for each sentence that is not mostly one of them the sentence of the other that is most alike.
function align(a, b) {
  const [left, right] = sides(a, b);
  let nSame = 0;
  matches(left.tokens, right.tokens).forEach(([i, j, size], number) => {
    for (let k = 0; k < size; k++) left.tokens[i + k].run = right.tokens[j + k].run = number;
    nSame += size;
  });
  const isOpen = (sentence) =>
    sentence.tokens.length >= MIN_SENTENCE &&
    sentence.tokens.filter((token) => token.run >= 0).length <= sentence.tokens.length / 2;
  const found = [];
  left.sentences.forEach((one, i) => {
    if (!isOpen(one)) return;
    right.sentences.forEach((other, j) => {
      if (!isOpen(other)) return;
      const score = alike(one, other);
      if (score >= MIN_REWORDED) found.push([score, i, j]);
    });
  });
  found.sort((x, y) => y[0] - x[0] || x[1] - y[1] || x[2] - y[2]);
  for (const [, i, j] of found) {
    if (left.sentences[i].other >= 0 || right.sentences[j].other >= 0) continue;
    left.sentences[i].other = j;
    right.sentences[j].other = i;
  }
  let nReworded = 0;
  for (const sentence of left.sentences) {
    if (sentence.other < 0) continue;
    sentence.link = right.sentences[sentence.other].link = ++nReworded;
  }
  for (const [own, other] of [
    [left, right],
    [right, left],
  ]) {
    for (const token of own.tokens) token.isOnly = token.kind > 0 && !other.terms.has(token.term);
  }
  return { left, right, nSame, nReworded };
}
