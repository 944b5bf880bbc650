import { addAbortSignal, type Readable } from 'node:stream';
import type { Command } from 'commander';
import { EspalierError, loadModel, type PredictInput, type Prediction, predict } from '../index.js';
import { addDeviceOptions, addMaxLengthOption, addOutputOptions, type DeviceFlags } from './options.js';
import { helpExamples, printResult } from './output.js';

interface PredictFlags extends DeviceFlags {
  task?: string;
  question?: string;
  context?: string;
  maxLength?: number;
}

const textsInOnePass = 32;

export function addPredict(program: Command, signal: AbortSignal): void {
  const command = program
    .command('predict')
    .description(
      'label texts or answer questions, given as arguments or as lines of standard input; a tab separates the texts of a ' +
        'pair, or a question and its context',
    )
    .argument('<checkpoint>', 'model directory')
    .argument('[texts...]', 'texts; standard input is read where there are none')
    .option('--question <text>', 'a question to answer, instead of texts')
    .option('--context <text>', 'where the answer is to be found')
    .option('--task <name>', 'the task whose label names and length to use')
    .addHelpText(
      'after',
      helpExamples(
        "predict models/sentiment-mini 'What a lovely surprise!'",
        "printf 'How old is it?\\tIt was built in 1912.\\n' | espalier predict my-qnli-model --json",
        "predict my-qa-model --question 'How old is it?' --context 'It was built in 1912.'",
      ),
    );
  addOutputOptions(addDeviceOptions(addMaxLengthOption(command))).action(
    async (directory: string, texts: string[], flags: PredictFlags) => {
      const given = givenInputs(texts, flags);
      await using model = await loadModel(directory, { device: flags.device, threads: flags.threads, signal });
      for await (const inputs of given ? inBatches(given) : readInputs(addAbortSignal(signal, process.stdin))) {
        const predictions = await predict(model, inputs, { task: flags.task, maxLength: flags.maxLength, signal });
        for (const [index, prediction] of predictions.entries()) {
          const input = inputs[index] as PredictInput;
          printResult(
            flags,
            { ...input, ...prediction },
            () => `${answer(prediction)}\t${Object.values(input).join('\t')}`,
          );
        }
      }
    },
  );
}

/** What the arguments ask for; undefined leaves it to standard input. */
function givenInputs(texts: string[], { question, context }: PredictFlags): PredictInput[] | undefined {
  if (question === undefined && context === undefined) return texts.length > 0 ? texts.map(parseInput) : undefined;
  if (question === undefined || context === undefined || texts.length > 0) {
    throw new EspalierError('ERR_OPTION', '--question and --context go together, without texts (give both)');
  }
  return [{ text: question, pair: context }];
}

function parseInput(line: string): PredictInput {
  const tab = line.indexOf('\t');
  return tab < 0 ? { text: line } : { text: line.slice(0, tab), pair: line.slice(tab + 1) };
}

function answer(prediction: Prediction): string {
  if ('value' in prediction) return prediction.value.toFixed(4);
  const { probability } = prediction;
  return `${'label' in prediction ? prediction.label : prediction.answer}\t${probability.toFixed(4)}`;
}

function* inBatches<T>(items: T[]): Generator<T[]> {
  for (let first = 0; first < items.length; first += textsInOnePass) yield items.slice(first, first + textsInOnePass);
}

/** Lines as they arrive: whoever writes slowly into the pipe sees answers at once. */
async function* readInputs(input: Readable): AsyncGenerator<PredictInput[]> {
  let rest = '';
  for await (const chunk of input.setEncoding('utf8')) {
    const lines = (rest + chunk).split(/\r?\n/);
    rest = lines.pop() as string;
    yield* inBatches(lines.map(parseInput));
  }
  if (rest !== '') yield [parseInput(rest)];
}
