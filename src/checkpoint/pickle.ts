/** What a pickle may call upon; whatever these return or refuse is all that a pickle can do. */
export interface PickleHost {
  /** A class or function by its name. */
  global(module: string, name: string): unknown;
  /** An object kept outside of the pickle. */
  persistent(id: unknown): unknown;
  /** The result of a call. */
  call(callable: unknown, args: unknown[]): unknown;
}

/** Bounds the memory of what a hostile pickle builds; a state dict takes about 40 a tensor. */
const maxOperations = 1_000_000;

/**
 * The value of a pickle, of the operations that data written by Python 3 consists of (protocols 2 to 5): dicts as Map,
 * tuples and lists as arrays. The state of a dict's subclass is dropped. Throws a plain Error that says what is wrong.
 */
export function unpickle(bytes: Buffer, host: PickleHost): unknown {
  return new Unpickler(bytes, host).run();
}

class Unpickler {
  private at = 0;
  private readonly stack: unknown[] = [];
  /** Heights of the stack at the open MARKs. */
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, unknown>();

  constructor(
    private readonly bytes: Buffer,
    private readonly host: PickleHost,
  ) {}

  run(): unknown {
    for (let operations = 0; operations < maxOperations; operations++) {
      const opcode = String.fromCharCode(this.take(1).readUInt8());
      if (opcode === '.') return this.pop();
      this.execute(opcode);
    }
    throw new Error(`its pickle has over ${maxOperations} operations`);
  }

  private execute(opcode: string): void {
    switch (opcode) {
      case '\x80': // PROTO
        this.take(1);
        break;
      case '\x95': // FRAME
        this.take(8);
        break;
      case '(':
        this.marks.push(this.stack.length);
        break;
      case 'N':
        this.stack.push(null);
        break;
      case '\x88':
      case '\x89':
        this.stack.push(opcode === '\x88');
        break;
      case 'K':
        this.stack.push(this.take(1).readUInt8());
        break;
      case 'M':
        this.stack.push(this.take(2).readUInt16LE());
        break;
      case 'J':
        this.stack.push(this.take(4).readInt32LE());
        break;
      case 'G': // BINFLOAT
        this.stack.push(this.take(8).readDoubleBE());
        break;
      case '\x8a': // LONG1
        this.stack.push(this.readLong(this.take(1).readUInt8()));
        break;
      case 'X': // BINUNICODE
        this.stack.push(this.take(this.take(4).readUInt32LE()).toString());
        break;
      case '\x8c': // SHORT_BINUNICODE
        this.stack.push(this.take(this.take(1).readUInt8()).toString());
        break;
      case ')':
      case ']':
        this.stack.push([]);
        break;
      case '\x85':
      case '\x86':
      case '\x87':
        this.stack.push(this.popMany(opcode.charCodeAt(0) - 0x84));
        break;
      case 't':
        this.stack.push(this.popToMark());
        break;
      case '}':
        this.stack.push(new Map());
        break;
      case 's':
        this.setItems(this.popMany(2));
        break;
      case 'u':
        this.setItems(this.popToMark());
        break;
      case 'a':
        this.append([this.pop()]);
        break;
      case 'e':
        this.append(this.popToMark());
        break;
      case 'q':
        this.memo.set(this.take(1).readUInt8(), this.top());
        break;
      case 'r':
        this.memo.set(this.take(4).readUInt32LE(), this.top());
        break;
      case '\x94': // MEMOIZE
        this.memo.set(this.memo.size, this.top());
        break;
      case 'h':
        this.stack.push(this.recall(this.take(1).readUInt8()));
        break;
      case 'j':
        this.stack.push(this.recall(this.take(4).readUInt32LE()));
        break;
      case 'c':
        this.pushGlobal(this.readLine(), this.readLine());
        break;
      case '\x93': // STACK_GLOBAL
        this.pushGlobal(...(this.popMany(2) as [unknown, unknown]));
        break;
      case 'Q':
        this.stack.push(this.host.persistent(this.pop()));
        break;
      case 'R':
        this.reduce(this.popMany(2));
        break;
      case 'b':
        this.build(this.pop());
        break;
      default:
        throw new Error(`its pickle has the operation 0x${opcode.charCodeAt(0).toString(16)}, which no weights need`);
    }
  }

  private take(length: number): Buffer {
    if (length > this.bytes.length - this.at) throw new Error('its pickle is cut short');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  private readLine(): string {
    const end = this.bytes.indexOf('\n', this.at);
    const line = this.take(end < 0 ? Number.POSITIVE_INFINITY : end - this.at).toString();
    this.take(1);
    return line;
  }

  private readLong(length: number): number {
    const digits = Buffer.from(this.take(length)).reverse().toString('hex');
    const value = Number(BigInt.asIntN(8 * length, BigInt(`0x0${digits}`)));
    if (!Number.isSafeInteger(value)) throw new Error('its pickle has a number that is none of a tensor');
    return value;
  }

  /** The stack's part that the innermost MARK leaves accessible. */
  private get height(): number {
    return this.stack.length - (this.marks.at(-1) ?? 0);
  }

  private popMany(count: number): unknown[] {
    if (this.height < count) throw new Error('its pickle takes more than there is');
    return this.stack.splice(this.stack.length - count);
  }

  private pop(): unknown {
    return this.popMany(1)[0];
  }

  private top(): unknown {
    if (this.height < 1) throw new Error('its pickle takes more than there is');
    return this.stack.at(-1);
  }

  private popToMark(): unknown[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw new Error('its pickle takes more than there is');
    return this.stack.splice(mark);
  }

  private recall(key: number): unknown {
    if (!this.memo.has(key)) throw new Error('its pickle refers to nothing');
    return this.memo.get(key);
  }

  private setItems(items: unknown[]): void {
    const dict = this.top();
    if (!(dict instanceof Map) || items.length % 2 !== 0) throw new Error('its pickle sets items of no dict');
    for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
  }

  private append(items: unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw new Error('its pickle appends to no list');
    for (const item of items) list.push(item);
  }

  private pushGlobal(module: unknown, name: unknown): void {
    if (typeof module !== 'string' || typeof name !== 'string') throw new Error('its pickle has a broken name');
    this.stack.push(this.host.global(module, name));
  }

  private reduce([callable, args]: unknown[]): void {
    if (!Array.isArray(args)) throw new Error('its pickle has a call without arguments');
    this.stack.push(this.host.call(callable, args));
  }

  private build(state: unknown): void {
    if (!(this.top() instanceof Map && state instanceof Map)) throw new Error('its pickle sets the state of no dict');
  }
}
