import { type FileMetaData, parquetSchema, type SchemaTree } from 'hyparquet';

/** Bounds what reading one row group takes at once. */
const maxColumns = 1000;

/** A column that holds texts or labels: with one value a row, or a structure of lists, as SQuAD's answers are. */
export interface ParquetColumn {
  name: string;
  /** Where its values are stored: by itself, or one list after another. */
  leaves: string[];
  isFlat: boolean;
}

/** Throws where there are too many, or two of one name. */
export function readableColumns(metadata: FileMetaData): ParquetColumn[] {
  const columns = parquetSchema(metadata).children.flatMap((column): ParquetColumn[] => {
    const { name } = column.element;
    if (isValue(column)) return [{ name, leaves: [name], isFlat: true }];
    const lists = isStructure(column) ? column.children.map(elementOf) : [undefined];
    if (!lists.every((element) => element !== undefined)) return [];
    return [{ name, leaves: lists.map(({ path }) => path.join('.')), isFlat: false }];
  });
  const names = columns.map(({ name }) => name);
  const leaves = columns.flatMap((column) => column.leaves);
  if (leaves.length > maxColumns) throw new Error(`it has ${leaves.length} columns`);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) throw new Error(`it has the column ${repeated} twice`);
  return columns;
}

/** Bytes of fixed length are no text or label. */
const isValue = ({ children, element }: SchemaTree): boolean =>
  children.length === 0 && element.repetition_type !== 'REPEATED' && element.type !== 'FIXED_LEN_BYTE_ARRAY';

const isStructure = ({ children, element }: SchemaTree): boolean =>
  children.length > 0 &&
  element.repetition_type !== 'REPEATED' &&
  element.converted_type === undefined &&
  element.logical_type === undefined;

/** What a list repeats, where it is one of values. */
function elementOf({ children, element }: SchemaTree): SchemaTree | undefined {
  const [repeated, another] = children;
  const isList = element.converted_type === 'LIST' && repeated?.element.repetition_type === 'REPEATED';
  if (!isList || another !== undefined || repeated.children.length !== 1) return undefined;
  return repeated.children.find(isValue);
}
