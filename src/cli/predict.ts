import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Command } from 'commander';
import { predictionTask } from '../api/predict.js';
import { chooseColumns, readUnlabelled } from '../data/examples.js';
import { splitPair } from '../data/plain-text.js';
import { standardInput } from '../data/text.js';
import { loadModel, type PredictInput, type Prediction, predict } from '../index.js';
import { EspalierError } from '../native/errors.js';
import {
  addDeviceOptions,
  addMaxLengthOption,
  addOutputOptions,
  addTextOptions,
  type DataFlags,
  type DeviceFlags,
} from './options.js';
import { helpExamples, printResult } from './output.js';

interface PredictFlags extends DeviceFlags, Omit<DataFlags, 'labelColumn'> {
  input?: string;
}

const textsInOnePass = 32;

export function addPredict(program: Command, signal: AbortSignal): void {
  const command = program
    .command('predict')
    .description('label texts, given as arguments, in a file or as lines of standard input')
    .argument('<checkpoint>', 'model directory')
    .argument('[texts...]', 'texts, a tab between those of a pair; standard input is read where there are none')
    .option('--input <file>', 'data file with the texts, or - for standard input; labels in it are not looked at')
    .option('--task <name>', 'the task whose label names, columns and length to use')
    .addHelpText(
      'after',
      helpExamples(
        "predict models/sentiment-mini 'What a lovely surprise!'",
        "printf 'How old is it?\\tIt was built in 1912.\\n' | espalier predict my-qnli-model --json",
        'predict models/sentiment-mini --input reviews.parquet --text-column review --json',
      ),
    );
  addOutputOptions(addDeviceOptions(addMaxLengthOption(addTextOptions(command)))).action(
    async (directory: string, texts: string[], flags: PredictFlags) => {
      if (texts.length > 0 && flags.input !== undefined) {
        throw new EspalierError('ERR_OPTION', '--input cannot be given beside texts (give one of them)');
      }
      await using model = await loadModel(directory, { device: flags.device, threads: flags.threads, signal });
      const { columns } = predictionTask(model, flags.task);
      const inputs =
        texts.length > 0
          ? fromLines(texts)
          : readUnlabelled(
              flags.input ?? standardInput,
              chooseColumns(columns, { text: flags.textColumn, pair: flags.pairColumn }),
              flags.format ?? (flags.input === undefined ? 'txt' : undefined),
            );
      for await (const batch of inBatches(inputs)) {
        const predictions = await predict(model, batch, { task: flags.task, maxLength: flags.maxLength, signal });
        for (const [index, prediction] of predictions.entries()) {
          const input = batch[index] as PredictInput;
          printResult(flags, { ...input, ...prediction }, () => `${answer(prediction)}\t${shown(input)}`);
        }
      }
    },
  );
}

async function* fromLines(lines: readonly string[]): AsyncGenerator<PredictInput> {
  for (const line of lines) yield splitPair(line);
}

/** As many as go through the model together, or fewer where the next one is not there yet: slow writers see answers at once. */
async function* inBatches(inputs: AsyncGenerator<PredictInput>): AsyncGenerator<PredictInput[]> {
  let batch: PredictInput[] = [];
  for (let next = inputs.next(); ; next = inputs.next()) {
    const isLate = batch.length > 0 && (await Promise.race([next.then(() => false), nextTurn(true)]));
    if (isLate || batch.length === textsInOnePass) {
      yield batch;
      batch = [];
    }
    const { value, done } = await next;
    if (done) break;
    batch.push(value);
  }
  if (batch.length > 0) yield batch;
}

function answer(prediction: Prediction): string {
  return 'value' in prediction
    ? prediction.value.toFixed(4)
    : `${prediction.label}\t${prediction.probability.toFixed(4)}`;
}

/** On one line, whatever the texts hold. */
function shown({ text, pair }: PredictInput): string {
  const texts = pair === undefined ? [text] : [text, pair];
  return texts.map((item) => item.replace(/[\t\r\n]/g, ' ')).join('\t');
}
