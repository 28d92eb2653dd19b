import type { SchemaState } from "../db/server-facts.ts";
import { failed, ok, type Verdict, warning } from "./check.ts";

/** Judges the schema by what this version of the service has. */
export function judgeMigrations({ run, pending, unknown, queue, mayMigrate }: SchemaState): Verdict {
  if (unknown.length > 0)
    return failed(
      `run by a newer version: ${unknown.join(", ")}`,
      "This installation is older than its database, and no migration is taken back: upgrade it.",
    );
  if (queue === "incompatible")
    return failed("the queue's schema is of a newer version that this one cannot work with", "Upgrade it.");
  const waiting = [...pending, ...(queue === "missing" || queue === "older" ? ["the queue's"] : [])];
  if (waiting.length > 0) return judgePending(waiting, mayMigrate);
  if (queue === "newer")
    return warning("the queue's schema is of a newer version", "Upgrade this installation when you can.");
  return ok(`${run.at(-1)} is the last one, and has run; the queue's too`);
}

function judgePending(waiting: readonly string[], mayMigrate: boolean): Verdict {
  const finding = `to be run: ${waiting.join(", ")}`;
  return mayMigrate
    ? warning(finding, "`latchkey migrate` runs them, and so does the next start.")
    : failed(finding, "This user may not: GRANT CREATE on the database and on its schema, then `latchkey migrate`.");
}
