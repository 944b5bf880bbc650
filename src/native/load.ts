import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { Addon } from './addon.js';
import { EspalierError } from './errors.js';

const require = createRequire(import.meta.url);
let loaded: Addon | undefined;

/**
 * The native addon, loaded on first use.
 *
 * @throws EspalierError ERR_NATIVE_MISSING when it was not built or cannot be loaded, with the remedy.
 */
export function addon(): Addon {
  if (loaded === undefined) {
    try {
      const load = require('node-gyp-build') as (directory: string) => Addon;
      // The package refers to itself by name: the same root from src/ as from dist/.
      loaded = load(dirname(require.resolve('espalier/package.json')));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
      throw new EspalierError(
        'ERR_NATIVE_MISSING',
        `the native engine cannot be loaded on ${process.platform}-${process.arch}, Node ${process.version}: ${reason} (build it with "npx espalier-build", or "npm run setup" in a checkout)`,
        { cause },
      );
    }
  }
  return loaded;
}
