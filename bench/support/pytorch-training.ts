import { join } from 'node:path';
import { padBatch } from '../../src/contenders/padding.js';
import { PythonProcess } from '../../src/contenders/python-process.js';
import { loadRequest, prepareRequest } from '../../src/contenders/pytorch.js';
import type { ModelSpec } from '../../src/native/addon.js';
import type { Recipe } from '../../src/training/recipe.js';
import { repoRoot } from '../../test/support/paths.js';
import { withDirectory } from './model-directory.js';
import type { BenchModel } from './models.js';
import type { Workload } from './workloads.js';

const script = join(repoRoot, 'bench/support/pytorch_training.py');

/** Training steps by PyTorch. */
export class PyTorchTraining implements AsyncDisposable {
  private constructor(
    private readonly process: PythonProcess,
    private readonly spec: ModelSpec,
  ) {}

  static async open(python: string, model: BenchModel, threads: number): Promise<PyTorchTraining> {
    const { spec } = model;
    const process = new PythonProcess(script, { python });
    await withDirectory(model, (directory) => process.ask(loadRequest({ directory, spec }, threads)));
    return new PyTorchTraining(process, spec);
  }

  /** Steps over all batches: the mean losses before each, and how long they took inside the process. */
  async prepare({ batches, labels }: Workload, recipe: Recipe): Promise<() => Promise<Steps>> {
    await this.process.ask({ request: 'begin', labels: labels.map((batch) => [...batch]), recipe });
    for (const { packed, longest } of batches) {
      await this.process.ask(prepareRequest(padBatch(this.spec, packed, longest)));
    }
    return () => this.process.ask({ request: 'steps' });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]();
  }
}

interface Steps {
  seconds: number;
  losses: number[];
}
