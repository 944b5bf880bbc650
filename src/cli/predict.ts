import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Command } from 'commander';
import { predictionTask } from '../api/predict.js';
import { streamExamples } from '../data/examples.js';
import { splitPair } from '../data/plain-text.js';
import { standardInput } from '../data/text.js';
import { EspalierError, loadModel, type PredictInput, type Prediction, predict } from '../index.js';
import {
  addDeviceOptions,
  addMaxLengthOption,
  addOutputOptions,
  addTextOptions,
  columnsOf,
  type DataFlags,
  type DeviceFlags,
} from './options.js';
import { helpExamples, printResult } from './output.js';

interface PredictFlags extends DeviceFlags, Omit<DataFlags, 'labelColumn'> {
  question?: string;
  context?: string;
  input?: string;
}

const textsInOnePass = 32;

export function addPredict(program: Command, signal: AbortSignal): void {
  const command = program
    .command('predict')
    .description(
      'label texts or answer questions, given as arguments, in a file or as lines of standard input; a tab separates the ' +
        'texts of a pair, or a question and its context',
    )
    .argument('<checkpoint>', 'model directory')
    .argument('[texts...]', 'texts; standard input is read where there are none')
    .option('--question <text>', 'a question to answer, instead of texts')
    .option('--context <text>', 'where the answer is to be found')
    .option('--input <file>', 'data file with the texts, or - for standard input; labels in it are not looked at')
    .option('--task <name>', 'the task whose label names, columns and length to use')
    .addHelpText(
      'after',
      helpExamples(
        "predict models/sentiment-mini 'What a lovely surprise!'",
        "printf 'How old is it?\\tIt was built in 1912.\\n' | espalier predict my-qnli-model --json",
        "predict my-qa-model --question 'How old is it?' --context 'It was built in 1912.'",
        'predict models/sentiment-mini --input reviews.parquet --text-column review --json',
      ),
    );
  addOutputOptions(addDeviceOptions(addMaxLengthOption(addTextOptions(command)))).action(
    async (directory: string, texts: string[], flags: PredictFlags) => {
      const { task, maxLength, input: file = standardInput } = flags;
      const given = givenInputs(texts, flags);
      await using model = await loadModel(directory, { device: flags.device, threads: flags.threads, signal });
      const format = flags.format ?? (flags.input === undefined ? 'txt' : undefined);
      const read = () =>
        streamExamples(file, predictionTask(model.checkpoint, task), columnsOf(flags), {
          format,
          labels: false,
          signal,
        });
      for await (const inputs of inBatches(given ? streamOf(given) : read())) {
        const predictions = await predict(model, inputs, { task, maxLength, signal });
        for (const [index, prediction] of predictions.entries()) {
          const input = inputs[index] as PredictInput;
          printResult(flags, { ...input, ...prediction }, () => `${answer(prediction)}\t${shown(input)}`);
        }
      }
    },
  );
}

/** What the arguments ask for; undefined leaves it to the file or standard input. */
function givenInputs(texts: string[], { question, context, input }: PredictFlags): PredictInput[] | undefined {
  if (input !== undefined && (texts.length > 0 || question !== undefined || context !== undefined)) {
    throw new EspalierError('ERR_OPTION', '--input cannot be given beside texts (give one of them)');
  }
  if (question === undefined && context === undefined) return texts.length > 0 ? texts.map(splitPair) : undefined;
  if (question === undefined || context === undefined || texts.length > 0) {
    throw new EspalierError('ERR_OPTION', '--question and --context go together, without texts (give both)');
  }
  return [{ text: question, pair: context }];
}

async function* streamOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** As many as go through the model together, or fewer where the next one is not there yet: slow writers see answers at once. */
async function* inBatches<T>(items: AsyncGenerator<T>): AsyncGenerator<T[]> {
  let batch: T[] = [];
  try {
    for (let next = items.next(); ; next = items.next()) {
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
  } finally {
    void items.return(undefined); // Not awaited: the next item may never come.
  }
}

function answer(prediction: Prediction): string {
  if ('value' in prediction) return prediction.value.toFixed(4);
  const { probability } = prediction;
  return `${'label' in prediction ? prediction.label : prediction.answer}\t${probability.toFixed(4)}`;
}

/** On one line, whatever the texts hold. */
function shown({ text, pair }: PredictInput): string {
  const texts = pair === undefined ? [text] : [text, pair];
  return texts.map((item) => item.replace(/[\t\r\n]/g, ' ')).join('\t');
}
