/** A table of Markdown; the first row names the columns. */
export function markdown([head, ...rows]: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [line(head as string[]), `|${(head as string[]).map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
}
