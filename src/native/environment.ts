import { arch, cpus } from 'node:os';
import type { Engine } from './engine.js';

/** What measured times depend on. */
export interface Environment {
  /** The processor with the instruction set in use. */
  cpu: string;
  cores: number;
  node: string;
}

export function environmentOf(engine: Engine): Environment {
  return {
    cpu: `${cpus()[0]?.model ?? 'unknown'}, ${engine.detail}, ${arch()}`,
    cores: cpus().length,
    node: process.version,
  };
}
