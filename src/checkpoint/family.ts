import type { ModelSpec } from '../native/addon.js';

export type HeadKind = ModelSpec['head'];

/** The part of a ModelSpec that a family's settings say. */
export type EncoderSpec = Omit<ModelSpec, 'head' | 'labels'>;

/** What a model family calls its settings and tensors. */
export interface Family {
  /** `model_type` in config.json. */
  name: 'bert' | 'distilbert' | 'roberta';
  /** The classes in config.json's `architectures` that are read, by their heads. */
  architectures: Record<HeadKind, string>;
  /** The encoder of a config.json. Throws ERR_CHECKPOINT for broken settings and ERR_UNSUPPORTED for foreign ones. */
  readEncoder(config: Record<string, unknown>): EncoderSpec;
  /** Stands before the encoder's tensor names, or is left out of all of them. */
  prefix: string;
  /** Stands between the prefix and a layer's number. */
  layers: string;
  /** Role, without layer and `.weight` or `.bias` -> name of the encoder's tensors. */
  encoderNames: Record<string, string>;
  /** The same of the tensors that have no prefix. */
  headNames: Record<HeadKind, Record<string, string>>;
  /** Names of encoder tensors that some versions of transformers store and no model reads. */
  unusedNames: readonly string[];
}

/** The stored name of a role. `prefixed`: whether the encoder's names have the family's prefix. */
export function tensorName(family: Family, head: HeadKind, role: string, prefixed: boolean): string {
  const match = /^(?:layers\.(\d+)\.)?(.*?)(\.weight|\.bias)?$/.exec(role) as RegExpExecArray;
  const [, layer, part = '', suffix = ''] = match;
  const headName = family.headNames[head][part];
  if (headName !== undefined) return headName + suffix;
  const place = layer === undefined ? '' : `${family.layers}${layer}.`;
  return `${prefixed ? family.prefix : ''}${place}${family.encoderNames[part]}${suffix}`;
}
