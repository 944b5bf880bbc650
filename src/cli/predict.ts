import { addAbortSignal, type Readable } from 'node:stream';
import type { Command } from 'commander';
import { loadModel, type PredictInput, type Prediction, predict } from '../index.js';
import { addDeviceOptions, addMaxLengthOption, addOutputOptions, type DeviceFlags } from './options.js';
import { helpExamples, printResult } from './output.js';

interface PredictFlags extends DeviceFlags {
  task?: string;
  maxLength?: number;
}

const textsInOnePass = 32;

export function addPredict(program: Command, signal: AbortSignal): void {
  const command = program
    .command('predict')
    .description('label texts, given as arguments or as lines of standard input; a tab separates the texts of a pair')
    .argument('<checkpoint>', 'model directory')
    .argument('[texts...]', 'texts; standard input is read where there are none')
    .option('--task <name>', 'the task whose label names and length to use')
    .addHelpText(
      'after',
      helpExamples(
        "predict models/sentiment-mini 'What a lovely surprise!'",
        "printf 'How old is it?\\tIt was built in 1912.\\n' | espalier predict my-qnli-model --json",
      ),
    );
  addOutputOptions(addDeviceOptions(addMaxLengthOption(command))).action(
    async (directory: string, texts: string[], flags: PredictFlags) => {
      await using model = await loadModel(directory, { device: flags.device, threads: flags.threads, signal });
      const batches = texts.length > 0 ? inBatches(texts) : linesOf(addAbortSignal(signal, process.stdin));
      for await (const lines of batches) {
        const inputs = lines.map(parseInput);
        const predictions = await predict(model, inputs, { task: flags.task, maxLength: flags.maxLength, signal });
        for (const [index, prediction] of predictions.entries()) {
          printResult(flags, { ...inputs[index], ...prediction }, () => `${answer(prediction)}\t${lines[index]}`);
        }
      }
    },
  );
}

function parseInput(line: string): PredictInput {
  const tab = line.indexOf('\t');
  return tab < 0 ? { text: line } : { text: line.slice(0, tab), pair: line.slice(tab + 1) };
}

function answer(prediction: Prediction): string {
  return 'value' in prediction
    ? prediction.value.toFixed(4)
    : `${prediction.label}\t${prediction.probability.toFixed(4)}`;
}

function* inBatches(lines: string[]): Generator<string[]> {
  for (let first = 0; first < lines.length; first += textsInOnePass) yield lines.slice(first, first + textsInOnePass);
}

/** Lines as they arrive: whoever writes slowly into the pipe sees answers at once. */
async function* linesOf(input: Readable): AsyncGenerator<string[]> {
  let rest = '';
  for await (const chunk of input.setEncoding('utf8')) {
    const lines = (rest + chunk).split(/\r?\n/);
    rest = lines.pop() as string;
    yield* inBatches(lines);
  }
  if (rest !== '') yield [rest];
}
