import { existsSync, statSync } from "node:fs";
import { createKeyWrapping, WrongSecretKey } from "../auth/key-wrapping.ts";
import { findMissingPurposes, type OpenedKey, openKeys } from "../auth/keys.ts";
import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import type { StoredKey } from "../db/keys.ts";
import { developmentSecretIn, readDevelopmentSecret } from "../development-secret.ts";
import { failed, ok, type Verdict, warning } from "./check.ts";

/** Opens the keys in the database by SECRET_KEY, or by the file that stands in for it in development. */
export async function checkKeys(db: Database, config: Config): Promise<Verdict> {
  const { secretKey, secretKeyPrevious, dataDir } = config;
  const stored = await db.readOnly(({ keys }) => keys.list());
  if (stored.length === 0) return ok("none yet: the first start makes them");
  const file = developmentSecretIn(dataDir);
  if (!secretKey && !existsSync(file))
    return failed(
      `${stored.length} in the database, and neither SECRET_KEY nor ${file} to open them`,
      "Start with the SECRET_KEY that they were made with. If it is lost, no password or session can be checked any more.",
    );
  const name = secretKey ? "SECRET_KEY" : file;
  try {
    const wrapping = createKeyWrapping(secretKey ?? readDevelopmentSecret(file), secretKeyPrevious);
    return judgeKeys(stored, openKeys(stored, wrapping), config, name);
  } catch (error) {
    if (!(error instanceof WrongSecretKey)) throw error;
    return failed(`${name} does not open the ${stored.length} in the database`, error.message);
  }
}

/** Judges what a secret of this name opened of the keys in the database. */
function judgeKeys(stored: readonly StoredKey[], opened: readonly OpenedKey[], config: Config, name: string): Verdict {
  const advice = [
    ...adviseClosed(stored, opened),
    ...adviseMissing(opened, config.jwtAlgorithm),
    ...advisePrevious(opened),
    ...adviseMode(name, config),
  ];
  const share = opened.length === stored.length ? "all" : `${opened.length} of`;
  const finding = `${name} opens ${share} ${stored.length}; access tokens are signed by ${config.jwtAlgorithm}`;
  return advice.length > 0 ? warning(finding, ...advice) : ok(finding);
}

function adviseClosed(stored: readonly StoredKey[], opened: readonly OpenedKey[]): string[] {
  const closed = stored.filter(({ id }) => !opened.some((key) => key.id === id));
  return closed.map(
    ({ id, retireAt }) =>
      `Signing key ${id} was made under another SECRET_KEY: name that in SECRET_KEY_PREVIOUS, or run ` +
      `\`latchkey keys retire ${id}\`${retireAt ? `; it is over on ${retireAt.toISOString()}` : ""}.`,
  );
}

function adviseMissing(opened: readonly OpenedKey[], alg: Config["jwtAlgorithm"]): string[] {
  const signs = alg === "HS256" || opened.some((key) => key.alg === alg);
  const missing = [...findMissingPurposes(opened), ...(signs ? [] : [`${alg} signatures`])];
  return missing.length > 0 ? [`There is none yet for ${missing.join(", ")}: the next start makes it.`] : [];
}

function advisePrevious(opened: readonly OpenedKey[]): string[] {
  const outdated = opened.filter(({ isOutdated }) => isOutdated).length;
  return outdated > 0
    ? [`SECRET_KEY_PREVIOUS is needed for ${outdated} of them, until the next start wraps them anew.`]
    : [];
}

function adviseMode(name: string, { secretKey }: Config): string[] {
  const isOpen = !secretKey && (statSync(name).mode & 0o077) !== 0;
  return isOpen ? [`${name} can be read by others than its owner: chmod 600 ${name}`] : [];
}
