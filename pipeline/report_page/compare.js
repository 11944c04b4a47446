// Two members side by side, what both say marked in each.

const MOST_FACTS = 12; // names and numbers listed of each side
const GONE = -2; // place of a text of an earlier night that is not there any more, as in report_pages.py

// Two articles side by side. `labels` name them; `words` is what is known of the pair.
async function besideNodes(articles, labels, words) {
  const head = [
    h("h2", { tabindex: -1 }, `${labels[0]} and ${labels[1]} side by side`),
    h("p", { class: "measures" }, words),
  ];
  const why = whyCommand(articles);
  const texts = await Promise.all(articles.map((article) => textAt(article.place)));
  const gone = labels.filter((_, side) => articles[side].place === GONE);
  if (gone.length) return [head, h("p", { class: "left-out" }, goneWords(gone))];
  if (texts.includes(null))
    return [
      head,
      h("p", { class: "left-out" }, "The report does not have both texts. ", whereTextsAre()),
      run.shape.has_texts ? why : null, // it needs them too
    ];
  const found = align(...texts);
  const columnsOf = [found.left, found.right].map((own, side) => column(own, side, articles[side], labels[side]));
  return [
    head,
    alignedWords(found),
    h("div", { class: "two", onclick: follow, onkeydown: followKey }, columnsOf),
    why,
  ];
}

// What a reader can do about texts that the report doesn't have.
const whereTextsAre = () =>
  run.shape.has_texts
    ? ["Write it with all of them: ", command("report"), "."]
    : "The run was made with keep_texts = false.";

// Of articles whose text nobody has.
const goneWords = (labels) =>
  `The text of ${labels.join(" and of ")} is not there: the article came with an earlier night, and the run of that night is gone, kept no texts or is damaged. The overview says which run, why, and what to do.`;

// What was measured of a pair; `isTurned` says that its left article stands on the right.
function pairWords(pair, isTurned) {
  const [own, other] = isTurned
    ? [pair.containment_r_in_l, pair.containment_l_in_r]
    : [pair.containment_l_in_r, pair.containment_r_in_l];
  const measure = (name, value) => h("span", null, measured(name), " ", h("strong", null, decimals(value)));
  return [
    relation(pair.relation),
    run.relations[pair.relation].is_confirmed ? null : "not confirmed, listed as a neighbour",
    measure("probability", pair.probability),
    measure("cosine", pair.cosine),
    measure("cosine of names", pair.cosine_names),
    measure("cosine of numbers", pair.cosine_numbers),
    measure("jaccard", pair.jaccard),
    measure("left in right", own),
    measure("right in left", other),
    h("span", null, measured("found by"), ` ${pair.found_by}`),
  ];
}

// What was found, in words; `names` are the two in a sentence.
function alignedWords(found, names = ["the left", "the right"]) {
  const { left, right } = found;
  const cut = left.nLeftOut + right.nLeftOut;
  return h(
    "div",
    { class: "aligned" },
    h(
      "ul",
      { class: "legend" },
      h(
        "li",
        null,
        h("span", { class: "same" }, "word for word"),
        ` ${plural(found.nSame, "word")}, ${shareOf(found.nSame, left, names[0])}, ${shareOf(found.nSame, right, names[1])}`,
      ),
      h("li", null, h("span", { class: "reworded" }, "reworded"), ` ${plural(found.nReworded, "sentence")}`),
      h("li", null, h("span", { class: "both" }, "name or number"), " that both have"),
      h("li", null, h("span", { class: "only" }, "name or number"), " that the other lacks"),
      h("li", null, h("span", { class: "furniture" }, "furniture"), " of the site, not compared"),
    ),
    h("p", null, onlyWords(left, names[0])),
    h("p", null, onlyWords(right, names[1])),
    h("p", { id: "reworded-help", class: "unseen" }, "Reworded sentence: Enter goes to its like."),
    h("p", { id: "same-help", class: "unseen" }, "Word for word: Enter goes to its like."),
    cut ? h("p", { class: "left-out" }, cutWords(found, cut)) : null,
    found.isCoarse
      ? h(
          "p",
          { class: "left-out" },
          "The two repeat themselves so much that not everything was compared: more may be word for word, or reworded.",
        )
      : null,
  );
}

// Of a text that is cut nobody knows how much of the rest is word for word in the other.
function shareOf(nSame, { tokens, nLeftOut }, name) {
  if (nLeftOut && !tokens.length) return `none of ${name} was aligned`;
  return `${share(nSame, tokens.length)} of ${nLeftOut ? `the first ${plural(tokens.length, "word")} of ` : ""}${name}`;
}

const cutWords = ({ left, right }, cut) => [
  `${plural(cut, "word")} at the end of very long texts ${cut === 1 ? "was" : "were"} not aligned.`,
  left.isOnlyKnown && right.isOnlyKnown ? "" : " What the other lacks is not known of all of it, and not marked.",
];

// Names and numbers that the other lacks. A word that only ever begins a sentence may be no name.
function onlyWords(own, name) {
  if (!own.isOnlyKnown) return null;
  const seen = new Map();
  for (const token of own.tokens) {
    if (!token.isOnly) continue;
    const known = seen.get(token.term) || { token, isSure: false };
    known.isSure ||= !token.isFirst || token.kind === NUMBER_BIT;
    seen.set(token.term, known);
  }
  const order = (a, b) => b.isSure - a.isSure || b.token.rarity - a.token.rarity || a.token.begin - b.token.begin;
  const found = [...seen.values()].sort(order);
  if (!found.length) return h("span", null, `No name or number of ${name} only.`);
  return h(
    "span",
    null,
    `Names and numbers of ${name} only: `,
    found
      .slice(0, MOST_FACTS)
      .map(({ token, isSure }, k) => [
        k ? ", " : "",
        h("span", { class: "only" }, h("bdi", { dir: "auto" }, visible(own.side.text, token.begin, token.end))),
        isSure ? null : h("span", { class: "note", title: "It only ever begins a sentence: perhaps no name." }, " (begins a sentence)"),
      ]),
    found.length > MOST_FACTS ? ` and ${count(found.length - MOST_FACTS)} more.` : ".",
  );
}

function column(own, side, member, label) {
  const head = h(
    "header",
    null,
    h("strong", null, `${label} `, sourceName(member.source)),
    h("span", { class: "note" }, when(member.at), " · ", outside(member.article_id, { class: "id" })),
  );
  const split = own.side.title.length + 1;
  return h(
    "article",
    { class: "text", lang: "", "data-side": side, "aria-label": side ? "right" : "left" },
    head,
    h("h3", { dir: "auto" }, marked(own, 0, split - 1, side)),
    h("div", { class: "body" }, paragraphs(own, split, side)),
  );
}

function paragraphs(own, from, side) {
  const found = [];
  let at = from;
  for (const line of own.side.text.slice(from).split("\n")) {
    if (line.trim()) found.push(h("p", { dir: "auto" }, marked(own, at, at + line.length, side)));
    at += line.length + 1;
  }
  return found;
}

// What leads to its like with a click or Enter. Of a run that is cut by sentences only the first piece takes the
// focus, and none in a reworded sentence, which leads as a whole.
const leads = (help) => ({ tabindex: 0, role: "button", "aria-describedby": help });

// The text [begin, end) with its marks: sentences that are reworded, in them and around them runs and facts.
function marked(own, begin, end, side) {
  own.begins ||= own.sentences.map((sentence) => sentence.begin);
  own.led ||= new Set();
  const pieces = [];
  for (let k = firstFrom(own.begins, begin); k < own.sentences.length && own.sentences[k].end <= end; k++) {
    const sentence = own.sentences[k];
    const words = markedWords(own, sentence);
    if (sentence.link) {
      pieces.push(
        h(
          "span",
          {
            class: "reworded",
            ...leads("reworded-help"),
            "data-link": sentence.link,
            id: `reworded-${side}-${sentence.link}`,
          },
          h("sup", { "aria-hidden": "true" }, String(sentence.link)),
          words,
        ),
      );
    } else pieces.push(...words);
  }
  return pieces;
}

function markedWords(own, sentence) {
  const pieces = [];
  const text = own.side.text;
  let done = sentence.begin;
  let open = null; // the run under way: words between its tokens are of it
  const plainTo = (to) => {
    if (to > done) pieces.push(...visible(text, done, to));
    done = Math.max(done, to);
  };
  if (sentence.hasFurniture && !sentence.tokens.length)
    return [h("span", { class: "furniture" }, visible(text, sentence.begin, sentence.end))];
  for (const token of sentence.tokens) {
    if (token.begin < done && token.end <= done) continue; // pairs of letters overlap
    const begin = Math.max(token.begin, done);
    if (token.run >= 0) {
      if (!open || open.run !== token.run) {
        plainTo(begin);
        const isLeading = !sentence.link && !own.led.has(token.run);
        if (isLeading) own.led.add(token.run);
        const props = { class: "same", "data-run": token.run, ...(isLeading ? leads("same-help") : {}) };
        open = { run: token.run, element: h("span", props) };
        pieces.push(open.element);
      } else if (begin > done) open.element.append(...visible(text, done, begin));
    } else {
      open = null;
      plainTo(begin);
    }
    const word = visible(text, begin, token.end);
    const target = open ? open.element : { append: (...more) => pieces.push(...more) };
    if (token.isOnly || token.isBoth)
      target.append(
        h("span", { class: `${token.isOnly ? "only" : "both"} ${token.kind === NUMBER_BIT ? "a-number" : "a-name"}` }, word),
      );
    else target.append(...word);
    done = Math.max(done, token.end);
  }
  plainTo(sentence.end);
  return pieces;
}

// From a reworded sentence, or a run, to its like on the other side.
function follow(event) {
  const from = event.target.closest("[data-link]") || event.target.closest("[data-run]");
  if (!from || !window.getSelection().isCollapsed) return;
  const other = event.currentTarget.querySelector(
    `[data-side="${1 - Number(from.closest("[data-side]").dataset.side)}"]`,
  );
  const like = from.dataset.link ? `[data-link="${from.dataset.link}"]` : `[data-run="${from.dataset.run}"]`;
  const to = other.querySelector(`${like}[tabindex]`) || other.querySelector(like);
  if (!to) return;
  for (const lit of event.currentTarget.querySelectorAll(".lit")) lit.classList.remove("lit");
  for (const one of [from, to]) one.classList.add("lit");
  to.scrollIntoView({
    block: "center",
    behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
  });
  if (event.type === "keydown") to.closest("[tabindex]").focus({ preventScroll: true });
}

function followKey(event) {
  if ((event.key !== "Enter" && event.key !== " ") || !event.target.matches("[role=button]")) return;
  event.preventDefault();
  follow(event);
}

function whyCommand(members) {
  const told = command("explain", ...members.map((member) => member.article_id));
  return told && h("p", { class: "note" }, "Why: ", told);
}
