import type { DeviceReport, NativeEngine } from './addon.js';
import { call } from './call.js';
import { EspalierError } from './errors.js';
import { addon } from './load.js';

/** Where and how models compute. */
export interface EngineOptions {
  /** `auto` (default) takes the best device; `cpu`; `reference` is slow, plain and in double precision. */
  device?: string | undefined;
  /** CPU threads of each operation; by default all that this process may use (affinity and cgroup quota). */
  threads?: number | undefined;
}

/** A device opened for use. Models keep it alive. */
export class Engine {
  private constructor(readonly native: NativeEngine) {}

  /**
   * @throws EspalierError ERR_NO_DEVICE when the device cannot run here, ERR_INVALID_ARGUMENT on bad options.
   */
  static open(options: EngineOptions = {}): Engine {
    const device = options.device === undefined || options.device === 'auto' ? 'cpu' : options.device;
    const unusable = devices().find(({ name, available }) => name === device.split(':')[0] && !available);
    if (unusable) {
      throw new EspalierError(
        'ERR_NO_DEVICE',
        `device ${device}: ${unusable.detail} (\`espalier devices\` lists what can run)`,
      );
    }
    const threads = options.threads ?? addon().availableThreads();
    if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
      throw new EspalierError('ERR_INVALID_ARGUMENT', `threads must be a whole number from 1 to 1024, not ${threads}`);
    }
    return call(() => new Engine(new (addon().Engine)(device, threads)));
  }

  get device(): string {
    return call(() => this.native.device);
  }

  /** The instruction set or the device's name. */
  get detail(): string {
    return call(() => this.native.detail);
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
  const cuda = { name: 'cuda', available: false, detail: 'this version has no CUDA backend' };
  return [...call(() => addon().devices()), cuda];
}
