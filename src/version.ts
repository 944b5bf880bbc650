import { createRequire } from 'node:module';

// The package refers to itself by name: the same file from src/ as from dist/.
const { version: ownVersion } = createRequire(import.meta.url)('espalier/package.json') as { version: string };

/** Of this package. */
export const version = ownVersion;
