import { type Example, evaluate, type LoadedModel, loadModel, prune } from '../src/index.js';
import { interleave, ratios, spreadOf, timed } from '../src/latency/rounds.js';
import type { PackedBatch } from '../src/native/addon.js';
import type { Task } from '../src/tasks/task.js';
import { TaskBatch } from '../src/tasks/task-batch.js';
import type { SweepMethod } from '../src/tokens/methods.js';
import { sequenceMacs, tokenCounts } from '../src/tokens/token-counts.js';
import { hasShared, sharedPath } from '../test/support/paths.js';
import type { BenchContext, Benchmark, Row } from './support/benchmark.js';
import { dropTokensBy } from './support/drop-tokens.js';
import { developmentExamples, taskFor, trainingExamples } from './support/shared-checkpoints.js';

/** What is kept of the multiply-accumulates by removing units, and then by dropping tokens. */
interface Variant {
  units?: number;
  tokens?: number;
  method?: SweepMethod;
}

const VARIANTS: Variant[] = [
  {},
  { units: 0.5 },
  { tokens: 0.5, method: 'learned' },
  { units: 0.7, tokens: 0.7, method: 'calibrated' },
  { units: 0.7, tokens: 0.7, method: 'learned' },
  { units: 0.5, tokens: 0.6, method: 'learned' },
];
const CHECKPOINTS = ['minilm-mrpc', 'distil-qnli'];
const MOST_TRAINING_ROWS = 4000;
const BATCH = 32;
const TIMED_BATCHES = 12;

export const unitsAndTokens: Benchmark = {
  name: 'units-and-tokens',
  title: `Heads and neurons removed, tokens dropped, and both: accuracy on dev, speed there at batch ${BATCH}`,
  async run(context) {
    if (!hasShared) {
      context.log('skipped: the models and data are absent (set ESPALIER_SHARED)');
      return [];
    }
    const rows: Row[] = [];
    for (const checkpoint of context.quick ? CHECKPOINTS.slice(0, 1) : CHECKPOINTS) {
      rows.push(...(await runCheckpoint(context, checkpoint)));
    }
    return rows;
  },
};

async function runCheckpoint({ threads, rounds, quick, log }: BenchContext, checkpoint: string): Promise<Row[]> {
  const dense = await loadModel(sharedPath('models', checkpoint), { threads });
  const made: LoadedModel[] = [dense];
  try {
    const task = taskFor(dense, checkpoint);
    const train = (await trainingExamples(task)).slice(0, MOST_TRAINING_ROWS);
    const dev = await developmentExamples(task);
    const rows: Row[] = [];
    const models: LoadedModel[] = [];
    for (const variant of quick ? VARIANTS.slice(0, 2) : VARIANTS) {
      log(`${checkpoint}: ${JSON.stringify(variant)}`);
      const model = await make(dense, variant, task, train, made);
      const { metrics } = await evaluate(model, { task: task.name, examples: dev });
      const macs = await macsOf(model, dense, packed(dev, model, task));
      const { units = 1, tokens = 1, method = '' } = variant;
      rows.push({ checkpoint, units, tokens, method, accuracy: 100 * (metrics.accuracy as number), macs });
      models.push(model);
    }
    const batches = Array.from({ length: TIMED_BATCHES }, (_, i) =>
      packed(dev.slice(BATCH * i, BATCH * (i + 1)), dense, task),
    );
    const contenders = models.map(({ native }) =>
      timed(checkpoint, async () => {
        for (const batch of batches) await native.forward(batch);
      }),
    );
    const [denseSeconds = [], ...others] = await interleave(contenders, rounds);
    const speed = [denseSeconds, ...others].map((seconds) => spreadOf(ratios(denseSeconds, seconds)).median);
    return rows.map((row, index) => ({
      ...row,
      'promised by the MACs': 1 / (row.macs as number),
      speed: speed[index] as number,
    }));
  } finally {
    for (const model of made) await model.dispose();
  }
}

/** Adds what it makes on the way to `made`. */
async function make(
  dense: LoadedModel,
  { units, tokens, method }: Variant,
  task: Task,
  train: readonly Example[],
  made: LoadedModel[],
): Promise<LoadedModel> {
  let model = dense;
  if (units !== undefined) {
    ({ model } = await prune(dense, { task: task.name, train, keep: units }));
    made.push(model);
  }
  if (method && tokens !== undefined) {
    ({ model } = await dropTokensBy(method, model, { task: task.name, train, teacher: dense, macs: tokens }));
    made.push(model);
  }
  return model;
}

const packed = (examples: readonly Example[], { tokenizer }: LoadedModel, task: Task): PackedBatch =>
  new TaskBatch(task, examples, tokenizer, task.maxLength).packed;

/** The part of the dense model's multiply-accumulates on a batch that is left. */
async function macsOf({ native }: LoadedModel, dense: LoadedModel, batch: PackedBatch): Promise<number> {
  const { layers } = native.spec;
  const counts = tokenCounts(await native.traceTokens(batch), batch, layers.length);
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  const left = sum(counts.map((sequence) => sequenceMacs(native.spec, sequence)));
  return (
    left /
    sum(
      counts.map((sequence) =>
        sequenceMacs(
          dense.native.spec,
          sequence.map(() => sequence[0] as number),
        ),
      ),
    )
  );
}
