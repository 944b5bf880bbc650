import { EspalierError } from '../native/errors.js';

/**
 * Seeded pseudo-random numbers, the same on every machine: xoshiro128** (Blackman & Vigna 2021, "Scrambled linear
 * pseudorandom number generators", ACM TOMS 47:4), its state filled from the seed by MurmurHash3's 32-bit
 * finaliser over a Weyl sequence.
 */
export class Random {
  private readonly state: Uint32Array;

  /** seed: 0 .. 2^53 - 1. Throws ERR_INVALID_ARGUMENT. */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new EspalierError('ERR_INVALID_ARGUMENT', `the seed ${seed} is no whole number of 0 or more`);
    }
    let word = mix(seed >>> 0) ^ Math.floor(seed / 2 ** 32);
    this.state = Uint32Array.from({ length: 4 }, () => {
      word = (word + 0x9e3779b9) | 0;
      return mix(word);
    });
  }

  /** A uniform 32-bit number. */
  next(): number {
    const s = this.state as unknown as [number, number, number, number];
    const result = Math.imul(rotateLeft(Math.imul(s[1], 5), 7), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotateLeft(s[3], 11);
    return result;
  }

  /** A uniform whole number of 0 .. limit - 1, limit at most 2^32. */
  below(limit: number): number {
    const usable = 2 ** 32 - (2 ** 32 % limit);
    let value = this.next();
    while (value >= usable) value = this.next();
    return value % limit;
  }
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function mix(value: number): number {
  let z = value;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return (z ^ (z >>> 16)) >>> 0;
}
