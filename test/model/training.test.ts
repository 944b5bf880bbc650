import { join } from 'node:path';
import t from 'tap';
import { weightShapes } from '../../src/checkpoint/roles.js';
import { SafetensorsFile } from '../../src/checkpoint/safetensors-reader.js';
import type { LossKind, SoftThresholds, TokenPruning } from '../../src/native/addon.js';
import { Engine } from '../../src/native/engine.js';
import { Model } from '../../src/native/model.js';
import { type PassOptions, Training } from '../../src/native/training.js';
import { repoRoot } from '../support/paths.js';
import {
  type GoldenName,
  goldenCheckpoint,
  type Label,
  packLabels,
  packSequences,
  readGolden,
  relativeError,
  type Sequence,
} from './support/golden.js';

/** What PyTorch computes in float64 of one way to train. */
interface Case {
  name: string;
  /** [sequences][labels], of a span head [tokens][2] */
  logits: number[][];
  /** Of the labels; `objectives` are what is differentiated. */
  losses: number[];
  objectives: number[];
  thresholds?: number[];
  temperature?: number;
  regularisation?: number;
  thresholdGradients?: number[];
  /** [layers][sequences] */
  kept?: number[][];
  distillation?: {
    hardWeight: number;
    logitWeight: number;
    hiddenWeight: number;
    temperature: number;
    teacherScale: number;
  };
}

interface TrainingGolden {
  loss: LossKind;
  sequences: Sequence[];
  labels: Label[];
  cases: Case[];
  steps?: Steps;
}

interface Steps {
  learningRate: number;
  weightDecay: number;
  maxGradientNorm: number;
  /** [steps][sequences] */
  losses: number[][];
  gradientNorms: number[];
}

const models = ['gelu', 'gelu-new', 'regression', 'bert-span', 'distilbert', 'roberta'] as const;
/** Largest error relative to the largest value: the reference computes in double and answers in float32. */
const tolerances = { reference: 1e-6, cpu: 1e-5 };
/** Adam's first moment after a first step is this share of the gradient. */
const firstMomentShare = 0.1;

const readTraining = (name: GoldenName) =>
  readGolden<TrainingGolden>(`training/${name}.json`, 'make_training_golden.py');

/** Tensors of a case by role; rows after the last one that is not zero are left out of the embeddings' gradients. */
async function goldenTensors(name: GoldenName, prefix: string): Promise<Map<string, Float32Array>> {
  const file = await SafetensorsFile.open(join(repoRoot, `test/golden/training/${name}.safetensors`));
  const tensors = new Map<string, Float32Array>();
  for (const key of file.tensors.keys()) {
    if (!key.startsWith(`${prefix}.`)) continue;
    const bytes = await file.read(key, () => {});
    tensors.set(key.slice(prefix.length + 1), new Float32Array(Uint8Array.from(bytes).buffer));
  }
  await file.close();
  return tensors;
}

/** The model with every weight of its layers scaled. */
async function scaledTeacher(engine: Engine, name: GoldenName, scale: number): Promise<Model> {
  const { spec, weights } = await goldenCheckpoint(name);
  const teacher = await Model.create(engine, spec, weights, 'inference');
  const scaled: Record<string, Float32Array> = {};
  for (const role of weightShapes(spec).keys()) {
    if (!role.startsWith('layers.')) continue;
    const { data } = await teacher.weight(role, 'f32');
    scaled[role] = new Float32Array(Uint8Array.from(data).buffer).map((value) => value * scale);
  }
  await teacher.replace(scaled);
  return teacher;
}

async function passOptions(engine: Engine, name: GoldenName, golden: Case): Promise<PassOptions> {
  const { thresholds, temperature, regularisation, distillation } = golden;
  const options: PassOptions = {};
  if (thresholds && temperature && regularisation) {
    const { head, layers } = (await goldenCheckpoint(name)).spec;
    const judges = head === 'span' ? layers.length : layers.length - 1;
    const sparsity = layers.map(() => regularisation / judges);
    options.soft = { values: thresholds, temperature, sparsity } satisfies SoftThresholds;
  } else if (thresholds) {
    options.pruning = { rule: 'threshold', values: thresholds } satisfies TokenPruning;
  }
  if (distillation) {
    options.distillation = {
      teacher: await scaledTeacher(engine, name, distillation.teacherScale),
      labels: distillation.hardWeight,
      logits: distillation.logitWeight,
      hidden: distillation.hiddenWeight,
      temperature: distillation.temperature,
    };
  }
  return options;
}

/** Largest error of any role's gradient, relative to its largest value or, where that is next to nothing, the model's. */
async function worstGradient(training: Training, expected: Map<string, Float32Array>) {
  const largest = (values: Float32Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const overall = Math.max(...[...expected.values()].map(largest));
  const worst = { role: '', error: 0 };
  for (const [role, values] of expected) {
    const { firstMoment } = await training.state(role);
    let difference = 0;
    for (const [i, value] of firstMoment.entries()) {
      difference = Math.max(difference, Math.abs(value / firstMomentShare - (values[i] ?? 0)));
    }
    const error = difference / Math.max(largest(values), 5e-2 * overall);
    if (Number.isFinite(worst.error) && !(error <= worst.error)) Object.assign(worst, { role, error });
  }
  return worst;
}

for (const [device, tolerance] of Object.entries(tolerances)) {
  for (const name of models) {
    t.test(`${name} on ${device} learns with the gradients that PyTorch computes in float64`, async (t) => {
      const golden = readTraining(name);
      const { spec, weights } = await goldenCheckpoint(name);
      const engine = Engine.open({ device });
      using model = await Model.create(engine, spec, weights, 'inference');
      const batch = packSequences(golden.sequences);
      for (const expected of golden.cases) {
        using training = await Training.start(model);
        const options = await passOptions(engine, name, expected);
        const result = await training.accumulate(batch, packLabels(golden), golden.loss, options);
        await training.step({ learningRate: 0, weightDecay: 0, gradientScale: 1, maxGradientNorm: 0 });
        const wanted = expected.distillation ? expected.objectives : expected.losses;
        const lossError = relativeError(result.losses, wanted);
        t.ok(lossError <= tolerance, `${expected.name}: losses`, { lossError });
        const { role, error } = await worstGradient(training, await goldenTensors(name, expected.name));
        t.ok(error <= tolerance, `${expected.name}: gradients`, { role, error });
        if (expected.thresholdGradients) {
          const thresholdError = relativeError(result.thresholdGradients, expected.thresholdGradients);
          t.ok(thresholdError <= tolerance, `${expected.name}: threshold gradients`, { thresholdError });
        }
        if (expected.kept) {
          t.same(
            [...result.tokens],
            expected.kept.map((counts) => counts.reduce((sum, count) => sum + count)),
            `${expected.name}: tokens kept`,
          );
        }
        if (!options.soft) {
          const logits = await model.forward(batch, { pruning: options.pruning ?? null });
          const logitError = relativeError(logits, expected.logits.flat());
          t.ok(logitError <= tolerance, `${expected.name}: logits`, { logitError });
        }
      }
    });
  }

  t.test(`distilbert on ${device} takes the steps that PyTorch's AdamW takes`, async (t) => {
    const golden = readTraining('distilbert');
    const { spec, weights } = await goldenCheckpoint('distilbert');
    using model = await Model.create(Engine.open({ device }), spec, weights, 'inference');
    using training = await Training.start(model);
    const { learningRate, weightDecay, maxGradientNorm, losses, gradientNorms } = golden.steps as Steps;
    const batch = packSequences(golden.sequences);
    for (const [step, expected] of losses.entries()) {
      const result = await training.accumulate(batch, packLabels(golden), golden.loss);
      t.ok(relativeError(result.losses, expected) <= 10 * tolerance, `losses of step ${step}`);
      const gradientScale = 1 / golden.sequences.length;
      const norm = await training.step({ learningRate, weightDecay, gradientScale, maxGradientNorm });
      t.ok(relativeError([norm], [gradientNorms[step] as number]) <= 10 * tolerance, `norm of step ${step}`);
    }
    for (const [role, expected] of await goldenTensors('distilbert', 'steps')) {
      // Its gradient is zero but for rounding, which Adam blows up.
      if (role.endsWith('attention.key.bias')) continue;
      const { parameter } = await training.state(role);
      const error = relativeError(parameter, expected);
      t.ok(error <= 10 * tolerance, role, { error });
    }
  });
}
