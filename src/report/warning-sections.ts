import type { Section } from './page.js';

/** @param table the names of its columns, and a row a warning; without any there is no section */
export const warningSections = (table: string[][]): Section[] =>
  table.length > 1 ? [{ title: 'Warnings', table }] : [];
