import proto from 'onnx-proto';
import type { DType, TensorData } from '../native/addon.js';
import { EspalierError } from '../native/errors.js';

const { onnx } = proto;

/** Integers, lists of them, and numbers that are floats even where they are whole. */
type Attribute = number | number[] | { float: number };

const IR_VERSION = 8;
const OPSET = 17;
/** Protocol buffers cannot be larger. */
const MAX_BYTES = 2 ** 31 - 1;
const { FLOAT, FLOAT16, BFLOAT16, INT64 } = onnx.TensorProto.DataType;
const { INT, INTS, FLOAT: FLOAT_ATTRIBUTE } = onnx.AttributeProto.AttributeType;
const storedTypes: Record<DType, number> = { f32: FLOAT, f16: FLOAT16, bf16: BFLOAT16 };

/** A dimension is a number, or the name of one that is known only when the model runs. */
type Shape = (number | string)[];

/** Collects the nodes of an ONNX graph in order. Values are known by their names, which every method returns. */
export class Graph {
  readonly #nodes: InstanceType<typeof onnx.NodeProto>[] = [];
  readonly #initializers = new Map<string, InstanceType<typeof onnx.TensorProto>>();
  readonly #inputs: InstanceType<typeof onnx.ValueInfoProto>[] = [];
  readonly #outputs: InstanceType<typeof onnx.ValueInfoProto>[] = [];

  input(name: string, shape: Shape): string {
    this.#inputs.push(valueInfo(name, INT64, shape));
    return name;
  }

  output(value: string, name: string, shape: Shape): void {
    this.#nodes.push(new onnx.NodeProto({ opType: 'Identity', input: [value], output: [name] }));
    this.#outputs.push(valueInfo(name, FLOAT, shape));
  }

  /** The single output of a new node. */
  node(opType: string, inputs: string[], attributes: Record<string, Attribute> = {}): string {
    const name = `${opType}_${this.#nodes.length}`;
    const attribute = Object.entries(attributes).map(([key, value]) => attributeProto(key, value));
    this.#nodes.push(new onnx.NodeProto({ opType, name, input: inputs, output: [name], attribute }));
    return name;
  }

  /** A weight as float32; half-precision ones stay small in the file and are widened by the runtime. */
  weight(name: string, { dtype, shape, data }: TensorData): string {
    const raw = { name, dims: shape, dataType: storedTypes[dtype], rawData: data };
    this.#initializers.set(name, new onnx.TensorProto(raw));
    return dtype === 'f32' ? name : this.toFloat(name);
  }

  toFloat(value: string): string {
    return this.node('Cast', [value], { to: FLOAT });
  }

  float(value: number): string {
    const rawData = new Uint8Array(Float32Array.of(value).buffer);
    return this.#constant(`float_${value}`, { dims: [], dataType: FLOAT, rawData });
  }

  integers(...values: number[]): string {
    const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    return this.#constant(`int64_${values.join('_')}`, { dims: [values.length], dataType: INT64, rawData });
  }

  #constant(name: string, tensor: ConstructorParameters<typeof onnx.TensorProto>[0]): string {
    if (!this.#initializers.has(name)) this.#initializers.set(name, new onnx.TensorProto({ ...tensor, name }));
    return name;
  }

  /**
   * The serialised model.
   * @throws ERR_UNSUPPORTED when it would be larger than protocol buffers can be.
   */
  encode(name: string, producerVersion: string): Uint8Array {
    const initializer = [...this.#initializers.values()];
    const bytes = initializer.reduce((sum, { rawData }) => sum + (rawData?.length ?? 0), 0);
    if (bytes > MAX_BYTES - 2 ** 20) {
      throw new EspalierError(
        'ERR_UNSUPPORTED',
        `${bytes} bytes of weights do not fit an ONNX file of 2 GiB (use f16)`,
      );
    }
    const graph = { name, node: this.#nodes, initializer, input: this.#inputs, output: this.#outputs };
    const model = {
      irVersion: IR_VERSION,
      opsetImport: [{ domain: '', version: OPSET }],
      producerName: 'espalier',
      producerVersion,
      graph,
    };
    return onnx.ModelProto.encode(model).finish();
  }
}

function attributeProto(name: string, value: Attribute): InstanceType<typeof onnx.AttributeProto> {
  if (Array.isArray(value)) return new onnx.AttributeProto({ name, type: INTS, ints: value });
  if (typeof value === 'number') return new onnx.AttributeProto({ name, type: INT, i: value });
  return new onnx.AttributeProto({ name, type: FLOAT_ATTRIBUTE, f: value.float });
}

function valueInfo(name: string, elemType: number, shape: Shape): InstanceType<typeof onnx.ValueInfoProto> {
  const dim = shape.map((size) => (typeof size === 'string' ? { dimParam: size } : { dimValue: size }));
  return new onnx.ValueInfoProto({ name, type: { tensorType: { elemType, shape: { dim } } } });
}
