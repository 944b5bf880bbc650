import t from 'tap';
import { squadMetrics, withoutLeadingSpace } from '../../src/tasks/squad-metrics.js';
import { readSquadGolden } from '../support/squad-golden.js';

const { metrics } = readSquadGolden();

t.test('answers are scored as the published definitions of SQuAD 1.1 and 2.0 do', async (t) => {
  for (const [index, { answer, golds, squad, squad_v2 }] of metrics.entries()) {
    for (const [unanswerable, expected] of [[false, squad] as const, [true, squad_v2] as const]) {
      if (expected === null) continue;
      const found = squadMetrics([answer], [golds], unanswerable);
      t.equal(found.exact_match, expected.exact, `answer ${index}: exact`);
      t.ok(Math.abs(found.f1 - expected.f1) < 1e-12, `answer ${index}: f1 ${found.f1} is ${expected.f1}`);
    }
  }
});

t.test('metrics are means over the questions', async (t) => {
  const golds = [['Denver Broncos'], ['Denver'], ['Carolina'], ['Rome']];
  t.strictSame(squadMetrics(['the Denver Broncos', 'Denver it is', 'Denver', ''], golds, false), {
    exact_match: 1 / 4,
    f1: (1 + 1 / 2) / 4,
  });
});

t.test('the white space that Python strips is stripped, and no more', async (t) => {
  t.equal(withoutLeadingSpace(' \t\n\x1c\x85\u00a0\u3000Who? '), 'Who? ');
  t.equal(withoutLeadingSpace('\ufeff Who?'), '\ufeff Who?');
});
