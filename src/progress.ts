/** Called as work proceeds: `done` of `total` units of the stage named. A stage is over when they are equal. */
export type OnProgress = (event: ProgressEvent) => void;

/** Progress of one of several pieces of work. */
export const progressOf = (onProgress: OnProgress | undefined, piece: string): OnProgress | undefined =>
  onProgress && ((event) => onProgress({ ...event, stage: `${piece}: ${event.stage}` }));

export interface ProgressEvent {
  stage: string;
  done: number;
  total: number;
  /** How it goes, for people. */
  note?: string | undefined;
}
