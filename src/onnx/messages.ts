import { PbfWriter } from 'pbf';

/**
 * The messages of ONNX's protocol buffers that a model of ours is made of. Field numbers and enumerations are those of
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
 */
export const tensorTypes = { f32: 1, int64: 7, bool: 9, f16: 10, bf16: 16 } as const;
export type TensorType = keyof typeof tensorTypes;

/** Integers, lists of them, and numbers that are floats even where they are whole. */
export type Attribute = number | number[] | { float: number };

/** A dimension is a number, or the name of one that is known only when the model runs. */
export type Shape = (number | string)[];

export interface NodeMessage {
  opType: string;
  name: string;
  inputs: string[];
  output: string;
  attributes: Record<string, Attribute>;
}

export interface TensorMessage {
  name: string;
  type: TensorType;
  shape: number[];
  /** Little-endian. */
  data: Uint8Array;
}

export interface ValueMessage {
  name: string;
  type: TensorType;
  shape: Shape;
}

export interface GraphMessage {
  nodes: NodeMessage[];
  initializers: TensorMessage[];
  inputs: ValueMessage[];
  outputs: ValueMessage[];
}

export interface ModelMessage {
  irVersion: number;
  opset: number;
  producer: string;
  producerVersion: string;
  graph: GraphMessage;
}

const attributeTypes = { float: 1, int: 2, ints: 7 } as const;
/** The wire type of everything that has a length. */
const LENGTH_DELIMITED = 2;

/** The model in pieces that follow one another; the weights are pieces of their own, so that they are never copied. */
export function encodeModel({ irVersion, opset, producer, producerVersion, graph }: ModelMessage): Uint8Array[] {
  const pieces = encodeGraph(graph);
  const head = written((pbf) => {
    pbf.writeVarintField(1, irVersion);
    pbf.writeStringField(2, producer);
    pbf.writeStringField(3, producerVersion);
    pbf.writeMessage(8, (version, opsets) => opsets.writeVarintField(2, version), opset);
    writePrefix(pbf, 7, byteLength(pieces));
  });
  return [head, ...pieces];
}

export const byteLength = (pieces: readonly Uint8Array[]): number =>
  pieces.reduce((sum, piece) => sum + piece.length, 0);

function encodeGraph({ nodes, initializers, inputs, outputs }: GraphMessage): Uint8Array[] {
  const head = written((pbf) => {
    for (const node of nodes) pbf.writeMessage(1, writeNode, node);
    pbf.writeStringField(2, 'espalier');
    for (const input of inputs) pbf.writeMessage(11, writeValue, input);
    for (const output of outputs) pbf.writeMessage(12, writeValue, output);
  });
  return [head, ...initializers.flatMap(encodeInitializer)];
}

function encodeInitializer({ name, type, shape, data }: TensorMessage): Uint8Array[] {
  const head = written((pbf) => {
    for (const extent of shape) pbf.writeVarintField(1, extent);
    pbf.writeVarintField(2, tensorTypes[type]);
    pbf.writeStringField(8, name);
    writePrefix(pbf, 9, data.length);
  });
  return [written((pbf) => writePrefix(pbf, 5, head.length + data.length)), head, data];
}

function writeNode({ opType, name, inputs, output, attributes }: NodeMessage, pbf: PbfWriter): void {
  for (const input of inputs) pbf.writeStringField(1, input);
  pbf.writeStringField(2, output);
  pbf.writeStringField(3, name);
  pbf.writeStringField(4, opType);
  for (const attribute of Object.entries(attributes)) pbf.writeMessage(5, writeAttribute, attribute);
}

function writeAttribute([name, value]: [string, Attribute], pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  if (Array.isArray(value)) {
    for (const item of value) pbf.writeVarintField(8, item);
    pbf.writeVarintField(20, attributeTypes.ints);
  } else if (typeof value === 'number') {
    pbf.writeVarintField(3, value);
    pbf.writeVarintField(20, attributeTypes.int);
  } else {
    pbf.writeFloatField(2, value.float);
    pbf.writeVarintField(20, attributeTypes.float);
  }
}

function writeValue({ name, type, shape }: ValueMessage, pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  pbf.writeMessage(2, (_, typeProto) => typeProto.writeMessage(1, writeTensorType, { type, shape }), undefined);
}

function writeTensorType({ type, shape }: { type: TensorType; shape: Shape }, pbf: PbfWriter): void {
  pbf.writeVarintField(1, tensorTypes[type]);
  pbf.writeMessage(
    2,
    (extents, shapeProto) => {
      for (const extent of extents) shapeProto.writeMessage(1, writeDimension, extent);
    },
    shape,
  );
}

function writeDimension(extent: number | string, pbf: PbfWriter): void {
  if (typeof extent === 'string') pbf.writeStringField(2, extent);
  else pbf.writeVarintField(1, extent);
}

function written(write: (pbf: PbfWriter) => void): Uint8Array {
  const pbf = new PbfWriter();
  write(pbf);
  return pbf.finish();
}

/** The beginning of a field whose `bytes` follow. */
function writePrefix(pbf: PbfWriter, field: number, bytes: number): void {
  pbf.writeTag(field, LENGTH_DELIMITED);
  pbf.writeVarint(bytes);
}
