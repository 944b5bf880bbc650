/**
 * The lengths of two sequences cut to `budget` tokens together, longest first: the shorter one stays whole where it
 * fits, otherwise both get half, the longer one the odd token (the first counts as the shorter at equal lengths).
 */
export function truncateLongestFirst(first: number, second: number, budget: number): [number, number] {
  if (first + second <= budget) return [first, second];
  const shorter = Math.min(first, second);
  const half = Math.floor(budget / 2);
  const [short, long] = shorter <= half ? [shorter, budget - shorter] : [half, budget - half];
  return first <= second ? [short, long] : [long, short];
}
