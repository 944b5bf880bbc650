/** A priority queue of numbers: the smallest comes first. */
export class MinHeap {
  private readonly keys: number[] = [];

  push(key: number): void {
    const { keys } = this;
    let place = keys.length;
    keys.push(key);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (keys[parent] <= key) break;
      keys[place] = keys[parent];
      place = parent;
    }
    keys[place] = key;
  }

  pop(): number | undefined {
    const { keys } = this;
    const smallest = keys[0];
    const last = keys.pop();
    if (last === undefined || keys.length === 0) return smallest;
    let place = 0;
    for (let child = 1; child < keys.length; child = 2 * place + 1) {
      if (child + 1 < keys.length && keys[child + 1] < keys[child]) child++;
      if (keys[child] >= last) break;
      keys[place] = keys[child];
      place = child;
    }
    keys[place] = last;
    return smallest;
  }
}
