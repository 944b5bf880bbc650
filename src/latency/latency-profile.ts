import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { precisions } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import { oneLine } from '../quote.js';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const seconds = v.pipe(v.number(), v.finite());

/** Seconds of every round, in order. */
const samples = v.array(seconds);

/** What one sub-layer of so many units takes more than one of none. */
const point = v.object({ units: v.pipe(count, v.minValue(1)), samples });
const table = v.object({ attention: v.array(point), ffn: v.array(point) });

const schema = v.object({
  command: v.literal('profile'),
  version: v.string(),
  environment: v.object({ cpu: v.string(), cores: count, node: v.string() }),
  device: v.string(),
  threads: count,
  precision: v.picklist(precisions),
  /** Of the model that was measured. */
  hiddenSize: count,
  headSize: count,
  layers: v.array(v.object({ heads: count, neurons: count })),
  head: v.picklist(['sequence', 'span']),
  /** Tokens of every sequence of the batch. */
  lengths: v.array(v.pipe(count, v.minValue(1))),
  /** Of the model without heads and neurons: embeddings, normalisation, head. */
  rest: v.object({ samples }),
  /** Of the whole model, against which the tables are checked. */
  whole: v.object({ samples }),
  inner: table,
  /** Of the last layer where the head reads first tokens only. */
  last: v.optional(table),
});

/** Measured latencies of one model's sub-layers by the units they have, for one batch on one machine. */
export type LatencyProfile = v.InferOutput<typeof schema>;
export type LatencyTable = v.InferOutput<typeof table>;
export type LatencyPoint = v.InferOutput<typeof point>;

/** Throws ERR_DATA where the file cannot be read or is no profile. */
export async function readProfile(file: string): Promise<LatencyProfile> {
  try {
    return parseProfile(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (error instanceof EspalierError) throw error;
    const reason = (error as Error).message;
    throw new EspalierError('ERR_DATA', `cannot read ${file}: ${reason} (make it with espalier profile)`, {
      cause: error,
    });
  }
}

/** Throws ERR_DATA where `text` is no profile. */
export function parseProfile(text: string, name: string): LatencyProfile {
  const refused = (reason: string, cause?: unknown) =>
    new EspalierError('ERR_DATA', `${name} is no latency profile: ${reason} (make one with espalier profile)`, {
      cause,
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refused(oneLine((error as Error).message), error);
  }
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw refused([v.getDotPath(issue), issue.message].filter(Boolean).join(': '));
}
