import { weightShapes } from '../../../src/checkpoint/roles.js';
import type { ModelSpec, ParameterState } from '../../../src/native/addon.js';
import type { Training } from '../../../src/native/training.js';

/** All that a training has come to, by role. */
export async function statesOf(training: Training, spec: ModelSpec): Promise<Record<string, ParameterState>> {
  const states: Record<string, ParameterState> = {};
  for (const role of weightShapes(spec).keys()) states[role] = await training.state(role);
  return states;
}
