import t from 'tap';
import { Engine } from '../../src/native/engine.js';
import { compact } from '../../src/prune/compact.js';
import { fisherDiagonal, miniBatchGradients } from '../../src/prune/fisher.js';
import { unitMacs } from '../../src/prune/macs.js';
import { rearrange } from '../../src/prune/rearrange.js';
import { searchUnderMacs } from '../../src/prune/search-macs.js';
import { tune } from '../../src/prune/tune.js';
import { hasShared } from '../support/paths.js';
import { agreement, maskOf, openMrpc, type RecordedRun, readReference } from './reference.js';

t.setTimeout(900_000);

t.test('kwon does on minilm-mrpc what the public code did', { skip: !hasShared && 'no ../shared' }, async (t) => {
  const reference = readReference();
  using engine = Engine.open();
  const { model, calibration, metrics } = await openMrpc(engine, reference);
  const { layers } = model.spec;

  let start = performance.now();
  const gradients = await miniBatchGradients(model, calibration, {
    loss: 'crossEntropy',
    batchSize: reference.batch,
  });
  t.comment(`gradients took ${((performance.now() - start) / 1000).toFixed(1)} s`);
  const fisher = fisherDiagonal(gradients);
  for (const kind of ['heads', 'neurons'] as const) {
    const errors = reference.fisher[kind].map((expected, layer) => {
      const got = fisher[kind].subarray(layer * expected.length, (layer + 1) * expected.length);
      return (
        Math.max(...expected.map((value, unit) => Math.abs((got[unit] as number) - value))) / Math.max(...expected)
      );
    });
    t.ok(Math.max(...errors) < 1e-3, `Fisher values of ${kind} are within 0.1 % of their layer's largest: ${errors}`);
  }

  for (const run of reference.runs) {
    const searched = searchUnderMacs(fisher, unitMacs(model.spec, reference.seqLen), run.keep);
    const afterSearch = agreement(searched, maskOf(run.search));
    t.ok(afterSearch >= 0.995, `search at ${run.keep} agrees on ${afterSearch} of the kept units`);
    const rearranged = await rearrange(searched, gradients, layers);
    const afterRearrange = agreement(rearranged, maskOf(run.rearranged));
    t.ok(afterRearrange >= 0.995, `rearrangement at ${run.keep} agrees on ${afterRearrange} of the kept units`);
  }

  const run = reference.runs[0] as RecordedRun;
  const expected = run.tunedConverged as NonNullable<RecordedRun['tunedConverged']>;
  using student = await compact(model, maskOf(run.rearranged), 'inference');
  start = performance.now();
  const tuned = await tune(student, model, maskOf(run.teacher), calibration.batch);
  t.comment(`tuning took ${((performance.now() - start) / 1000).toFixed(1)} s`);
  t.equal(tuned.length, 11, 'every sub-layer but the first attention is tuned');
  for (const { layer, sublayer, scales, residual } of tuned) {
    const wanted =
      sublayer === 'ffn'
        ? (expected.neuronScales[layer] as number[])
        : (expected.headScales[layer] as number[]).filter((_, head) => run.rearranged.headMask[layer]?.[head]);
    const error = Math.max(...wanted.map((scale, unit) => Math.abs((scales[unit] as number) - scale)));
    t.ok(error < (sublayer === 'ffn' ? 1e-2 : 1e-3), `scales of ${sublayer} ${layer} are ${error} from the exact ones`);
    t.ok(residual.after < residual.before, `residual of ${sublayer} ${layer}: ${residual.before} -> ${residual.after}`);
  }
  const { accuracy, f1 } = await metrics(student);
  t.match([accuracy?.toFixed(3), f1?.toFixed(3)], ['0.784', '0.859'], `metrics ${accuracy} ${f1}`);
});
