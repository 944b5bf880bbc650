import { readFileSync } from 'node:fs';
import type { LayerShape } from '../native/addon.js';
import type { Environment } from '../native/environment.js';
import { version } from '../version.js';
import type { Chart } from './chart.js';

/** What a page says beside its report. */
export interface About {
  /** The model that was pruned or measured. */
  checkpoint: string;
  /** Its layers before it was pruned, to show what is gone. */
  layers?: readonly LayerShape[] | undefined;
  /** The command line that makes the report again. */
  command?: string | undefined;
}

/** A report for people, before it is HTML. */
export interface Page {
  title: string;
  /** What matters most, as names and values. */
  facts: [name: string, value: string][];
  sections: Section[];
  /** Of what was measured. */
  environment?: Environment | undefined;
  command?: string | undefined;
  /** The report itself, which the page carries along. */
  data: object;
}

export interface Section {
  title: string;
  note?: string | undefined;
  charts?: Chart[] | undefined;
  /** Its first row is the head. */
  table?: string[][] | undefined;
}

/** The script and the style that the build leaves beside this file. */
const asset = (name: string): string => readFileSync(new URL(`browser/${name}`, import.meta.url), 'utf8');

/** One file that needs nothing else: style, script and data are in it. */
export function htmlPage({ title, facts, sections, environment, command, data }: Page): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${asset('style.css')}</style>
<h1>${escaped(title)}</h1>
${htmlTable(facts, 'facts')}
${sections.map(htmlSection).join('\n')}
<footer>
${command === undefined ? '' : `<h2>Again</h2>\n<pre>${escaped(command)}</pre>`}
<p>espalier ${version}${environment ? `, ${escaped(`${environment.cpu}, ${environment.cores} cores, Node ${environment.node}`)}` : ''}</p>
</footer>
<script type="application/json" id="report">${json(data)}</script>
<script type="module">${asset('charts.js')}</script>
</html>
`;
}

function htmlSection({ title, note, charts = [], table }: Section): string {
  return [
    `<section>\n<h2>${escaped(title)}</h2>`,
    note === undefined ? '' : `<p>${escaped(note)}</p>`,
    ...charts.map((chart) => `<figure><script type="application/json">${json(chart)}</script></figure>`),
    table === undefined ? '' : `<div class="wide">${htmlTable(table.slice(1), '', table[0])}</div>`,
    '</section>',
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function htmlTable(rows: readonly string[][], name: string, head?: string[]): string {
  const row = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  return `<table class="${name}">
${head === undefined ? '' : `<thead>${row(head, 'th')}</thead>\n`}<tbody>${rows.map((cells) => row(cells, 'td')).join('\n')}</tbody>
</table>`;
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] as string);

/** No end tag can stand in it. */
const json = (value: object): string => JSON.stringify(value).replaceAll('<', '\\u003c');
