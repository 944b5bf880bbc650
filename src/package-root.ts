import { createRequire } from 'node:module';
import { dirname } from 'node:path';

// The package refers to itself by name: the same file from src/ as from dist/.
/** Where this package is installed. */
export const packageRoot = dirname(createRequire(import.meta.url).resolve('espalier/package.json'));
