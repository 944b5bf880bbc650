import type { DeviceReport, NativeEngine, Precision } from './addon.js';
import { call } from './call.js';
import { EspalierError } from './errors.js';
import { addon } from './load.js';

/** Where and how models compute. */
export interface EngineOptions {
  /** `auto` (default) takes `cuda` where that can run; `cpu`; `cuda` or `cuda:N`; `reference` is slow, plain and in double precision. */
  device?: string | undefined;
  /** CPU threads of each operation; by default all that this process may use (affinity and cgroup quota). */
  threads?: number | undefined;
  /** Arithmetic, `fp32` by default. */
  precision?: Precision | undefined;
}

/** A device opened for use. Models keep it alive. */
export class Engine {
  private constructor(
    readonly native: NativeEngine,
    /** `cpu`, `reference`, `cuda` or `cuda:N`. */
    readonly device: string,
    readonly precision: Precision,
  ) {}

  /**
   * @throws EspalierError ERR_NO_DEVICE when the device cannot run here, ERR_INVALID_ARGUMENT on bad options.
   */
  static open(options: EngineOptions = {}): Engine {
    const threads = options.threads ?? addon().availableThreads();
    if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
      throw new EspalierError('ERR_INVALID_ARGUMENT', `threads must be a whole number from 1 to 1024, not ${threads}`);
    }
    const { device = 'auto', precision = 'fp32' } = options;
    if (device !== 'auto') return Engine.on(device, threads, precision);
    try {
      return Engine.on('cuda', threads, precision);
    } catch (error) {
      if (!(error instanceof EspalierError) || error.code !== 'ERR_NO_DEVICE') throw error;
      return Engine.on('cpu', threads, precision);
    }
  }

  private static on(device: string, threads: number, precision: Precision): Engine {
    const [, numbered, index = '0'] = /^(cuda):(\d+)$/.exec(device) ?? [];
    const name = numbered ?? device;
    try {
      const native = call(() => new (addon().Engine)(name, Number(index), threads, precision));
      return new Engine(native, device, precision);
    } catch (cause) {
      if (!(cause instanceof EspalierError) || cause.code !== 'ERR_NO_DEVICE') throw cause;
      const message = `device ${device}: ${cause.message} (\`espalier devices\` lists what can run)`;
      throw new EspalierError('ERR_NO_DEVICE', message, { cause });
    }
  }

  /** The instruction set or the device's name. */
  get detail(): string {
    return call(() => this.native.detail);
  }

  /** The most bytes that this process has had on the device at once; undefined where its memory is the host's. */
  get peakBytes(): number | undefined {
    return call(() => this.native.peakBytes) || undefined;
  }

  get threads(): number {
    return call(() => this.native.threads);
  }

  dispose(): void {
    this.native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** What can run here, and why not. */
export function devices(): DeviceReport[] {
  return call(() => addon().devices());
}
