import type { Latency, Spread } from '../latency/rounds.js';
import type { Precision } from '../native/addon.js';
import type { Environment } from '../native/environment.js';
import type { DeviceMemory } from './device-memory.js';

export interface Speed {
  /** Padding does not count. */
  tokensPerSecond: number;
  latency: Latency;
}

export interface BenchRow extends Speed {
  batch: number;
  /** Of every sequence; absent where the texts say it. */
  length?: number;
  tokens: number;
  /** What `tokens` come to where the other runtime pads; absent where nobody does. */
  paddedTokens?: number;
  /** The other one, and how many times as long as this model it takes: round by round. */
  against?: Speed;
  speedup?: Spread;
}

/** `espalier bench --json` prints it. */
export interface BenchReport extends DeviceMemory {
  command: 'bench';
  version: string;
  device: string;
  threads: number;
  precision: Precision;
  environment: Environment;
  /** The directory of the other model, or the other runtime with its version: `onnxruntime 1.30.0`. */
  against?: string;
  rounds: number;
  rows: BenchRow[];
}
