import type { Example, GoldAnswer, Label } from '../data/examples.js';
import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';
import type { Encoding, Tokenizer } from '../tokenizer/tokenizer.js';
import { chooseAnswer, tokensOf } from './answer-spans.js';
import { squadMetrics, withoutLeadingSpace } from './squad-metrics.js';
import type { Task, TaskSettings } from './task.js';

export interface QuestionDefinition extends TaskSettings {
  kind: 'span';
  /** Whether the context may hold no answer. */
  unanswerable: boolean;
}

/** What a question answering model says: pair.slice(start, end), empty where the context does not answer. */
export interface AnswerPrediction {
  answer: string;
  /** Among the best answers. */
  probability: number;
  start: number;
  end: number;
}

const settings = {
  kind: 'span' as const,
  columns: { id: 'id', text: 'question', pair: 'context', label: 'answers' },
  maxLength: 384,
  averageLength: 170,
};

/** SQuAD 1.1 and 2.0, with the length and the mean length of Kwon et al. 2022 (arXiv 2204.09656). */
export const squad: Record<string, QuestionDefinition> = {
  squad: { ...settings, unanswerable: false },
  squad_v2: { ...settings, unanswerable: true },
};

/** Tokens of the context that neighbouring windows share: transformers' 128 of 384, and as large a part of shorter ones. */
const strideOf = (maxLength: number): number => Math.min(128, Math.floor(maxLength / 3));

/**
 * A task whose model marks the answer to a question in a context. A long context is read through windows that overlap,
 * each after the whole question, as in transformers' question-answering example.
 */
export function questionTask(
  name: string,
  { unanswerable, ...definition }: QuestionDefinition,
): Task<readonly GoldAnswer[], AnswerPrediction> {
  const encode = ({ text, pair }: Example, tokenizer: Tokenizer, maxLength: number): Encoding[] => {
    if (pair === undefined) {
      throw new EspalierError('ERR_DATA', `the question ${quote(text)} has no context (give it as the pair)`);
    }
    try {
      return tokenizer.encodeWindows(withoutLeadingSpace(text), pair, { maxLength, stride: strideOf(maxLength) });
    } catch (error) {
      if (!(error instanceof EspalierError) || error.code !== 'ERR_DATA') throw error;
      throw new EspalierError('ERR_DATA', `the question ${quote(text)}: ${error.message}`, { cause: error });
    }
  };
  return {
    name,
    ...definition,
    loss: 'span',
    // Kwon et al.'s for SQuAD.
    miniBatch: 12,
    readLabel: readAnswers,
    isLabel: (label, { pair = '' }) =>
      isAnswers(label) &&
      (unanswerable || label.length > 0) &&
      label.every((gold) => !!gold?.text && Number.isInteger(gold.start) && pair.startsWith(gold.text, gold.start)),
    allowedLabels: `${unanswerable ? 'a' : 'a filled'} list of {text, answer_start} that stand there in the context`,
    countSequences: (example, tokenizer, maxLength) => encode(example, tokenizer, maxLength).length,
    encode,
    targets: ([gold], window) => tokensOf(gold && { start: gold.start, end: gold.start + gold.text.length }, window),
    predict: (windows, logits, { pair = '' }) => {
      const scored = windows.map((encoding, index) => ({ encoding, logits: logits[index] as Float32Array }));
      const { start, end, probability } = chooseAnswer(scored, unanswerable);
      return { answer: pair.slice(start, end), probability, start, end };
    },
    metrics: (predictions, labels) =>
      squadMetrics(
        predictions.map(({ answer }) => answer),
        labels.map((golds) => golds.map(({ text }) => text)),
        unanswerable,
      ),
    submission: (predictions, examples) => {
      const answers = predictions.map(({ answer }, index) => [examples[index]?.id ?? String(index), answer]);
      return `${JSON.stringify(Object.fromEntries(answers))}\n`;
    },
  };
}

const isAnswers = (label: Label): label is readonly GoldAnswer[] => Array.isArray(label);

/**
 * Answers as SQuAD's JSON has them, [{text, answer_start}], or as the flat data sets made from it, {text: [...],
 * answer_start: [...]}. There answer_start counts code points; ours counts code units, as String.slice does.
 */
function readAnswers(value: unknown, context = ''): GoldAnswer[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const answers: unknown[] = Array.isArray(value) ? value : zip(value);
  const golds = answers.map((answer) => {
    const { text, answer_start: start } = Object(answer) as Record<string, unknown>;
    return typeof text === 'string' && Number.isInteger(start) && Number(start) >= 0
      ? { text, start: codeUnits(context, Number(start)) }
      : undefined;
  });
  return golds.includes(undefined) ? undefined : (golds as GoldAnswer[]);
}

/** {text: [a, b], answer_start: [1, 2]} as [{text: a, answer_start: 1}, {text: b, answer_start: 2}]. */
function zip(columns: { text?: unknown; answer_start?: unknown }): unknown[] {
  const { text, answer_start: starts } = columns;
  if (!Array.isArray(text) || !Array.isArray(starts) || text.length !== starts.length) return [undefined];
  return text.map((item, index) => ({ text: item, answer_start: starts[index] }));
}

/** Where the code point of this number begins in a text. */
function codeUnits(text: string, point: number): number {
  let unit = 0;
  for (let left = point; left > 0 && unit < text.length; left--)
    unit += (text.codePointAt(unit) as number) > 0xffff ? 2 : 1;
  return unit;
}
