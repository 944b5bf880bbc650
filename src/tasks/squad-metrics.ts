/**
 * How SQuAD judges answers (Rajpurkar et al. 2016, arXiv 1606.05250, and 2018, arXiv 1806.03822): texts are compared
 * without case, punctuation, articles and extra white space. What counts as a letter or as white space follows the
 * official scripts, which are Python's.
 */

const punctuation = /[!-/:-@[-`{-~]/g;
const article = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;
const space = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+';
const spaces = new RegExp(space);
const leadingSpace = new RegExp(`^${space}`);

/** The words of an answer that count. */
export function answerWords(text: string): string[] {
  return text
    .toLowerCase()
    .replace(punctuation, '')
    .replace(article, ' ')
    .split(spaces)
    .filter((word) => word !== '');
}

/** A question less the white space before it, which some of SQuAD's have plenty of. */
export const withoutLeadingSpace = (question: string): string => question.replace(leadingSpace, '');

/**
 * Mean over questions of the best match with any of their gold answers, as fractions: of whole answers, and the f1 of
 * their words.
 *
 * @param unanswerable SQuAD 2.0: a question without gold answers, or with wordless ones only, wants no words
 */
export function squadMetrics(
  answers: readonly string[],
  golds: readonly (readonly string[])[],
  unanswerable: boolean,
): { exact_match: number; f1: number } {
  let exact = 0;
  let f1 = 0;
  for (const [index, answer] of answers.entries()) {
    const words = answerWords(answer);
    const allowed = allowedWords(golds[index] as readonly string[], unanswerable);
    exact += Math.max(...allowed.map((gold) => Number(gold.join(' ') === words.join(' '))));
    // Two wordless answers agree for SQuAD 2.0 alone: 1.1 knows none.
    f1 += Math.max(...allowed.map((gold) => wordF1(words, gold) ?? Number(unanswerable)));
  }
  return { exact_match: exact / answers.length, f1: f1 / answers.length };
}

function allowedWords(golds: readonly string[], unanswerable: boolean): string[][] {
  const words = golds.map(answerWords);
  if (!unanswerable) return words;
  const worded = words.filter((gold) => gold.length > 0);
  return worded.length > 0 ? worded : [[]];
}

/** Harmonic mean of precision and recall, repeated words counted as often as both have them; undefined without words. */
function wordF1(words: readonly string[], gold: readonly string[]): number | undefined {
  if (words.length === 0 && gold.length === 0) return undefined;
  const left = new Map<string, number>();
  for (const word of gold) left.set(word, (left.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of words) {
    const count = left.get(word) ?? 0;
    if (count > 0) common++;
    left.set(word, count - 1);
  }
  return (2 * common) / (words.length + gold.length);
}
