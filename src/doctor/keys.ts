import { existsSync, statSync } from "node:fs";
import { createKeyWrapping, WrongSecretKey } from "../auth/key-wrapping.ts";
import { findMissingPurposes } from "../auth/keys.ts";
import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import type { StoredKey } from "../db/keys.ts";
import { developmentSecretIn, readDevelopmentSecret } from "../development-secret.ts";
import { failed, ok, type Verdict, warning } from "./check.ts";

/** Opens the keys in the database by SECRET_KEY, or by the file that stands in for it in development. */
export async function checkKeys(db: Database, config: Config): Promise<Verdict> {
  const { secretKey, dataDir } = config;
  const stored = await db.readOnly(({ keys }) => keys.list());
  if (stored.length === 0) return ok("none yet: the first start makes them");
  const file = developmentSecretIn(dataDir);
  if (!secretKey && !existsSync(file))
    return failed(
      `${stored.length} in the database, and neither SECRET_KEY nor ${file} to open them`,
      "Start with the SECRET_KEY that they were made with. If it is lost, no password or session can be checked any more.",
    );
  try {
    const wrapping = createKeyWrapping(secretKey ?? readDevelopmentSecret(file), config.secretKeyPrevious);
    const missing = findMissing(stored, config.jwtAlgorithm, findMissingPurposes(stored, wrapping));
    if (missing.length > 0) return warning(`none yet for ${missing.join(", ")}`, "The next start makes them.");
  } catch (error) {
    if (!(error instanceof WrongSecretKey)) throw error;
    return failed(
      `${secretKey ? "SECRET_KEY" : file} does not open the ${stored.length} in the database`,
      error.message,
    );
  }
  if (!secretKey && statSync(file).mode & 0o077)
    return warning(`${file} can be read by others than its owner`, `chmod 600 ${file}`);
  return ok(`${secretKey ? "SECRET_KEY" : file} opens all ${stored.length}`);
}

function findMissing(stored: readonly StoredKey[], alg: Config["jwtAlgorithm"], missing: readonly string[]): string[] {
  const canSign = alg === "HS256" || stored.some((key) => key.alg === alg && key.retireAt === null);
  return canSign ? [...missing] : [...missing, `${alg} signatures`];
}
