import type { Engine } from '../native/engine.js';

/** Of a report. */
export interface DeviceMemory {
  /** The most bytes that this process has had on the device at once, where that has memory of its own. */
  peakDeviceBytes?: number;
}

export const deviceMemory = ({ peakBytes }: Pick<Engine, 'peakBytes'>): DeviceMemory =>
  peakBytes === undefined ? {} : { peakDeviceBytes: peakBytes };
