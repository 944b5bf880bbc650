import { EspalierError } from '../native/errors.js';

/**
 * The stretches of at most `room` tokens that cover `length` tokens, neighbours sharing `stride` of them: one where all
 * fit, and only the last is shorter than `room`.
 * @throws EspalierError ERR_INVALID_ARGUMENT where stride is no whole number of 0 or more; ERR_DATA where several are
 * needed and there is no room for more than the stride.
 */
export function windowsOf(length: number, room: number, stride: number): [start: number, end: number][] {
  if (!Number.isSafeInteger(stride) || stride < 0) {
    throw new EspalierError('ERR_INVALID_ARGUMENT', `stride must be a whole number of 0 or more, not ${stride}`);
  }
  if (length <= room) return [[0, length]];
  if (room <= stride) {
    throw new EspalierError(
      'ERR_DATA',
      `the question leaves ${Math.max(0, room)} tokens for the context, and a stride of ${stride} needs more ` +
        '(shorten the question, or raise the longest length)',
    );
  }
  const windows: [number, number][] = [];
  for (let start = 0, end = 0; end < length; start += room - stride) {
    end = Math.min(start + room, length);
    windows.push([start, end]);
  }
  return windows;
}
