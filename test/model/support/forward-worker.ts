import { parentPort, workerData } from 'node:worker_threads';
import { openModel } from './golden.js';

using model = await openModel('gelu');
parentPort?.postMessage(await model.forward(workerData));
