import * as v from 'valibot';
import { EspalierError } from '../native/errors.js';

export function parseJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    throw new EspalierError('ERR_TOKENIZER', `not valid JSON: ${(error as Error).message}`, { cause: error });
  }
}

/** The value as the schema reads it, or an ERR_TOKENIZER that names the first field that is wrong. */
export function validate<const Schema extends v.GenericSchema>(schema: Schema, json: unknown): v.InferOutput<Schema> {
  const result = v.safeParse(schema, json, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  throw new EspalierError('ERR_TOKENIZER', path ? `${path}: ${issue.message}` : issue.message);
}
