import { AlignedText } from './aligned-text.js';

/** Changes a text before it is split into words, and keeps track of where every character came from. */
export type Normalizer = (text: string) => AlignedText;

/** Leaves the text as it is. */
export const asItIs: Normalizer = (text) => new AlignedText(text);
