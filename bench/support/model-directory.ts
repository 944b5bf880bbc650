import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bert } from '../../src/checkpoint/bert.js';
import { tensorName } from '../../src/checkpoint/family.js';
import { writeSafetensors } from '../../src/checkpoint/safetensors-writer.js';
import type { BenchModel } from './models.js';

/** Lets somebody load a model that may be made up from a checkpoint directory, which is gone afterwards. */
export async function withDirectory<T>(model: BenchModel, load: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'espalier-bench-'));
  try {
    await writeModel(directory, model);
    return await load(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function writeModel(directory: string, { spec, weights }: BenchModel): Promise<void> {
  const tensors = new Map([...weights].map(([role, tensor]) => [tensorName(bert, spec.head, role, true), tensor]));
  await writeSafetensors(join(directory, 'model.safetensors'), tensors);
  const config = {
    architectures: [bert.architectures[spec.head]],
    model_type: bert.name,
    vocab_size: spec.vocabularySize,
    hidden_size: spec.hiddenSize,
    num_hidden_layers: spec.layers.length,
    num_attention_heads: spec.layers[0]?.heads,
    intermediate_size: spec.layers[0]?.neurons,
    max_position_embeddings: spec.maxPositions,
    type_vocab_size: spec.tokenTypes,
    layer_norm_eps: spec.layerNormEpsilon,
    hidden_act: spec.activation,
    num_labels: spec.labels,
  };
  await writeFile(join(directory, 'config.json'), JSON.stringify(config));
}
