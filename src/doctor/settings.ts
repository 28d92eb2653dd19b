import { type Config, ConfigError } from "../config.ts";
import { parseConnection } from "../db/connection.ts";
import { failed, firstLine, ok, type Verdict, warning } from "./check.ts";

/** Reads the settings; null when they are at fault. */
export function readSettings(readConfig: () => Config): { config: Config | null; verdict: Verdict } {
  try {
    const config = readConfig();
    return { config, verdict: judgeSettings(config) };
  } catch (error) {
    if (!(error instanceof ConfigError)) return { config: null, verdict: failed(firstLine(error)) };
    const names = [...new Set(error.faults.map((fault) => fault.split(" ", 1)[0]))];
    return { config: null, verdict: failed(`at fault: ${names.join(", ")}`, ...error.faults) };
  }
}

const HOUR = 3_600_000;
const FEW_CHARACTERS = 12;
const HERE = /^(localhost|127\..*|\[?::1\]?|\/.*)$/;

function judgeSettings(config: Config): Verdict {
  const advice = config.production ? adviseProduction(config) : adviseDevelopment(config);
  const finding = `understood, for ${config.production ? "production" : "development"}`;
  return advice.length > 0 ? warning(finding, ...advice) : ok(finding);
}

function adviseProduction(config: Config): string[] {
  const { databaseUrl, secretKey } = config;
  const connection = databaseUrl && parseConnection(databaseUrl.reveal());
  const reasons: readonly (readonly [boolean, string])[] = [
    [
      config.accessTokenTtl > HOUR,
      "ACCESS_TOKEN_TTL is more than an hour, for which others may believe a token that has ended: 15m is advised.",
    ],
    [config.bcryptCost < 12, "BCRYPT_COST is below 12: see the check of hashing for what this machine can bear."],
    [
      secretKey !== null && new Set(secretKey.reveal()).size < FEW_CHARACTERS,
      "SECRET_KEY is made of few different characters. A better one: `openssl rand -base64 48`, before there are accounts.",
    ],
    [HERE.test(new URL(config.publicUrl).hostname), "PUBLIC_URL is this machine: links in mails lead nowhere."],
    [
      connection !== null && !connection.ssl && !HERE.test(connection.host),
      "DATABASE_URL asks for no TLS: passwords' hashes cross the network in clear. Add ?sslmode=verify-full.",
    ],
    [config.debug, "DEBUG is on: the log grows with every call."],
    [config.logLevel === "silent", "LOG_LEVEL is silent: nobody will learn of failures."],
  ];
  return reasons.filter(([applies]) => applies).map(([, reason]) => reason);
}

function adviseDevelopment({ publicUrl }: Config): string[] {
  const { protocol, hostname } = new URL(publicUrl);
  return protocol === "https:" && !HERE.test(hostname)
    ? [
        "PUBLIC_URL is a public one, without NODE_ENV=production: anybody can read /dev/mailbox, unless SMTP_URL is set.",
      ]
    : [];
}
