/** Parsers of command line options whose values are separated by commas. */
export const list = (values: string): string[] => values.split(',');
export const numbers = (values: string): number[] => list(values).map(Number);
