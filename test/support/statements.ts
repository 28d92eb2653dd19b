import pg from "pg";

type Query = (this: pg.Client, ...args: unknown[]) => unknown;

// What every process does by itself: the types that each pool asks for, the polls of revocations and keys, the mails
// that the queue has sent, the clean-up, and what it writes of refusals.
const ASIDE =
  /FROM revocations|FROM keys|FROM service_keys|FROM mails m|t\.ctid|FROM pg_range|UPDATE "?mails|^INSERT INTO audit_events|graphile_worker\.(?!add_job)/;

/** The statements that the service sends while something runs, but for what it does by itself all the time. */
export async function statementsOf(run: () => Promise<unknown>): Promise<string[]> {
  return (await allStatementsOf(run)).filter((text) => !ASIDE.test(text));
}

/** Every statement that the service sends while something runs. */
export async function allStatementsOf(run: () => Promise<unknown>): Promise<string[]> {
  const statements: string[] = [];
  const query: Query = pg.Client.prototype.query;
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const text = textOf(args[0]);
    if (isOfService(this)) statements.push(text);
    return query.apply(this, args);
  } as typeof pg.Client.prototype.query;
  try {
    await run();
  } finally {
    pg.Client.prototype.query = query as typeof pg.Client.prototype.query;
  }
  return statements;
}

// The queue and the tests have pools of other names.
function isOfService(client: object): boolean {
  const { connectionParameters: parameters } = client as { connectionParameters?: { application_name?: string } };
  return parameters?.application_name === "latchkey";
}

function textOf(query: unknown): string {
  return typeof query === "object" && query !== null && "text" in query ? String(query.text) : String(query);
}
