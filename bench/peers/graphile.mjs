// graphile-worker: no-op jobs added in bulk, or chains in which each job adds its successor.
// usage: node graphile.mjs plain|batched jobs|chains NUMBER SECONDS
// A chain has 10 jobs. Prints one line of JSON. The database comes from PGHOST, PGPORT, PGUSER, PGDATABASE.
import { EventEmitter } from "node:events";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.cwd() + "/");
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const { makeWorkerUtils, run, Logger } = await load("graphile-worker");

const [settings, shape, number, seconds] = [process.argv[2], process.argv[3], +process.argv[4], +process.argv[5]];
const LENGTH = 10, CHUNK = 5000;
const quiet = new Logger(() => () => {});
const connectionString = "postgres:///" + process.env.PGDATABASE;
const preset = {
	worker: {
		connectionString,
		concurrentJobs: 24,
		maxPoolSize: 25,
		...(settings === "batched"
			? { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }
			: {}),
	},
};

const utils = await makeWorkerUtils({ connectionString, logger: quiet });
await utils.migrate();
const addStart = performance.now();
for (let i = 0; i < number; i += CHUNK) {
	const n = Math.min(CHUNK, number - i);
	const payload = shape === "chains" ? { left: LENGTH - 1 } : {};
	await utils.addJobs(Array.from({ length: n }, () => ({ identifier: "noop", payload })));
}
const addSeconds = (performance.now() - addStart) / 1000;
await utils.release();

const expected = shape === "chains" ? number * LENGTH : number;
let done = 0, failed = 0, finish;
const over = new Promise((resolve) => (finish = resolve));
const events = new EventEmitter();
events.on("job:success", () => {
	if (++done === expected) finish();
});
events.on("job:error", () => failed++);
const timer = setTimeout(() => finish(), seconds * 1000);
const taskList = {
	noop: async (payload, helpers) => {
		if (payload.left > 0) await helpers.addJob("noop", { left: payload.left - 1 });
	},
};
const start = performance.now();
const runner = await run({ preset, taskList, events, logger: quiet, noHandleSignals: true, parsedCronItems: [] });
await over;
const runSeconds = (performance.now() - start) / 1000;
clearTimeout(timer);
const seen = done;
if (done === expected) await runner.stop();
// The time is taken when the last job has succeeded; stop() writes the ends that a batch still holds.
const stopSeconds = (performance.now() - start) / 1000;
console.log(JSON.stringify({ added: number, add_s: addSeconds, expected, done: seen, failed,
	run_s: seen === expected ? stopSeconds : runSeconds }));
process.exit(failed > 0 ? 1 : 0);
