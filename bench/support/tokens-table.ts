import { mean } from '../../src/statistics.js';
import { markdown } from './markdown.js';

/** What a method of dropping tokens made of a checkpoint. */
export interface TokensRow {
  checkpoint: string;
  seed: number;
  device: string;
  method: string;
  /** Rate while it was trained. */
  dropout: number;
  /** The part of the multiply-accumulates that was asked for, on the training data. */
  target: number;
  /** On the evaluation data. */
  macs: number;
  keptPerLayer: number[];
  /** Thresholds, or keep rates. */
  values: number[];
  /** What importance is a mean over; 0: each sequence's own length, or there are no thresholds. */
  paddedLength: number;
  dense: number;
  accuracy: number;
  /** Measured in turns with the dense model, on 256 sequences of the evaluation data. */
  speedup: number;
  seconds: number;
}

/** Names what differs in nothing but the seed. */
export const groupOf = ({ checkpoint, device, method, dropout, paddedLength, target }: TokensRow): string =>
  JSON.stringify([checkpoint, device, target, method, dropout, paddedLength > 0]);

/** Markdown: a row a group, the mean over its seeds. */
export function tokensTable(rows: readonly TokensRow[]): string {
  const groups = [...new Set(rows.map(groupOf))].map((key) => rows.filter((row) => groupOf(row) === key));
  const lines = groups.map((of) => {
    const [first] = of as [TokensRow];
    const meanOf = (value: (row: TokensRow) => number) => mean(of.map(value));
    const losses = of.map(({ dense, accuracy }) => 100 * (dense - accuracy));
    const spread = of.length > 1 ? ` (${(Math.max(...losses) - Math.min(...losses)).toFixed(1)})` : '';
    return [
      first.checkpoint,
      first.device,
      first.method,
      `${first.dropout}`,
      first.paddedLength > 0 ? first.paddedLength.toFixed(0) : '',
      meanOf(({ macs }) => macs).toFixed(3),
      (100 * meanOf(({ dense }) => dense)).toFixed(1),
      (100 * meanOf(({ accuracy }) => accuracy)).toFixed(1),
      meanOf(({ dense, accuracy }) => 100 * (dense - accuracy)).toFixed(2) + spread,
      `${meanOf(({ speedup }) => speedup).toFixed(2)}x`,
      first.keptPerLayer.map((kept) => Math.round(100 * kept)).join(' '),
      meanOf(({ seconds }) => seconds).toFixed(0),
    ];
  });
  const head = [
    'checkpoint',
    'device',
    'method',
    'dropout',
    'importance over',
    'MACs',
    'dense',
    'accuracy',
    'points lost',
    'speed',
    'kept per layer, %',
    'seconds',
  ];
  return markdown([head, ...lines]);
}
