import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSecret, type Secret } from "./secret.ts";

const SECRET_BYTES = 48;
const LEAST_BYTES = 32;

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
    writeFileSync(draft, randomBytes(SECRET_BYTES).toString("base64"), { mode: 0o600 });
    // Of several processes that start at once the first one's key counts, and is whole when it appears.
    linkSync(draft, file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  return readDevelopmentSecret(file);
}

/** The secret in such a file; throws when it holds too little, which would wrap keys with nothing. */
export function readDevelopmentSecret(file: string): Secret {
  const text = readFileSync(file, "utf8").trim();
  if (Buffer.byteLength(text) < LEAST_BYTES)
    throw new Error(`${file} does not hold a key: restore it, or remove it together with the database`);
  return createSecret(text);
}
