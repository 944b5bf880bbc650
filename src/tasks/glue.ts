import type { ClassificationDefinition } from './classification.js';
import type { RegressionDefinition } from './regression.js';

/**
 * GLUE (Wang et al. 2019, arXiv 1804.07461): columns of the official files, label order of the data sets that
 * transformers trains on, and the mean lengths that Kwon et al. 2022 (arXiv 2204.09656) count operations with; they did
 * without WNLI, whose length is measured.
 */
export const glue: Record<string, ClassificationDefinition | RegressionDefinition> = {
  cola: {
    kind: 'classification',
    columns: { text: 'sentence', label: 'label' },
    quirks: { withoutHeader: ['source', 'label', 'annotation', 'sentence'] },
    labels: ['unacceptable', 'acceptable'],
    matthews: true,
    submitIndices: true,
    maxLength: 64,
    averageLength: 11.67,
  },
  sst2: {
    kind: 'classification',
    columns: { text: 'sentence', label: 'label' },
    labels: ['negative', 'positive'],
    submitIndices: true,
    maxLength: 64,
    averageLength: 25.16,
  },
  mrpc: {
    kind: 'classification',
    columns: { text: '#1 String', pair: '#2 String', label: 'Quality' },
    labels: ['not_equivalent', 'equivalent'],
    positive: 1,
    submitIndices: true,
    maxLength: 128,
    averageLength: 53.24,
  },
  stsb: {
    kind: 'regression',
    columns: { text: 'sentence1', pair: 'sentence2', label: 'score' },
    range: [0, 5],
    maxLength: 128,
    averageLength: 31.47,
  },
  qqp: {
    kind: 'classification',
    columns: { text: 'question1', pair: 'question2', label: 'is_duplicate' },
    // The official files have a few broken lines, which transformers' data sets leave out too.
    quirks: { leaveOutShort: true },
    labels: ['not_duplicate', 'duplicate'],
    positive: 1,
    submitIndices: true,
    maxLength: 128,
    averageLength: 30.55,
  },
  qnli: {
    kind: 'classification',
    columns: { text: 'question', pair: 'sentence', label: 'label' },
    labels: ['entailment', 'not_entailment'],
    maxLength: 128,
    averageLength: 50.97,
  },
  mnli: {
    kind: 'classification',
    columns: { text: 'sentence1', pair: 'sentence2', label: 'gold_label' },
    undecided: '-',
    labels: ['entailment', 'neutral', 'contradiction'],
    maxLength: 128,
    averageLength: 39.05,
  },
  rte: {
    kind: 'classification',
    columns: { text: 'sentence1', pair: 'sentence2', label: 'label' },
    labels: ['entailment', 'not_entailment'],
    maxLength: 128,
    averageLength: 64.59,
  },
  wnli: {
    kind: 'classification',
    columns: { text: 'sentence1', pair: 'sentence2', label: 'label' },
    labels: ['not_entailment', 'entailment'],
    submitIndices: true,
    maxLength: 128,
  },
};
