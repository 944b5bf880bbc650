/**
 * Byte-level BPE writes bytes as characters: printable Latin-1 as itself, the other bytes in ascending order as U+0100
 * and on (Radford et al. 2019).
 */
export const byteAlphabet: readonly string[] = makeAlphabet();

/** How a vocabulary writes a blank: Ġ. */
export const blank = byteAlphabet[0x20];

function makeAlphabet(): string[] {
  let next = 0x100;
  const isPrintable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}
