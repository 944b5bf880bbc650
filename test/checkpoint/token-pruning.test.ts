import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readCheckpoint, writeCheckpoint } from '../../src/checkpoint/checkpoint.js';
import { denseCheckpoint } from '../../src/checkpoint/dense.js';
import type { TokenPruning } from '../../src/native/addon.js';
import { writeTiny } from './tiny.js';

const root = t.testdir();
let count = 0;
const fresh = () => join(root, `case-${count++}`, 'model');
const readConfig = (directory: string) => JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8'));

const widths = { format: 1, heads_per_layer: [2, 2], neurons_per_layer: [12, 12] };
const forms: [settings: object, pruning: TokenPruning][] = [
  [{ token_thresholds: [0, 0.0125] }, { rule: 'threshold', values: [0, 0.0125] }],
  [
    { token_thresholds: [0.01, 2], token_padded_length: 128 },
    { rule: 'threshold', values: [0.01, 2], paddedLength: 128 },
  ],
  [{ token_keep_rates: [1, 0.25] }, { rule: 'keepRate', values: [1, 0.25] }],
];
const read = (settings: object) =>
  readCheckpoint(writeTiny(fresh(), { config: { espalier: { ...widths, task: 'mrpc', ...settings } } }));

for (const [settings, pruning] of forms) {
  t.test(`${Object.keys(settings)} are read and written`, async (t) => {
    const checkpoint = await read(settings);
    t.strictSame(checkpoint.spec.tokenPruning, pruning);
    const output = fresh();
    await writeCheckpoint(checkpoint, output);
    t.strictSame(readConfig(output).espalier, { ...widths, task: 'mrpc', ...settings });
  });
}

t.test('a checkpoint with all its units that drops tokens is one of espalier', async (t) => {
  const source = await readCheckpoint(writeTiny(fresh()));
  const [settings, tokenPruning] = forms[0] as (typeof forms)[number];
  const output = fresh();
  await writeCheckpoint({ ...source, spec: { ...source.spec, tokenPruning } }, output);
  const { espalier, auto_map } = readConfig(output);
  t.strictSame(espalier, { ...widths, ...settings });
  t.ok(auto_map);
  t.ok(existsSync(join(output, 'modeling_espalier.py')));
  t.strictSame((await readCheckpoint(output)).spec.tokenPruning, tokenPruning);
});

t.test('settings that the spec does not have any more are not kept', async (t) => {
  const [rates, keepRate] = forms[2] as (typeof forms)[number];
  for (const settings of forms.map(([form]) => form)) {
    const checkpoint = await read(settings);
    const { tokenPruning: _, ...everyToken } = checkpoint.spec;
    const [none, other] = [fresh(), fresh()];
    await writeCheckpoint({ ...checkpoint, spec: everyToken }, none);
    t.strictSame(readConfig(none).espalier, { ...widths, task: 'mrpc' });
    await writeCheckpoint({ ...checkpoint, spec: { ...everyToken, tokenPruning: keepRate } }, other);
    t.strictSame(readConfig(other).espalier, { ...widths, task: 'mrpc', ...rates });
  }
});

t.test('a dense copy drops no tokens', async (t) => {
  for (const [settings] of forms) {
    const output = fresh();
    await writeCheckpoint(denseCheckpoint(await read(settings)), output);
    t.notOk('espalier' in readConfig(output));
    t.notOk('tokenPruning' in (await readCheckpoint(output)).spec);
  }
});
