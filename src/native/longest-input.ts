import type { ModelSpec } from './addon.js';

/** The most tokens an input may have: those that the model has a position for. */
export const longestInput = ({ maxPositions, positionPadding }: ModelSpec): number =>
  maxPositions - positionPadding - 1;
