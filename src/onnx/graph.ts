import type { TensorData } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';
import {
  type Attribute,
  byteLength,
  encodeModel,
  type NodeMessage,
  type Shape,
  type TensorMessage,
  type TensorType,
  tensorTypes,
  type ValueMessage,
} from './messages.js';

const IR_VERSION = 8;
const OPSET = 17;
/** Protocol buffers cannot be larger. */
const MAX_BYTES = 2 ** 31 - 1;

/** Collects the nodes of an ONNX graph in order. Values are known by their names, which every method returns. */
export class Graph {
  readonly #nodes: NodeMessage[] = [];
  readonly #initializers = new Map<string, TensorMessage>();
  readonly #inputs: ValueMessage[] = [];
  readonly #outputs: ValueMessage[] = [];

  input(name: string, shape: Shape): string {
    this.#inputs.push({ name, type: 'int64', shape });
    return name;
  }

  output(value: string, name: string, shape: Shape): void {
    this.#nodes.push({ opType: 'Identity', name, inputs: [value], output: name, attributes: {} });
    this.#outputs.push({ name, type: 'f32', shape });
  }

  /** The single output of a new node. */
  node(opType: string, inputs: string[], attributes: Record<string, Attribute> = {}): string {
    const name = `${opType}_${this.#nodes.length}`;
    this.#nodes.push({ opType, name, inputs, output: name, attributes });
    return name;
  }

  /** A weight as float32; half-precision ones stay small in the file and are widened by the runtime. */
  weight(name: string, { dtype: type, shape, data }: TensorData): string {
    this.#initializers.set(name, { name, type, shape, data });
    return type === 'f32' ? name : this.cast(name, 'f32');
  }

  cast(value: string, type: TensorType): string {
    return this.node('Cast', [value], { to: tensorTypes[type] });
  }

  float(value: number): string {
    const data = new Uint8Array(Float32Array.of(value).buffer);
    return this.#constant({ name: `float_${value}`, type: 'f32', shape: [], data });
  }

  integer(value: number): string {
    return this.#constant({ name: `int64_${value}`, type: 'int64', shape: [], data: int64Bytes([value]) });
  }

  /** A vector. */
  integers(...values: number[]): string {
    const name = `int64s_${values.join('_')}`;
    return this.#constant({ name, type: 'int64', shape: [values.length], data: int64Bytes(values) });
  }

  #constant(tensor: TensorMessage): string {
    this.#initializers.set(tensor.name, tensor);
    return tensor.name;
  }

  /**
   * The serialised model, in pieces that follow one another.
   * @throws ERR_UNSUPPORTED when it would be larger than protocol buffers can be.
   */
  encode(producerVersion: string): Uint8Array[] {
    const pieces = encodeModel({
      irVersion: IR_VERSION,
      opset: OPSET,
      producer: 'espalier',
      producerVersion,
      graph: {
        nodes: this.#nodes,
        initializers: [...this.#initializers.values()],
        inputs: this.#inputs,
        outputs: this.#outputs,
      },
    });
    const bytes = byteLength(pieces);
    if (bytes > MAX_BYTES) {
      throw new EspalierError('ERR_UNSUPPORTED', `${bytes} bytes do not fit an ONNX file of 2 GiB (use f16 weights)`);
    }
    return pieces;
  }
}

function int64Bytes(values: number[]): Uint8Array {
  return new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
}
