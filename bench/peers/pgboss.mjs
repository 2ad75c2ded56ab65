// pg-boss: no-op jobs added in bulk, or chains in which each job adds its successor.
// usage: node pgboss.mjs default|plain|batched jobs|chains NUMBER SECONDS
//   default  work() with nothing set: polls every two seconds for one job
//   plain    ten loops of fetch() and complete(), one job at a time: no waiting between jobs
//   batched  two loops of fetch() and complete() by the thousand
// A chain has 10 jobs. Prints one line of JSON. The database comes from PGHOST, PGPORT, PGUSER, PGDATABASE.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.cwd() + "/");
const find = (name) => {
	try {
		return require.resolve(name);
	} catch {
		return process.cwd() + "/node_modules/" + name + "/dist/index.js";
	}
};
const module = await import(pathToFileURL(find("pg-boss")).href);
const PgBoss = module.PgBoss ?? module.default;

const [settings, shape, number, seconds] = [process.argv[2], process.argv[3], +process.argv[4], +process.argv[5]];
const LENGTH = 10, CHUNK = 5000, QUEUE = "noop";
const boss = new PgBoss({
	host: process.env.PGHOST, port: +process.env.PGPORT, user: process.env.PGUSER, database: process.env.PGDATABASE,
	max: 25, schedule: false, supervise: false,
});
boss.on("error", (e) => {
	console.error(e);
	process.exit(1);
});
await boss.start();
await boss.createQueue(QUEUE);

const first = shape === "chains" ? { left: LENGTH - 1 } : {};
const addStart = performance.now();
for (let i = 0; i < number; i += CHUNK)
	await boss.insert(QUEUE, Array.from({ length: Math.min(CHUNK, number - i) }, () => ({ data: first })));
const addSeconds = (performance.now() - addStart) / 1000;

const expected = shape === "chains" ? number * LENGTH : number;
const start = performance.now();
const deadline = start + seconds * 1000;
let done = 0;
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const more = () => done < expected && performance.now() < deadline;
const successors = (jobs) => jobs.filter((j) => j.data.left > 0).map((j) => ({ data: { left: j.data.left - 1 } }));

async function loop(batchSize) {
	while (more()) {
		const jobs = await boss.fetch(QUEUE, { batchSize });
		if (jobs.length === 0) {
			await sleep(2);
			continue;
		}
		const next = successors(jobs);
		if (next.length === 1) await boss.send(QUEUE, next[0].data);
		else if (next.length > 1) await boss.insert(QUEUE, next);
		await boss.complete(QUEUE, jobs.map((j) => j.id));
		done += jobs.length;
	}
}

if (settings === "default") {
	await boss.work(QUEUE, async (jobs) => {
		for (const next of successors(jobs)) await boss.send(QUEUE, next.data);
		done += jobs.length;
	});
	while (more()) await sleep(10);
} else {
	const [loops, size] = settings === "batched" ? [2, 1000] : [10, 1];
	await Promise.all(Array.from({ length: loops }, () => loop(size)));
}
const runSeconds = (performance.now() - start) / 1000;
console.log(JSON.stringify({ added: number, add_s: addSeconds, expected, done, failed: 0, run_s: runSeconds }));
process.exit(0);
