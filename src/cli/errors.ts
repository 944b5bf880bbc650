import { CommanderError } from 'commander';
import { type ErrorCode, EspalierError } from '../native/errors.js';
import { oneLine } from '../quote.js';

/** Exit codes of the command line; a signal adds 128 to its number. */
export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  targetMissed: 3,
  noDevice: 4,
  SIGINT: 130,
  SIGTERM: 143,
} as const;

const exitCodesOfErrors: Partial<Record<ErrorCode, number>> = {
  ERR_OPTION: exitCodes.usage,
  ERR_INVALID_ARGUMENT: exitCodes.usage,
  ERR_TASK: exitCodes.usage,
  ERR_TARGET: exitCodes.targetMissed,
  ERR_NO_DEVICE: exitCodes.noDevice,
};

export interface CliFailure {
  code: ErrorCode;
  message: string;
  exitCode: number;
}

/** What the user is told about anything thrown, and the exit code it ends with; --help and --version say nothing. */
export function describeFailure(error: unknown, stop: AbortSignal): CliFailure {
  if (stop.aborted) {
    const signal = stop.reason as 'SIGINT' | 'SIGTERM';
    return {
      code: 'ERR_CANCELLED',
      message: `stopped by ${signal} (nothing half-written is left)`,
      exitCode: exitCodes[signal],
    };
  }
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return { code: 'ERR_OPTION', message: '', exitCode: exitCodes.ok };
    return { code: 'ERR_OPTION', message: commanderMessage(error), exitCode: exitCodes.usage };
  }
  if (error instanceof EspalierError) {
    const exitCode = exitCodesOfErrors[error.code] ?? exitCodes.failure;
    return { code: error.code, message: oneLine(error.message), exitCode };
  }
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: 'ERR_INTERNAL',
    message: `${oneLine(message)} (this is a defect of espalier: please report it)`,
    exitCode: exitCodes.failure,
  };
}

/** Commander's text in the form every espalier error has: one line, what to do in parentheses. */
function commanderMessage(error: CommanderError): string {
  if (error.code === 'commander.help') return 'no command given (choose one of those above)';
  const text = error.message.replace(/^error: /, '').trim();
  const suggestion = /^(.*?)\n\(Did you mean (.*)\?\)$/s.exec(text);
  if (suggestion) return `${suggestion[1]} (did you mean ${suggestion[2]}?)`;
  return `${text} (see --help)`;
}
