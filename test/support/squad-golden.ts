import { readGolden } from '../model/support/golden.js';

type Scores = Record<'exact' | 'f1', number>;
type Choice = Record<'start' | 'end' | 'probability', number>;

/** test/golden/squad.json. */
export interface SquadGolden {
  context: string;
  metrics: { answer: string; golds: string[]; squad: Scores | null; squad_v2: Scores }[];
  spans: {
    windows: {
      /** [tokens, 2] */
      logits: number[];
      /** First token of the context, and how many it has: each of two characters, with one between them. */
      context: [first: number, count: number];
      /** Where the first of them begins. */
      offset: number;
    }[];
    squad: Choice;
    squad_v2: Choice;
  }[];
  /** Questions about the context, cut into windows, and the tokens of the answer in each. */
  windows: {
    maxLength: number;
    question: string;
    answers: { text: string; answer_start: number }[];
    ids: number[][];
    labels: [number, number][];
  }[];
}

export const readSquadGolden = (): SquadGolden => readGolden<SquadGolden>('squad.json', 'make_squad_golden.py');
