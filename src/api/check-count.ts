import { EspalierError } from '../native/errors.js';

/** Throws ERR_OPTION for a number that is given and is no whole number from 1 on. */
export function checkCount(name: string, count: number | undefined): void {
  if (count === undefined || (Number.isSafeInteger(count) && count >= 1)) return;
  throw new EspalierError('ERR_OPTION', `${name} must be a whole number, at least 1, not ${count}`);
}
