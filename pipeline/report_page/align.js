// Two articles side by side: the runs of words that both have, as pipeline/aligned.py finds them over the same
// tokens, and beyond it the sentences that say the same in other words.

// As in pipeline/aligned.py, which says why.
const MIN_RUN = 3;
const MAX_TOKENS = 5000;
const MAX_PLACES = 100;
const MAX_STEPS = 8000000;
// Cosine of two sentences, terms weighed by the square of their rarity, from which one is the other reworded. Of
// the sentences of the sample that are no copies 32 % reach it with an article of their own cluster, 0.4 % with
// one of another cluster (2026-11-25, best of all sentences; 187 and 132 pairs of articles).
const MIN_REWORDED = 0.3;
const MIN_SENTENCE = 4; // tokens
// Terms met while sentences are paired. Two of 5,000 tokens with 25 in each sentence take 1,000,000.
const MAX_MET = 2000000;

function runsOf(tokens, ids) {
  const found = new Int32Array(Math.max(0, tokens.length - MIN_RUN + 1));
  for (let i = 0; i < found.length; i++) {
    const key = `${tokens[i].term},${tokens[i + 1].term},${tokens[i + 2].term}`;
    if (!ids.has(key)) ids.set(key, ids.size);
    found[i] = ids.get(key);
  }
  return found;
}

// The first place in an ascending list that is not under a value.
function firstFrom(sorted, value) {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (sorted[middle] < value) from = middle + 1;
    else to = middle;
  }
  return from;
}

// Places of each run of b, those at too many places left out, and before each run of a the steps that those up
// to it take, and how many of them are left out.
function placesOf(a, b) {
  const places = new Map();
  b.forEach((id, j) => (places.has(id) ? places.get(id).push(j) : places.set(id, [j])));
  const steps = new Float64Array(a.length + 1);
  const unseen = new Int32Array(a.length + 1);
  const isTooMany = (id) => (places.get(id) || []).length > MAX_PLACES;
  a.forEach((id, i) => {
    const isLeftOut = isTooMany(id);
    steps[i + 1] = steps[i] + 1 + (isLeftOut ? 0 : (places.get(id) || []).length);
    unseen[i + 1] = unseen[i] + isLeftOut;
  });
  for (const id of [...places.keys()]) if (isTooMany(id)) places.delete(id);
  return { places, steps, unseen };
}

// difflib.SequenceMatcher.find_longest_match over runs, as one function for all parts of a and b.
function longestMatcher(a, b, places) {
  let before = new Int32Array(b.length + 1);
  let here = new Int32Array(b.length + 1);
  return (fromA, toA, fromB, toB) => {
    let [bestA, bestB, best] = [fromA, fromB, 0];
    let filled = [];
    for (let i = fromA; i < toA; i++) {
      const touched = [];
      const own = places.get(a[i]) || [];
      for (let k = firstFrom(own, fromB); k < own.length && own[k] < toB; k++) {
        const j = own[k];
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
    if (!best) return [bestA, bestB, 0];
    for (; bestA > fromA && bestB > fromB && a[bestA - 1] === b[bestB - 1]; best++) [bestA, bestB] = [bestA - 1, bestB - 1];
    while (bestA + best < toA && bestB + best < toB && a[bestA + best] === b[bestB + best]) best++;
    return [bestA, bestB, best];
  };
}

// [at in a, at in b, length], ascending, and whether there may be more that was not looked for.
function matchingBlocks(a, b) {
  const { places, steps, unseen } = placesOf(a, b);
  const longest = longestMatcher(a, b, places);
  const found = [];
  const open = [[0, a.length, 0, b.length]];
  let left = MAX_STEPS;
  let isCoarse = false;
  while (open.length) {
    let [fromA, toA, fromB, toB] = open.pop();
    if (fromA === toA || fromB === toB) continue;
    const cost = steps[toA] - steps[fromA];
    const isAffordable = cost <= left;
    if (isAffordable) {
      left -= cost;
      const [atA, atB, size] = longest(fromA, toA, fromB, toB);
      if (size) {
        found.push([atA, atB, size]);
        open.push([fromA, atA, fromB, atB], [atA + size, toA, atB + size, toB]);
        continue;
      }
    }
    while (fromA < toA && fromB < toB && a[fromA] === b[fromB]) found.push([fromA++, fromB++, 1]);
    while (fromA < toA && fromB < toB && a[toA - 1] === b[toB - 1]) found.push([--toA, --toB, 1]);
    if (fromA < toA && fromB < toB) isCoarse ||= !isAffordable || unseen[toA] > unseen[fromA];
  }
  found.sort((x, y) => x[0] - y[0] || x[1] - y[1]);
  const joined = [];
  for (const [i, j, size] of found) {
    const last = joined[joined.length - 1];
    if (last && last[0] + last[2] === i && last[1] + last[2] === j) last[2] += size;
    else joined.push([i, j, size]);
  }
  return [joined, isCoarse];
}

// Runs of equal tokens, [at in a, at in b, tokens], and whether there may be more.
function matches(a, b) {
  const ids = new Map();
  const found = [];
  let doneA = 0;
  let doneB = 0;
  const [blocks, isCoarse] = matchingBlocks(runsOf(a, ids), runsOf(b, ids));
  for (const [i, j, length] of blocks) {
    const cut = Math.max(doneA - i, doneB - j, 0);
    const size = length + MIN_RUN - 1 - cut;
    if (size <= 0) continue;
    found.push([i + cut, j + cut, size]);
    doneA = i + cut + size;
    doneB = j + cut + size;
  }
  return [found, isCoarse];
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

// `terms`: of all tokens; of `tokens`, those that are compared, the end is cut off.
function sides(a, b) {
  return [a, b].map((side) => {
    const all = side.tokens.filter((token) => !token.furniture);
    const tokens = all.slice(0, MAX_TOKENS).map((token) => ({ ...token, run: -1 }));
    const furniture = side.tokens.filter((token) => token.furniture).map((token) => token.begin);
    const sentences = [];
    let k = 0;
    for (const [begin, end] of sentencesOf(side.text)) {
      const own = [];
      while (k < tokens.length && tokens[k].begin < end) own.push(tokens[k++]);
      if (own.length) own[0].isFirst = true;
      const weights = new Map(own.map((token) => [token.term, token.rarity * token.rarity]));
      const norm = Math.sqrt([...weights.values()].reduce((sum, weight) => sum + weight, 0));
      const hasFurniture = furniture[firstFrom(furniture, begin)] < end;
      sentences.push({ begin, end, tokens: own, weights, norm, hasFurniture, other: -1, link: 0 });
    }
    const nLeftOut = side.nLeftOut + all.length - tokens.length;
    return { side, tokens, sentences, terms: new Set(all.map((token) => token.term)), nLeftOut };
  });
}

function alike(one, other) {
  if (!one.norm || !other.norm) return 0;
  let sum = 0;
  for (const [term, weight] of one.weights) if (other.weights.has(term)) sum += weight;
  return sum / (one.norm * other.norm);
}

// Pairs of sentences that are no runs and alike, [how much, of a, of b]; whether all were compared.
function alikePairs(a, b) {
  const isOpen = (sentence) =>
    sentence.tokens.length >= MIN_SENTENCE &&
    sentence.tokens.filter((token) => token.run >= 0).length <= sentence.tokens.length / 2;
  const [openA, openB] = [a, b].map((own) =>
    own.sentences.flatMap((sentence, i) => (isOpen(sentence) ? [[sentence, i]] : [])),
  );
  const found = [];
  let met = 0;
  for (const [one, i] of openA) {
    met += one.weights.size * openB.length;
    if (met > MAX_MET) return [found, false];
    for (const [other, j] of openB) {
      const score = alike(one, other);
      if (score >= MIN_REWORDED) found.push([score, i, j]);
    }
  }
  return [found, true];
}

// Whether the second of two texts is taken first, as in pipeline/aligned.py: its terms are the smaller ones.
function isSecondFirst(a, b) {
  let k = 0;
  while (k < a.length && k < b.length && a[k].term === b[k].term) k++;
  return k === b.length ? k < a.length : k < a.length && a[k].term > b[k].term;
}

// The runs, and for each sentence that is not mostly one of them the sentence of the other that is most alike.
// Both are found, and numbered, the same whichever text is on the left.
function align(a, b) {
  const [left, right] = sides(a, b);
  const [first, second] = isSecondFirst(left.tokens, right.tokens) ? [right, left] : [left, right];
  let nSame = 0;
  const [runs, isCoarse] = matches(first.tokens, second.tokens);
  runs.forEach(([i, j, size], number) => {
    for (let k = 0; k < size; k++) first.tokens[i + k].run = second.tokens[j + k].run = number;
    nSame += size;
  });
  const [found, isWhole] = alikePairs(first, second);
  found.sort((x, y) => y[0] - x[0] || x[1] - y[1] || x[2] - y[2]);
  for (const [, i, j] of found) {
    if (first.sentences[i].other >= 0 || second.sentences[j].other >= 0) continue;
    first.sentences[i].other = j;
    second.sentences[j].other = i;
  }
  let nReworded = 0;
  for (const sentence of first.sentences) {
    if (sentence.other < 0) continue;
    sentence.link = second.sentences[sentence.other].link = ++nReworded;
  }
  for (const [own, other] of [
    [left, right],
    [right, left],
  ]) {
    // Nothing is known of what the report doesn't hold of the other.
    own.isOnlyKnown = !other.side.nLeftOut;
    for (const token of own.tokens)
      token.isOnly = token.kind > 0 && own.isOnlyKnown && !other.terms.has(token.term);
    for (const token of own.tokens) token.isBoth = token.kind > 0 && other.terms.has(token.term);
  }
  return { left, right, nSame, nReworded, isCoarse: isCoarse || !isWhole };
}
