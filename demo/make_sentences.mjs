// Writes train.tsv and eval.tsv: labelled reviews put together from fragments.mjs, with a fixed seed. No review is in both.
// Usage: node demo/make_sentences.mjs
import { writeFileSync } from 'node:fs';
import { brief, domains, verdicts } from './fragments.mjs';

const counts = { train: 400, eval: 500 };

/** Mulberry32: a small seeded generator, so that the files come out the same everywhere. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = generator(20220414);
const pick = (list) => list[Math.floor(random() * list.length)];
const pickTwo = (list) => {
  const first = pick(list);
  return [first, pick(list.filter((other) => other !== first))];
};
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

/** A domain seen from one side: `fits` agrees with the label, `against` contradicts it. */
function viewOf(label) {
  const domain = pick(domains);
  const index = Math.floor(random() * domain.things.length);
  const isPlural = domain.plural?.[index] ?? false;
  const sides = [
    { clauses: domain.bad, adjectives: domain.complaint, verdicts: verdicts.bad },
    { clauses: domain.good, adjectives: domain.praise, verdicts: verdicts.good },
  ];
  return {
    thing: domain.things[index],
    is: isPlural ? 'are' : 'is',
    was: isPlural ? 'were' : 'was',
    neutral: domain.neutral,
    fits: sides[label],
    against: sides[1 - label],
  };
}

/** Ways to build a review, each with how often it is used. */
const shapes = [
  [1, (_, label) => pick(label === 1 ? brief.good : brief.bad)],
  [2, ({ thing, is, fits }) => sentence(`${thing} ${is} ${pick(fits.adjectives)}`)],
  [2, ({ fits }) => sentence(pick(fits.clauses))],
  [2, ({ thing, is, fits }) => sentence(`${thing} ${is} ${pickTwo(fits.adjectives).join(' and ')}`)],
  [3, ({ fits }) => sentence(pickTwo(fits.clauses).join(', and '))],
  [
    3,
    ({ thing, was, fits }) => `${sentence(`${thing} ${was} ${pick(fits.adjectives)}`)} ${sentence(pick(fits.clauses))}`,
  ],
  // Negation: words of one side, meaning of the other.
  [1, ({ thing, is, against }) => sentence(`${thing} ${is} not ${pickTwo(against.adjectives).join(' or ')}`)],
  [
    1,
    ({ thing, is, against, fits }) =>
      sentence(`${thing} ${is} anything but ${pick(against.adjectives)}: ${pick(fits.clauses)}`),
  ],
  [
    1,
    ({ thing, against, fits }) =>
      sentence(`nobody could call ${thing} ${pick(against.adjectives)}, and ${pick(fits.clauses)}`),
  ],
  // Contrast: both sides speak, the last word counts.
  [2, ({ against, fits }) => sentence(`although ${pick(against.clauses)}, ${pickTwo(fits.clauses).join(', and ')}`)],
  [
    3,
    ({ thing, was, against, fits }) =>
      `${sentence(`I had heard that ${thing} ${was} ${pick(against.adjectives)}, but it turned out ${pick(fits.adjectives)}`)} ${pick(fits.verdicts)}`,
  ],
  [
    2,
    ({ against, fits, neutral }) =>
      `${sentence(pick(neutral))} ${sentence(`yes, ${pick(against.clauses)}, and still ${pick(fits.clauses)}`)} ${pick(fits.verdicts)}`,
  ],
  // Longer ones.
  [
    3,
    ({ fits, neutral }) =>
      `${sentence(pickTwo(neutral).join(' and '))} ${sentence(pick(fits.clauses))} ${pick(fits.verdicts)}`,
  ],
  [
    3,
    ({ thing, was, fits, against, neutral }) =>
      `${sentence(`${pick(neutral)}, and ${thing} ${was} ${pickTwo(fits.adjectives).join(' and ')}`)} ${sentence(pickTwo(fits.clauses).join('; '))} ` +
      `${sentence(`it is true that ${pick(against.clauses)}, but that hardly mattered`)} ${pick(fits.verdicts)}`,
  ],
];
const shapeBag = shapes.flatMap(([weight, shape]) => Array(weight).fill(shape));

const seen = new Set();
function reviews(count) {
  const rows = [];
  while (rows.length < count) {
    const label = rows.length % 2;
    const text = pick(shapeBag)(viewOf(label), label);
    if (seen.has(text)) continue;
    seen.add(text);
    rows.push(`${text}\t${label}`);
  }
  return rows;
}

for (const [name, count] of Object.entries(counts)) {
  const file = new URL(`${name}.tsv`, import.meta.url);
  writeFileSync(file, `${['sentence\tlabel', ...reviews(count)].join('\n')}\n`);
}
