import * as v from 'valibot';
import { EspalierError } from '../native/errors.js';
import { quote } from '../quote.js';

/** A width or count of a model. */
export const size = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 31 - 1));

/** What a float32 holds; in double it would become infinity on its way. */
export const largestFloat = 3.4028234663852886e38;

/** Bounds what a broken config.json can make us allocate; the largest encoders have a few dozen layers. */
export const layerCount = v.pipe(size, v.maxValue(1024));

/** Checks settings of config.json against a schema. Throws ERR_CHECKPOINT naming the first bad one. */
export function checkSettings<Schema extends v.GenericSchema>(schema: Schema, config: unknown): v.InferOutput<Schema> {
  const result = v.safeParse(schema, config);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw invalidSetting(v.getDotPath(issue) ?? '', issue.message);
}

export function invalidSetting(name: string, reason: string): EspalierError {
  return new EspalierError('ERR_CHECKPOINT', `config.json: ${name}: ${reason} (correct config.json)`);
}

export function unsupportedSetting(name: string, value: unknown, supported: string): EspalierError {
  return new EspalierError('ERR_UNSUPPORTED', `config.json: ${name} ${quote(value)} is not supported (${supported})`);
}

/** Refuses settings that would change what the model computes. A setting left out or null has its default. */
export function refuseUnless(config: Record<string, unknown>, name: string, supported: readonly unknown[]): void {
  const value = config[name] ?? null;
  if (value === null || supported.includes(value)) return;
  throw unsupportedSetting(name, value, `supported: ${supported.map(quote).join(', ')}`);
}
