import { quote } from '../quote.js';
import type { Row } from './rows.js';
import { badData } from './text.js';

/**
 * Turns the fields of lines under a header into rows. Throws ERR_DATA for repeated columns, but those without a name, as
 * spreadsheets leave them, and for ragged lines.
 */
export class Header {
  constructor(
    private readonly file: string,
    readonly columns: readonly string[],
  ) {
    const repeated = columns.find((name, index) => name !== '' && columns.indexOf(name) !== index);
    if (repeated !== undefined) throw badData(file, 'line 1', `the header has the column ${quote(repeated)} twice`);
  }

  row(line: number, fields: readonly string[]): Row {
    const where = `line ${line}`;
    if (fields.length !== this.columns.length) {
      throw badData(this.file, where, `${fields.length} fields under a header of ${this.columns.length} columns`);
    }
    return { where, values: Object.fromEntries(this.columns.map((name, index) => [name, fields[index]])) };
  }
}
