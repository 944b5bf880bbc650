/** Finds the words of a normalized text: flat pairs of start and end, in UTF-16 code units. */
export type PreTokenizer = (text: string) => number[];
