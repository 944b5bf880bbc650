// Prints the instruction set that the cpu device uses, or why it cannot be opened.
import { Engine } from '../../../src/native/engine.js';
import type { EspalierError } from '../../../src/native/errors.js';

try {
  console.log(Engine.open({ device: 'cpu' }).detail);
} catch (error) {
  const { code, message } = error as EspalierError;
  console.log(`${code}: ${message}`);
}
