import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestDatabase, mochaGlobalSetup, mochaGlobalTeardown } from "../test/support/postgres.ts";
import { startProcess } from "../test/support/process.ts";
import { findProgram } from "../test/support/programs.ts";
import { compare, report } from "./compare.ts";
import { recordStatement } from "./statement.ts";

// RefreshToken against pgbench, which runs the same UPDATE on the same server. Counted is the processor time of all that
// takes part: of the service and PostgreSQL, or of pgbench and PostgreSQL. Who calls the service is not counted.

const SESSIONS = 400;
const CLIENTS = 8;
const REFRESHES = 4_000;
const ROUNDS = 7;
const PASSWORD = "correct horse battery";

const pgbench = findProgram("pgbench");
if (!pgbench) throw new Error("pgbench is not installed (Debian: apt-get install postgresql-contrib)");

await mochaGlobalSetup();
const database = await createTestDatabase();
const { connection } = database;
const service = await startProcess(database, {
  ...{ EMAIL_CONFIRMATION: "optional", RATE_LIMITS: "off" },
});
