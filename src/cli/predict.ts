import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Command } from 'commander';
import { predictionTask } from '../api/predict.js';
import { checkOutputFile, writeOutputFile } from '../checkpoint/output-file.js';
import { type Example, streamExamples } from '../data/examples.js';
import { splitPair } from '../data/plain-text.js';
import { standardInput } from '../data/text.js';
import { loadModel, type Prediction, predict } from '../index.js';
import { EspalierError } from '../native/errors.js';
import type { Task } from '../tasks/task.js';
import {
  addDeviceOptions,
  addMaxLengthOption,
  addOutputOptions,
  addTextOptions,
  columnsOf,
  type DataFlags,
  type DeviceFlags,
  engineOptionsOf,
} from './options.js';
import { helpExamples, printResult } from './output.js';

interface PredictFlags extends DeviceFlags, Omit<DataFlags, 'labelColumn'> {
  input?: string;
  question?: string;
  context?: string;
  predictions?: string;
  force?: true;
}

const textsInOnePass = 32;

export function addPredict(program: Command, signal: AbortSignal): void {
  const command = program
    .command('predict')
    .description('label texts or answer questions, given as arguments, in a file or as lines of standard input')
    .argument('<checkpoint>', 'model directory')
    .argument(
      '[texts...]',
      'texts, a tab between those of a pair (a question and its context); standard input is read where there are none',
    )
    .option('--input <file>', 'data file with the texts, or - for standard input; labels in it are not looked at')
    .option('--question <text>', 'a question to answer')
    .option('--context <text>', 'the text that holds its answer')
    .option('--task <name>', 'the task whose label names, columns and length to use')
    .option('--predictions <file>', "also write the predictions as the task's official evaluation reads them")
    .option('--force', 'replace an existing file there')
    .addHelpText(
      'after',
      helpExamples(
        "predict models/sentiment-mini 'What a lovely surprise!'",
        "printf 'How old is it?\\tIt was built in 1912.\\n' | espalier predict my-qnli-model --json",
        'predict models/sentiment-mini --input reviews.parquet --text-column review --json',
        "predict my-qa-model --question 'How old is it?' --context 'It was built in 1912.'",
        'predict my-rte-model --task rte --input RTE/test.tsv --predictions RTE.tsv',
      ),
    );
  addOutputOptions(addDeviceOptions(addMaxLengthOption(addTextOptions(command)))).action(
    async (directory: string, texts: string[], flags: PredictFlags) => {
      checkSources(texts, flags);
      if (flags.predictions !== undefined) checkOutputFile(flags.predictions, flags.force, [directory, flags.input]);
      await using model = await loadModel(directory, { ...engineOptionsOf(flags), signal });
      const task = predictionTask(model.checkpoint, flags.task);
      const examples: Example[] = [];
      const predictions: Prediction[] = [];
      for await (const batch of inBatches(inputsOf(texts, task, flags, signal))) {
        const found = await predict(model, batch, { task: flags.task, maxLength: flags.maxLength, signal });
        for (const [index, prediction] of found.entries()) {
          const input = batch[index] as Example;
          printResult(flags, { ...input, ...prediction }, () => `${answer(prediction)}\t${shown(input)}`);
        }
        if (flags.predictions === undefined) continue;
        examples.push(...batch);
        predictions.push(...found);
      }
      if (flags.predictions !== undefined) {
        const content = Buffer.from(task.submission(predictions, examples));
        await writeOutputFile(flags.predictions, [content], { force: flags.force, signal });
      }
    },
  );
}

function checkSources(texts: string[], { input, question, context }: PredictFlags): void {
  if ((question === undefined) !== (context === undefined)) {
    throw new EspalierError('ERR_OPTION', '--question and --context go together (give both)');
  }
  if ([texts.length > 0, input !== undefined, question !== undefined].filter(Boolean).length > 1) {
    throw new EspalierError('ERR_OPTION', 'texts, --input and --question exclude each other (give one of them)');
  }
}

function inputsOf(texts: string[], task: Task, flags: PredictFlags, signal: AbortSignal): AsyncGenerator<Example> {
  const { input, question, context } = flags;
  if (question !== undefined && context !== undefined) return given([{ text: question, pair: context }]);
  if (texts.length > 0) return given(texts.map(splitPair));
  const format = flags.format ?? (input === undefined ? 'txt' : undefined);
  return streamExamples(input ?? standardInput, task, columnsOf(flags), {
    format,
    labels: false,
    everyRow: true,
    signal,
  });
}

async function* given(examples: Example[]): AsyncGenerator<Example> {
  yield* examples;
}

/** As many as go through the model together, or fewer where the next one is not there yet: slow writers see answers at once. */
async function* inBatches(inputs: AsyncGenerator<Example>): AsyncGenerator<Example[]> {
  let batch: Example[] = [];
  try {
    for (let next = inputs.next(); ; next = inputs.next()) {
      // A bad one does not take the answers of those before it away.
      const isThere = next.then(
        () => true,
        () => false,
      );
      const isLate = batch.length > 0 && !(await Promise.race([isThere, nextTurn(false)]));
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
    void inputs.return(undefined); // Not awaited: the next input may never come.
  }
}

function answer(prediction: Prediction): string {
  if ('value' in prediction) return prediction.value.toFixed(4);
  const text = 'label' in prediction ? prediction.label : onOneLine(prediction.answer);
  return `${text}\t${prediction.probability.toFixed(4)}`;
}

const shown = ({ text, pair }: Example): string =>
  (pair === undefined ? [text] : [text, pair]).map(onOneLine).join('\t');

const onOneLine = (text: string): string => text.replace(/[\t\r\n]/g, ' ');
