import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSecret, type Secret } from "./secret.ts";

/** The file of a development machine's SECRET_KEY. */
export function developmentSecretIn(dataDir: string): string {
  return join(dataDir, "secret-key");
}

/** The SECRET_KEY of a development machine: made once and kept in DATA_DIR, readable by its owner only. */
export function loadDevelopmentSecret(dataDir: string): Secret {
  const file = developmentSecretIn(dataDir);
  const draft = `${file}.${process.pid}`;
  mkdirSync(dataDir, { recursive: true });
  try {
    writeFileSync(draft, randomBytes(48).toString("base64"), { mode: 0o600 });
    // Of several processes that start at once the first one's key counts, and is whole when it appears.
    linkSync(draft, file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  return readDevelopmentSecret(file);
}

/** Reads such a file. */
export function readDevelopmentSecret(file: string): Secret {
  return createSecret(readFileSync(file, "utf8").trim());
}
