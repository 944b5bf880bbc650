// Prunes a model of BERT-base size and prints, as JSON, the most memory that this process ever held.
import { readFileSync } from 'node:fs';
import type { Preset } from '../../src/prune/preset.js';
import { pruneModel } from '../../src/prune/prune.js';
import { hasShared } from '../../test/support/paths.js';
import { bertBaseModel } from './models.js';
import { KEEP, mrpcCalibration, openModel } from './prune-run.js';

const [threads, preset] = process.argv.slice(2) as [string, Preset];
if (hasShared) {
  const { calibration, task } = await mrpcCalibration();
  using model = await openModel(async () => bertBaseModel(), Number(threads));
  const { model: pruned, seconds } = await pruneModel(model, calibration, {
    preset,
    keep: KEEP,
    loss: task.loss,
    batchSize: task.miniBatch,
    seed: 0,
    sequenceLength: task.averageLength as number,
  });
  pruned.dispose();
  const [, kibibytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) as RegExpExecArray;
  console.log(
    JSON.stringify({
      preset,
      'peak resident GiB': Number(kibibytes) / 2 ** 20,
      seconds: Object.values(seconds).reduce((sum, step) => sum + step, 0),
      steps: Object.entries(seconds)
        .map(([step, value]) => `${step} ${value.toFixed(1)}`)
        .join(', '),
    }),
  );
}
