import type { ModelSpec } from '../native/addon.js';

/**
 * Every weight of an encoder with its head: role -> shape as PyTorch stores it, [outputs, inputs]. Roles are the names
 * native code knows weights by; a family maps its tensor names to them. A pruned layer has narrower matrices, an emptied
 * sub-layer zero-sized ones.
 */
export function weightShapes(spec: ModelSpec): Map<string, number[]> {
  const { hiddenSize: hidden, headSize } = spec;
  const shapes = new Map<string, number[]>([
    ['embeddings.word', [spec.vocabularySize, hidden]],
    ['embeddings.position', [spec.maxPositions, hidden]],
  ]);
  if (spec.tokenTypes > 0) shapes.set('embeddings.tokenType', [spec.tokenTypes, hidden]);
  const norm = (role: string) => shapes.set(`${role}.weight`, [hidden]).set(`${role}.bias`, [hidden]);
  const linear = (role: string, outputs: number, inputs: number) =>
    shapes.set(`${role}.weight`, [outputs, inputs]).set(`${role}.bias`, [outputs]);

  norm('embeddings.norm');
  for (const [n, { heads, neurons }] of spec.layers.entries()) {
    for (const projection of ['query', 'key', 'value']) {
      linear(`layers.${n}.attention.${projection}`, heads * headSize, hidden);
    }
    linear(`layers.${n}.attention.output`, hidden, heads * headSize);
    norm(`layers.${n}.attention.norm`);
    linear(`layers.${n}.ffn.in`, neurons, hidden);
    linear(`layers.${n}.ffn.out`, hidden, neurons);
    norm(`layers.${n}.ffn.norm`);
  }
  if (spec.head === 'sequence') linear('pooler', hidden, hidden);
  linear('classifier', spec.labels, hidden);
  return shapes;
}
