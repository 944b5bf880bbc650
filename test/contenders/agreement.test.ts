import t from 'tap';
import { checkAgreement } from '../../src/contenders/agreement.js';

t.test('logits may differ by a thousandth of the largest', (t) => {
  checkAgreement('other', [-2, 1.0019], [-2, 1]);
  const fails = (actual: number[], message: RegExp) =>
    t.throws(() => checkAgreement('other', actual, [-2, 1]), { code: 'ERR_INTERNAL', message });
  fails([-2, 1.0025], /^logits of other and of espalier differ by 0\.00250, the largest being 2\.00 \(.+\)$/);
  fails([-2, Number.NaN], /differ by NaN/);
  fails([-2], /^other gives 1 logits, espalier 2 \(.+\)$/);
  t.end();
});
