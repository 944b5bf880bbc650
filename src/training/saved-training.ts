import { readFileSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { flush } from '../checkpoint/atomic-output.js';
import { writeOutputFile } from '../checkpoint/output-file.js';
import { weightShapes } from '../checkpoint/roles.js';
import { SafetensorsFile } from '../checkpoint/safetensors-reader.js';
import { writeSafetensors } from '../checkpoint/safetensors-writer.js';
import { filesIn } from '../checkpoint/work-directory.js';
import type { ModelSpec, ParameterState, TensorData } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import type { Training } from '../native/training.js';
import { oneLine } from '../quote.js';

const parts = ['parameter', 'firstMoment', 'secondMoment'] as const satisfies (keyof ParameterState)[];

/** What a training has come to beside its weights. */
export interface Progress<Notes> {
  /** What has to be the same for a training to go on with it. */
  settings: object;
  /** Steps of the optimiser. */
  steps: number;
  notes: Notes;
}

interface Stored<Notes> extends Progress<Notes> {
  weights: string;
}

/**
 * A directory that keeps a training's state, so that one that was killed can go on: state.json, and the weights with
 * what the optimiser remembers of them. state.json is replaced last and whole, so there is always a state to go on from.
 */
export class SavedTraining<Notes> {
  readonly #spec: ModelSpec;

  constructor(
    readonly directory: string,
    spec: ModelSpec,
  ) {
    this.#spec = spec;
  }

  /**
   * Puts a training where an earlier one with the same settings was, and returns its notes; undefined where there is
   * none. Throws ERR_OUTPUT where the directory holds anything else.
   */
  async resume(training: Training, settings: object): Promise<Notes | undefined> {
    const stored = this.#read();
    if (!stored) return undefined;
    if (!isDeepStrictEqual(stored.settings, JSON.parse(JSON.stringify(settings)))) {
      throw this.#refused('holds a training with other settings, another model or other data');
    }
    const file = await SafetensorsFile.open(join(this.directory, stored.weights));
    try {
      const states: Record<string, ParameterState> = {};
      for (const role of weightShapes(this.#spec).keys()) {
        const read = async (part: string) => floats(await file.read(`${role}.${part}`, () => {}));
        const [parameter, firstMoment, secondMoment] = await Promise.all(parts.map(read));
        states[role] = { parameter, firstMoment, secondMoment } as ParameterState;
      }
      await training.restore(states, stored.steps);
    } finally {
      await file.close();
    }
    return stored.notes;
  }

  async save(training: Training, progress: Progress<Notes>): Promise<void> {
    const tensors = new Map<string, TensorData>();
    for (const [role, shape] of weightShapes(this.#spec)) {
      const state = await training.state(role);
      for (const part of parts) tensors.set(`${role}.${part}`, { dtype: 'f32', shape, data: bytes(state[part]) });
    }
    const weights = `step-${progress.steps}.safetensors`;
    await mkdir(this.directory, { recursive: true });
    await rm(join(this.directory, weights), { force: true });
    await writeSafetensors(join(this.directory, weights), tensors);
    await flush(join(this.directory, weights));
    const text = `${JSON.stringify({ ...progress, weights } satisfies Stored<Notes>, null, 2)}\n`;
    await writeOutputFile(join(this.directory, 'state.json'), [Buffer.from(text)], { force: true });
    for (const name of await readdir(this.directory)) {
      if (isMadeBySave(name) && name !== weights) await rm(join(this.directory, name));
    }
  }

  #read(): Stored<Notes> | undefined {
    const names = filesIn(this.directory);
    // The very first save was interrupted.
    if (names.every(isMadeBySave)) return undefined;
    if (!names.includes('state.json')) throw this.#refused('keeps no training');
    try {
      return JSON.parse(readFileSync(join(this.directory, 'state.json'), 'utf8'));
    } catch (error) {
      throw this.#refused(`has a state.json that cannot be read: ${oneLine((error as Error).message)}`);
    }
  }

  #refused(reason: string): EspalierError {
    return new EspalierError('ERR_OUTPUT', `${this.directory} ${reason} (give another directory)`);
  }
}

/** Weights, or a state.json that is not in its place yet: an interrupted save leaves them behind. */
const isMadeBySave = (name: string): boolean => /^(step-\d+\.safetensors|\.state\.json\.[0-9a-f]+)$/.test(name);

const bytes = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const floats = (data: Uint8Array): Float32Array => new Float32Array(Uint8Array.from(data).buffer);
