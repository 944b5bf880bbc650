/** Called as work proceeds: `done` of `total` units of the stage named. A stage is over when they are equal. */
export type OnProgress = (event: ProgressEvent) => void;

export interface ProgressEvent {
  stage: string;
  done: number;
  total: number;
  /** How it goes, for people. */
  note?: string | undefined;
}
