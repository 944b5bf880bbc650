import { join } from 'node:path';
import { loadModel } from '../src/api/model.js';
import { train } from '../src/api/train.js';
import { PythonProcess } from '../src/contenders/python-process.js';
import { loadRequest } from '../src/contenders/pytorch.js';
import { type Example, labelsOf, readExamples } from '../src/data/examples.js';
import { resolveTask } from '../src/tasks/task.js';
import { defaultRecipe } from '../src/training/recipe.js';
import { hasShared, repoRoot, sharedPath } from '../test/support/paths.js';
import type { Benchmark, Row } from './support/benchmark.js';

const SEEDS = [0, 1, 2];

export const fineTuning: Benchmark = {
  name: 'fine-tuning',
  title:
    "minilm-mrpc's encoder fine-tuned on MRPC with a new head, 3 epochs: accuracy on dev, PyTorch by the same recipe",
  async run({ threads, python, quick, log }) {
    if (!hasShared) {
      log('skipped: the MRPC model and data are absent (set ESPALIER_SHARED)');
      return [];
    }
    const directory = sharedPath('models/minilm-mrpc');
    await using model = await loadModel(directory, { threads });
    const task = resolveTask(model.checkpoint, 'mrpc');
    const read = (file: string) => readExamples(sharedPath('data/glue/MRPC', file), task);
    const [examples, dev] = [await read('train.tsv'), await read('dev.tsv')];
    const encoded = (some: readonly Example[]) =>
      some.flatMap((example) => task.encode(example, model.tokenizer, task.maxLength));
    const plain = (some: readonly Example[]) =>
      encoded(some).map(({ ids, typeIds }) => ({ ids: [...ids], types: [...typeIds] }));
    await using pytorch = python
      ? new PythonProcess(join(repoRoot, 'bench/support/pytorch_fine_tuning.py'), { python })
      : undefined;
    await pytorch?.ask(loadRequest({ directory, spec: model.native.spec }, threads));
    const labels = labelsOf(examples, task);
    await pytorch?.ask({ request: 'data', train: plain(examples), labels, dev: plain(dev) });

    const rows: Row[] = [];
    for (const seed of quick ? SEEDS.slice(0, 1) : SEEDS) {
      log(`seed ${seed}`);
      await using tuned = await train(model, { task: 'mrpc', train: examples, eval: dev, newHead: true, seed });
      const row: Row = { seed, espalier: tuned.report.trained?.accuracy ?? 0, seconds: tuned.report.seconds.train };
      if (pytorch) {
        const start = performance.now();
        const { logits } = await pytorch.ask<{ logits: number[] }>({
          request: 'fine_tune',
          recipe: defaultRecipe,
          seed,
        });
        const predicted = dev.map((_, i) => ((logits[2 * i + 1] as number) > (logits[2 * i] as number) ? 1 : 0));
        const right = dev.filter(({ label }, i) => label === predicted[i]).length;
        Object.assign(row, { PyTorch: right / dev.length, 'its seconds': (performance.now() - start) / 1000 });
      }
      rows.push(row);
    }
    return rows;
  },
};
