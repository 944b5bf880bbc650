import * as v from 'valibot';
import { isObject } from '../checkpoint/json-file.js';
import { EspalierError } from '../native/errors.js';
import { oneLine } from '../quote.js';

/** A token's number, of which there are as many as rows of the embedding matrix. */
export const tokenId = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** What a text can hold. */
export const tokenText = v.pipe(
  v.string(),
  v.nonEmpty(),
  v.check((text) => !/\p{Cs}/u.test(text), 'holds a lone surrogate'),
);

/** A vocabulary as written: its entries are checked by `checkVocabulary`, which says more. */
export const tokenIds = v.custom<Record<string, unknown>>(isObject, 'is not an object');

export function parseJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    throw new EspalierError('ERR_TOKENIZER', `not valid JSON: ${oneLine((error as Error).message)}`, { cause: error });
  }
}

/** What `make` gives; an EspalierError that it throws begins with the file's name. */
export function naming<T>(file: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    throw new EspalierError(error.code, `${file}: ${error.message}`, { cause: error });
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
