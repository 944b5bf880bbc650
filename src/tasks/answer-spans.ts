import type { Encoding } from '../tokenizer/tokenizer.js';

/** What a span model says about one window of a question: start and end logit of every token, [tokens, 2]. */
export interface ScoredWindow {
  encoding: Encoding;
  logits: Float32Array;
}

/** A stretch of the context, as String.slice takes it; 0, 0 where the context does not answer. */
export interface AnswerSpan {
  start: number;
  end: number;
  /** Among the best spans. */
  probability: number;
}

type ScoredSpan = Omit<AnswerSpan, 'probability'> & { score: number };

const bestCount = 20;
const longestAnswer = 30;

/**
 * The answer out of all windows of one question, as transformers' question-answering example picks it: the 20 best start
 * tokens are combined with the 20 best end tokens, and of the spans in the context that have up to 30 tokens, the one with
 * the highest sum of logits wins.
 *
 * @param unanswerable SQuAD 2.0: no answer competes too. Its score is that of the first token, in the window where it is
 *   lowest, and it wins where that is above the best answer's.
 */
export function chooseAnswer(windows: readonly ScoredWindow[], unanswerable: boolean): AnswerSpan {
  const none: ScoredSpan = { start: 0, end: 0, score: Math.min(...windows.map(({ logits }) => score(logits, 0, 0))) };
  const spans = windows.flatMap(spansOf);
  if (unanswerable) spans.push(none);
  const ranked = spans.sort((a, b) => b.score - a.score).slice(0, bestCount);
  if (unanswerable && !ranked.includes(none)) ranked.push(none);

  const best = ranked.find((span) => span !== none);
  const chosen = best === undefined || (unanswerable && none.score > best.score) ? none : best;
  const sum = ranked.reduce((total, span) => total + Math.exp(span.score - chosen.score), 0);
  return { start: chosen.start, end: chosen.end, probability: ranked.length === 0 ? 1 : 1 / sum };
}

/** The first and the last token of the context's stretch in a window; the first token twice where it is not all there. */
export function tokensOf(span: { start: number; end: number } | undefined, encoding: Encoding): [number, number] {
  const first = encoding.sequences.indexOf(1);
  const last = encoding.sequences.lastIndexOf(1);
  const { starts, ends } = encoding;
  if (!span || first === -1 || (starts[first] as number) > span.start || (ends[last] as number) < span.end) {
    return [0, 0];
  }
  let from = last;
  while (from > first && (starts[from] as number) > span.start) from--;
  let to = first;
  while (to < last && (ends[to] as number) < span.end) to++;
  return [from, to];
}

function spansOf({ encoding: { sequences, starts, ends }, logits }: ScoredWindow): ScoredSpan[] {
  const spans: ScoredSpan[] = [];
  const lasts = bestTokens(logits, 1);
  for (const first of bestTokens(logits, 0)) {
    for (const last of lasts) {
      if (sequences[first] !== 1 || sequences[last] !== 1 || last < first || last - first >= longestAnswer) continue;
      spans.push({ start: starts[first] as number, end: ends[last] as number, score: score(logits, first, last) });
    }
  }
  return spans;
}

/** The tokens of the highest start (0) or end (1) logits, special ones included; of equals the later one first. */
function bestTokens(logits: Float32Array, column: 0 | 1): number[] {
  const logit = (token: number) => logits[2 * token + column] as number;
  return Array.from({ length: logits.length / 2 }, (_, token) => token)
    .sort((a, b) => logit(b) - logit(a) || b - a)
    .slice(0, bestCount);
}

/** In single precision like the logits, so that ties are theirs. */
function score(logits: Float32Array, first: number, last: number): number {
  return Math.fround((logits[2 * first] as number) + (logits[2 * last + 1] as number));
}
