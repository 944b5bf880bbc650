import type { Command } from 'commander';
import { checkOutput } from '../checkpoint/output-directory.js';
import { checkOutputFile } from '../checkpoint/output-file.js';
import { type DType, type Exported, exportDense, exportOnnx, loadModel } from '../index.js';
import { EspalierError } from '../native/errors.js';
import { megabytes } from '../report/figures.js';
import { addOutputOptions, dtypeOption, type OutputFlags } from './options.js';
import { checkApart, helpExamples, printResult, printWarnings } from './output.js';
import { fields } from './table.js';

interface ExportFlags extends OutputFlags {
  onnx?: string;
  dense?: string;
  dtype?: DType;
  force?: true;
}

export function addExport(program: Command, signal: AbortSignal): void {
  const command = program
    .command('export')
    .description('write a checkpoint, pruned or not, in a form that other software loads')
    .argument('<checkpoint>', 'model directory')
    .option('--onnx <file>', 'an ONNX file for onnxruntime: any batch size and length, as small and fast as the model')
    .option('--dense <directory>', 'a checkpoint in the unpruned shapes, zeros in them, for stock transformers')
    .addOption(dtypeOption())
    .option('--force', 'replace an existing file or checkpoint')
    .addHelpText(
      'after',
      '\nTokens that the checkpoint drops are masked in ONNX, which is no faster for it; a dense copy keeps them all.',
    )
    .addHelpText(
      'after',
      helpExamples('export pruned --onnx pruned.onnx', 'export pruned --dense pruned-dense --dtype f32 --json'),
    );
  addOutputOptions(command).action(async (directory: string, flags: ExportFlags) => {
    const { onnx, dense, dtype, force } = flags;
    if (onnx === undefined && dense === undefined) {
      throw new EspalierError('ERR_OPTION', 'nothing to export (give --onnx FILE or --dense DIRECTORY)');
    }
    checkApart({ '--onnx': onnx, '--dense': dense });
    if (onnx !== undefined) checkOutputFile(onnx, force, [directory]);
    if (dense !== undefined) checkOutput(dense, force, [directory]);
    await using model = await loadModel(directory, { device: 'cpu', signal });
    const options = { dtype, force, signal };
    const written: { onnx?: Exported; dense?: Exported } = {};
    if (onnx !== undefined) written.onnx = await exportOnnx(model, onnx, options);
    if (dense !== undefined) written.dense = await exportDense(model, dense, options);
    printWarnings(written.dense?.warnings);
    printResult(flags, { command: 'export', checkpoint: directory, ...written }, () => describe(written));
  });
}

function describe(written: Record<string, Exported>): string {
  return fields(
    Object.entries(written).map(([form, { path, dtype, bytes }]) => [form, `${path}, ${megabytes(bytes)}, ${dtype}`]),
  );
}
