/** A value out of a file or the command line, shortened to fit a one-line error message. */
export function quote(value: unknown): string {
  const text = written(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

function written(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return 'a value of too many levels';
  }
}

/** Somebody else's message, fit for ours. */
export function oneLine(text: string): string {
  return text.replace(/[\s\p{Cc}]+/gu, ' ');
}

/** The first few of a list, so that a message about hundreds of names stays one readable line. */
export function quoteSome(values: readonly unknown[], limit = 8): string {
  const shown = values.slice(0, limit).map(quote).join(', ');
  return values.length <= limit ? shown : `${shown} and ${values.length - limit} more`;
}
