import { existsSync, readdirSync, statSync } from 'node:fs';
import { EspalierError } from '../native/errors.js';
import { checkWritable } from './atomic-output.js';

/**
 * The names in a directory that work goes on in, none where it is not there yet. Throws ERR_OPTION where the path is empty,
 * ERR_OUTPUT where it is no directory or nothing can be written there.
 */
export function filesIn(directory: string): string[] {
  checkWritable(directory);
  if (!existsSync(directory)) return [];
  if (statSync(directory).isDirectory()) return readdirSync(directory);
  throw new EspalierError('ERR_OUTPUT', `${directory} is no directory (give another path)`);
}
