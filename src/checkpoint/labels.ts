import * as v from 'valibot';
import { quote } from '../quote.js';
import type { HeadKind } from './family.js';
import { checkSettings, invalidSetting, unsupportedSetting } from './settings.js';

/** Bounds what a broken config.json can make us allocate. */
const labelCount = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100_000));

const settings = v.object({
  num_labels: v.nullish(labelCount),
  id2label: v.nullish(v.record(v.string(), v.union([v.string(), v.number()]))),
  problem_type: v.nullish(v.string()),
});

export interface Labels {
  /** Names of the logits, in order. */
  labels: string[];
  problem: 'classification' | 'regression' | 'span';
}

/** Labels and problem as transformers understands config.json. Throws ERR_CHECKPOINT, ERR_UNSUPPORTED. */
export function readLabels(config: Record<string, unknown>, head: HeadKind): Labels {
  // Whatever label names are stored beside it, a span head has these two.
  if (head === 'span') return { labels: ['start', 'end'], problem: 'span' };
  const { num_labels: count, id2label, problem_type: type } = checkSettings(settings, config);
  const labels = id2label ? orderLabels(id2label) : Array.from({ length: count ?? 2 }, (_, index) => `LABEL_${index}`);
  if (count && count !== labels.length) {
    throw invalidSetting('num_labels', `is ${count}, but id2label has ${labels.length} labels`);
  }
  return { labels, problem: problemOf(type ?? undefined, labels.length) };
}

function orderLabels(id2label: Record<string, string | number>): string[] {
  const count = Object.keys(id2label).length;
  const labels = Array.from({ length: count }, (_, index) => {
    const label = id2label[index];
    if (label === undefined) throw invalidSetting('id2label', `has ${count} labels, but none for ${index}`);
    return String(label);
  });
  if (count === 0) throw invalidSetting('id2label', 'is empty');
  if (new Set(labels).size < count) throw invalidSetting('id2label', 'has a label twice');
  return labels;
}

function problemOf(type: string | undefined, labels: number): Labels['problem'] {
  switch (type ?? (labels === 1 ? 'regression' : 'single_label_classification')) {
    case 'regression':
      if (labels === 1) return 'regression';
      throw unsupportedSetting('problem_type', type, `with ${labels} outputs; regression has one`);
    case 'single_label_classification':
      if (labels > 1) return 'classification';
      throw invalidSetting('problem_type', `is ${quote(type)} with only one label`);
    default:
      throw unsupportedSetting('problem_type', type, 'supported: single_label_classification, regression');
  }
}
