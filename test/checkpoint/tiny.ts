import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A tensor of a test file, in the words of the safetensors format. */
export interface TinyTensor {
  dtype: string;
  shape: number[];
  data: Buffer;
}

export type TinyTensors = Record<string, TinyTensor>;

/** The whole file, put together without the code under test. `header` may spoil the header's object, `json` its text. */
export function encodeSafetensors(
  tensors: TinyTensors,
  {
    header = (value) => value,
    json = (text) => text,
  }: {
    header?: (value: Record<string, unknown>) => unknown;
    json?: (text: string) => string;
  } = {},
): Buffer {
  const value: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let position = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    value[name] = { dtype, shape, data_offsets: [position, position + data.length] };
    position += data.length;
  }
  const text = Buffer.from(json(JSON.stringify(header(value))));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([prefix, text, ...Object.values(tensors).map(({ data }) => data)]);
}

/** Bytes of 0, 1, 2, ... as the dtype's numbers, so that every element differs from its neighbours. */
export function counting(dtype: string, ...shape: number[]): TinyTensor {
  const count = shape.reduce((product, extent) => product * extent, 1);
  const width = { F32: 4, F16: 2, BF16: 2, I64: 8, F64: 8 }[dtype] as number;
  const data = Buffer.alloc(count * width);
  // Small integers are small finite numbers in every one of these dtypes.
  for (let i = 0; i < count; i++) data.writeUInt16LE(i % 0x3000, i * width);
  return { dtype, shape, data };
}

const hidden = 8;
const inner = 12;

/** Two heads of four, two layers, two labels. */
export const tinyConfig = {
  architectures: ['BertForSequenceClassification'],
  hidden_act: 'gelu',
  hidden_size: hidden,
  intermediate_size: inner,
  layer_norm_eps: 1e-12,
  max_position_embeddings: 16,
  model_type: 'bert',
  num_attention_heads: 2,
  num_hidden_layers: 2,
  torch_dtype: 'float16',
  type_vocab_size: 2,
  vocab_size: 20,
};

/** The weights of `tinyConfig`, or of it pruned to some units a layer. */
export function tinyTensors({
  dtype = 'F16',
  prefix = 'bert.',
  labels = 2,
  heads = [2, 2],
  neurons = [inner, inner],
}: {
  dtype?: string;
  prefix?: string;
  labels?: number;
  heads?: number[];
  neurons?: number[];
} = {}): TinyTensors {
  const tensors: TinyTensors = {};
  const add = (name: string, ...shape: number[]) => {
    tensors[prefix + name] = counting(dtype, ...shape);
  };
  const linear = (name: string, outputs: number, inputs: number) => {
    add(`${name}.weight`, outputs, inputs);
    add(`${name}.bias`, outputs);
  };
  const norm = (name: string) => {
    add(`${name}.weight`, hidden);
    add(`${name}.bias`, hidden);
  };
  add('embeddings.word_embeddings.weight', 20, hidden);
  add('embeddings.position_embeddings.weight', 16, hidden);
  add('embeddings.token_type_embeddings.weight', 2, hidden);
  norm('embeddings.LayerNorm');
  for (const [n, layerHeads] of heads.entries()) {
    const layer = `encoder.layer.${n}`;
    for (const part of ['query', 'key', 'value']) linear(`${layer}.attention.self.${part}`, layerHeads * 4, hidden);
    linear(`${layer}.attention.output.dense`, hidden, layerHeads * 4);
    norm(`${layer}.attention.output.LayerNorm`);
    linear(`${layer}.intermediate.dense`, neurons[n] as number, hidden);
    linear(`${layer}.output.dense`, hidden, neurons[n] as number);
    norm(`${layer}.output.LayerNorm`);
  }
  linear('pooler.dense', hidden, hidden);
  tensors['classifier.weight'] = counting(dtype, labels, hidden);
  tensors['classifier.bias'] = counting(dtype, labels);
  return tensors;
}

/** Writes a checkpoint directory; what is not given is tiny and sound. */
export function writeTiny(
  directory: string,
  {
    config = {},
    file = 'model.safetensors',
    weights = encodeSafetensors(tinyTensors()),
  }: { config?: object; file?: string; weights?: Buffer } = {},
): string {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'config.json'), JSON.stringify({ ...tinyConfig, ...config }));
  writeFileSync(join(directory, file), weights);
  writeFileSync(join(directory, 'vocab.txt'), '[PAD]\n[UNK]\nréview\r\n');
  writeFileSync(join(directory, 'tokenizer_config.json'), '{"do_lower_case": true}');
  return directory;
}

/** The same weights in two shards with their index; `map` may spoil the index. */
export function writeTinyShards(
  directory: string,
  map: (weightMap: Record<string, string>) => unknown = (weightMap) => weightMap,
): string {
  writeTiny(directory);
  const entries = Object.entries(tinyTensors());
  const weightMap: Record<string, string> = {};
  for (const [index, half] of [entries.slice(0, 20), entries.slice(20)].entries()) {
    const file = `model-0000${index + 1}-of-00002.safetensors`;
    for (const [name] of half) weightMap[name] = file;
    writeFileSync(join(directory, file), encodeSafetensors(Object.fromEntries(half)));
  }
  const index = JSON.stringify({ metadata: {}, weight_map: map(weightMap) });
  writeFileSync(join(directory, 'model.safetensors.index.json'), index);
  return directory;
}
