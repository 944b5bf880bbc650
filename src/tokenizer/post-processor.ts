import * as v from 'valibot';
import { EspalierError } from '../native/errors.js';
import { bertTemplate, robertaTemplate, type Template, type TemplatePart } from './template.js';
import { OffsetTrimmer } from './trim-offsets.js';
import { tokenId } from './validate.js';
import { missingToken } from './vocabulary.js';

const typeId = v.picklist([0, 1]);
const namedId = v.tuple([v.string(), tokenId]);
const templatePart = v.union(
  [
    v.object({ SpecialToken: v.object({ id: v.string(), type_id: typeId }) }),
    v.object({ Sequence: v.object({ id: v.picklist(['A', 'B']), type_id: typeId }) }),
  ],
  'is neither a SpecialToken nor a Sequence A or B',
);
type FilePart = v.InferOutput<typeof templatePart>;
const templateProcessing = v.object({
  type: v.literal('TemplateProcessing'),
  single: v.array(templatePart),
  pair: v.array(templatePart),
  special_tokens: v.record(v.string(), v.object({ ids: v.array(tokenId), tokens: v.array(v.string()) })),
});
type TemplateProcessing = v.InferOutput<typeof templateProcessing>;

const bertProcessing = v.object({ type: v.literal('BertProcessing'), sep: namedId, cls: namedId });
const robertaProcessing = v.object({
  type: v.literal('RobertaProcessing'),
  sep: namedId,
  cls: namedId,
  trim_offsets: v.boolean(),
  add_prefix_space: v.boolean(),
});
const unsupported = (issue: { received: string; expected: string | null }) =>
  `${issue.received} is not supported, only ${issue.expected}`;

/** tokenizer.json's `post_processor` of BERT's and of RoBERTa's tokenizers. */
export const bertPostProcessor = v.variant('type', [templateProcessing, bertProcessing], unsupported);
export const robertaPostProcessor = v.variant('type', [templateProcessing, robertaProcessing], unsupported);
export type PostProcessor = v.InferOutput<typeof bertPostProcessor> | v.InferOutput<typeof robertaPostProcessor>;

/** What happens to the finished tokens. */
export interface PostProcessing {
  template: Template;
  /** Absent where offsets keep the blanks of their tokens. */
  trimmer?: OffsetTrimmer;
}

/** @throws EspalierError ERR_TOKENIZER where a special token is not the vocabulary's or a sequence is missing. */
export function postProcessingOf(processor: PostProcessor, ids: ReadonlyMap<string, number>): PostProcessing {
  if (processor.type === 'TemplateProcessing') return { template: templateOf(processor, ids) };
  const [classification, separator] = [processor.cls, processor.sep].map(([token, id]) => specialId(token, id, ids));
  if (processor.type === 'BertProcessing') return { template: bertTemplate(classification, separator) };
  return {
    template: robertaTemplate(classification, separator),
    trimmer: processor.trim_offsets ? new OffsetTrimmer(ids, processor.add_prefix_space) : undefined,
  };
}

function templateOf(processor: TemplateProcessing, ids: ReadonlyMap<string, number>): Template {
  const convert = (part: FilePart): TemplatePart[] => {
    if ('Sequence' in part) {
      return [{ sequence: part.Sequence.id === 'A' ? 'first' : 'second', typeId: part.Sequence.type_id }];
    }
    const { id: name, type_id: typeId } = part.SpecialToken;
    const special = Object.hasOwn(processor.special_tokens, name) ? processor.special_tokens[name] : undefined;
    if (!special) throw new EspalierError('ERR_TOKENIZER', `post_processor: special_tokens lacks ${name}`);
    return special.ids.map((id, index) => ({ id: specialId(special.tokens[index] ?? name, id, ids), typeId }));
  };
  requireSequences('single', processor.single, 'A');
  requireSequences('pair', processor.pair, 'AB');
  return { single: processor.single.flatMap(convert), pair: processor.pair.flatMap(convert) };
}

function requireSequences(name: string, parts: readonly FilePart[], expected: string): void {
  const sequences = parts.flatMap((part) => ('Sequence' in part ? [part.Sequence.id] : []));
  if (sequences.sort().join('') !== expected) {
    const wanted = [...expected].join(' and ');
    throw new EspalierError('ERR_TOKENIZER', `post_processor: ${name} must hold the sequence ${wanted} exactly once`);
  }
}

function specialId(token: string, id: number, ids: ReadonlyMap<string, number>): number {
  if (ids.get(token) !== id) throw missingToken(`${token} of id ${id}`);
  return id;
}
