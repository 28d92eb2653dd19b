import fc from "fast-check";
import pg from "pg";
import type { TestDatabase } from "./postgres.ts";
import { revoke, type Watching } from "./watching.ts";

const DEEDS = [
  ...["begin", "revoke", "revoke", "savepoint", "rollback to savepoint"],
  ...["write something else", "commit", "commit", "rollback"],
] as const;
type Deed = (typeof DEEDS)[number];

/** One step of a history; the numbers choose among what there is. */
export type Step =
  | { readonly deed: Deed; readonly writer: number }
  | { readonly visit: "connect" | "disconnect"; readonly watcher: number; readonly service: number }
  | "let the services poll";

const WRITERS = 4;
const WATCHERS = 4;

const writing = fc.record({ deed: fc.constantFrom(...DEEDS), writer: fc.nat(WRITERS - 1) });
const watching = fc.record({
  visit: fc.constantFrom("connect", "connect", "disconnect"),
  ...{ watcher: fc.nat(WATCHERS - 1), service: fc.nat(1) },
});
const polling = fc.constant("let the services poll");

/** Histories of writers that commit in any order, and watchers that come and go. */
export const histories: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof({ arbitrary: writing, weight: 6 }, { arbitrary: watching, weight: 2 }, { arbitrary: polling, weight: 2 }),
  { minLength: 20, maxLength: 60, size: "max" },
);

/** Where a history is played: watches a service from a cursor on. */
export interface Stage {
  readonly database: TestDatabase;
  readonly watch: (service: number, cursor: string) => Watching;
}

/** Plays a history to its end, with every writer committed; gives what each watcher was not told and should have been. */
export async function playHistory(
  stage: Stage,
  steps: readonly Step[],
): Promise<{ missed: string[]; false: string[] }> {
  await using resources = new AsyncDisposableStack();
  const writers = await openWriters(stage.database, resources);
  const watchers = createWatchers(stage, resources);
  const settle = createSettling(stage, resources);
  for (const step of steps) {
    if (typeof step === "string") await settle();
    else if ("deed" in step) await writers[step.writer]?.take(step.deed);
    else if (step.visit === "connect") await watchers.connect(step.watcher, step.service);
    else await watchers.disconnect(step.watcher);
  }
  for (const writer of writers) await writer.take("commit");
  await settle();
  await watchers.connectAll();
  // Told after all that was there before.
  await watchers.told(await settle());
  const committed = writers.flatMap((writer) => writer.committed);
  const undone = writers.flatMap((writer) => writer.undone);
  return await watchers.judge(committed, undone);
}

async function openWriters(database: TestDatabase, resources: AsyncDisposableStack) {
  return Promise.all(
    Array.from({ length: WRITERS }, async () => {
      const client = new pg.Client(database.connection);
      await client.connect();
      resources.defer(() => client.end());
      return createWriter(client);
    }),
  );
}

function createWriter(client: pg.Client) {
  const [committed, undone]: [string[], string[]] = [[], []];
  // What was revoked since the transaction began, and since each savepoint.
  let layers: string[][] = [];
  const begin = async () => {
    if (layers.length > 0) return;
    await client.query("BEGIN");
    layers = [[]];
  };
  const deeds: Record<Deed, () => Promise<unknown>> = {
    begin,
    async revoke() {
      await begin();
      const { rows } = await client.query<{ id: string }>(
        `INSERT INTO revocations (session_id, expires_at) VALUES (gen_random_uuid(), now() + interval '1 day')
         RETURNING session_id AS id`,
      );
      layers.at(-1)?.push(...rows.map(({ id }) => id));
    },
    async "write something else"() {
      await begin();
      await client.query("SELECT pg_current_xact_id()");
    },
    async savepoint() {
      await begin();
      await client.query(`SAVEPOINT s${layers.length}`);
      layers.push([]);
    },
    async "rollback to savepoint"() {
      if (layers.length < 2) return;
      await client.query(`ROLLBACK TO s${layers.length - 1}`);
      undone.push(...(layers.pop() ?? []));
    },
    async commit() {
      if (layers.length > 0) await client.query("COMMIT");
      committed.push(...layers.flat());
      layers = [];
    },
    async rollback() {
      if (layers.length > 0) await client.query("ROLLBACK");
      undone.push(...layers.flat());
      layers = [];
    },
  };
  return { committed, undone, take: (deed: Deed) => deeds[deed]() };
}

function createWatchers({ watch }: Stage, resources: AsyncDisposableStack) {
  const watchers = Array.from({ length: WATCHERS }, () => ({
    cursor: "",
    told: new Set<string>(),
    now: null as Watching | null,
  }));
  const disconnect = async (index: number) => {
    const watcher = watchers[index];
    if (!watcher?.now) return;
    await watcher.now.stop();
    for (const id of watcher.now.sessions()) watcher.told.add(id);
    watcher.cursor = watcher.now.cursor();
    watcher.now = null;
  };
  const connect = async (index: number, service: number) => {
    await disconnect(index);
    const watcher = watchers[index];
    if (watcher) watcher.now = watch(service, watcher.cursor);
  };
  resources.defer(async () => {
    for (const index of watchers.keys()) await disconnect(index);
  });
  return {
    ...{ connect, disconnect },
    async connectAll() {
      for (const [index, { now }] of watchers.entries()) if (!now) await connect(index, index % 2);
      for (const { now } of watchers) await now?.inSync();
    },
    async told(ids: readonly string[]) {
      for (const { now } of watchers) await now?.told(...ids);
    },
    async judge(committed: readonly string[], undone: readonly string[]) {
      for (const index of watchers.keys()) await disconnect(index);
      return {
        missed: watchers.flatMap(({ told }) => committed.filter((id) => !told.has(id))),
        false: watchers.flatMap(({ told }) => undone.filter((id) => told.has(id))),
      };
    },
  };
}

/** Resolves when both services have polled; gives the session that they found revoked. */
function createSettling({ database, watch }: Stage, resources: AsyncDisposableStack): () => Promise<string[]> {
  const witnesses = [watch(0, ""), watch(1, "")];
  resources.defer(async () => {
    for (const witness of witnesses) await witness.stop();
  });
  return async () => {
    const ids = await revoke({ database });
    for (const witness of witnesses) await witness.told(...ids);
    return ids;
  };
}
