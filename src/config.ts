import { resolve } from "node:path";
import { LOG_LEVELS, type LogLevel } from "./log.ts";
import { parseRateLimits, RATE_LIMIT_DEFAULTS, type RateLimits } from "./rate-limits.ts";
import { createSecret, type Secret } from "./secret.ts";
import { contradictions, missingSettings, TLS_SETTINGS } from "./setting-conflicts.ts";
import {
  FaultyValue,
  parseAddressBlocks,
  parseBoolean,
  parseDuration,
  parseHost,
  parseInteger,
  parseMailbox,
  parseOneOf,
  parseOrigins,
  parseSecretKey,
  parseSecretKeys,
  parseUrl,
} from "./setting-values.ts";

/** Paths of the PEM files of TLS. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Authorities of clients; null: nobody is asked for a certificate. */
  readonly clientCa: string | null;
}

/** Everything a process is told, checked and frozen. Times are in milliseconds. */
export interface Config {
  readonly production: boolean;
  /** null: the embedded database under `dataDir`. */
  readonly databaseUrl: Secret | null;
  readonly databasePoolSize: number;
  readonly dataDir: string;
  /** null: a key made once and kept in `dataDir`. */
  readonly secretKey: Secret | null;
  /** They open keys that were wrapped with an earlier SECRET_KEY. */
  readonly secretKeyPrevious: readonly Secret[];
  readonly jwtAlgorithm: (typeof JWT_ALGORITHMS)[number];
  /** Shared with backends that check HS256 themselves. */
  readonly jwtSecret: Secret | null;
  readonly signingKeyMaxAge: number;
  readonly jwtIssuer: string;
  readonly jwtAudience: string;
  readonly debug: boolean;
  readonly logLevel: LogLevel;
  readonly host: string;
  readonly grpcPort: number;
  readonly httpPort: number;
  /** 0: metrics are not served. */
  readonly metricsPort: number;
  /** Without a slash at its end: the only source of links. */
  readonly publicUrl: string;
  /** Origins whose pages may call from a browser. */
  readonly corsOrigins: readonly string[];
  /** Addresses and CIDR blocks whose `x-forwarded-for` is believed. */
  readonly trustedProxies: readonly string[];
  /** null: both listeners speak plain text. */
  readonly tls: TlsFiles | null;
  readonly accessTokenTtl: number;
  readonly refreshTokenTtl: number;
  readonly sessionMaxAge: number;
  readonly fixedRefreshTokens: boolean;
  readonly refreshGrace: number;
  readonly bcryptCost: number;
  readonly passwordMinLength: number;
  readonly emailConfirmation: "required" | "optional";
  /** Whether strangers are told that an address has an account. */
  readonly accountDisclosure: "documented" | "hidden";
  /** null: none are in force. */
  readonly rateLimits: RateLimits | null;
  /** null: the development mailbox. */
  readonly smtpUrl: Secret | null;
  readonly mailFrom: string;
  readonly auditRetention: number;
}

/** Every setting with its default as it would be written in the environment; null: none. `.env.example` tells the same. */
export const SETTING_DEFAULTS = {
  DATABASE_URL: null,
  DATABASE_POOL_SIZE: "10",
  DATA_DIR: "./data",
  SECRET_KEY: null,
  SECRET_KEY_PREVIOUS: null,
  JWT_ALGORITHM: "ES256",
  JWT_SECRET: null,
  SIGNING_KEY_MAX_AGE: "30d",
  JWT_ISSUER: null,
  JWT_AUDIENCE: "latchkey",
  DEBUG: "false",
  LOG_LEVEL: "info",
  HOST: "127.0.0.1",
  GRPC_PORT: "50051",
  HTTP_PORT: "8080",
  METRICS_PORT: "9464",
  PUBLIC_URL: null,
  CORS_ORIGINS: null,
  TRUSTED_PROXIES: null,
  TLS_CERT: null,
  TLS_KEY: null,
  TLS_CLIENT_CA: null,
  ACCESS_TOKEN_TTL: "24h",
  REFRESH_TOKEN_TTL: "30d",
  SESSION_MAX_AGE: "180d",
  FIXED_REFRESH_TOKENS: "true",
  REFRESH_GRACE: "30s",
  BCRYPT_COST: "12",
  PASSWORD_MIN_LENGTH: "8",
  EMAIL_CONFIRMATION: "required",
  ACCOUNT_DISCLOSURE: "documented",
  ...RATE_LIMIT_DEFAULTS,
  SMTP_URL: null,
  MAIL_FROM: null,
  AUDIT_RETENTION: "400d",
} as const satisfies Record<string, string | null>;

type Setting = keyof typeof SETTING_DEFAULTS;
type WithDefault = { [K in Setting]: (typeof SETTING_DEFAULTS)[K] extends null ? never : K }[Setting];

/** The environment does not say how to run: names every faulty setting at once, never a value. */
export class ConfigError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`Settings are at fault:\n${faults.map((fault) => `  ${fault}`).join("\n")}`);
    this.name = "ConfigError";
    this.faults = faults;
  }
}

/** Values of NODE_ENV: a misspelt one would open the development mailbox to everybody. */
const MODES: readonly (string | undefined)[] = [undefined, "development", "test", "production"];
const JWT_ALGORITHMS = ["ES256", "RS256", "PS256", "HS256"] as const;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
const YEAR = 366 * DAY;
const MAX_NAME = 256;
const POSTGRES = ["postgres:", "postgresql:"];

/** Reads the settings from an environment. Names that no setting has are ignored. Throws ConfigError. */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const faults: string[] = [];
  const production = env.NODE_ENV === "production";
  if (!MODES.includes(env.NODE_ENV)) faults.push("NODE_ENV must be production or development, or test");
  const attempt = <T>(name: Setting, text: string, parse: (text: string) => T, fallback: T): T => {
    try {
      if (text.trim() === "") throw new FaultyValue("is empty: give a value or remove it");
      return parse(text);
    } catch (error) {
      if (!(error instanceof FaultyValue)) throw error;
      faults.push(`${name} ${error.message}`);
      return fallback;
    }
  };
  const optional = <T>(name: Setting, parse: (text: string) => T): T | null =>
    env[name] === undefined ? null : attempt<T | null>(name, env[name], parse, null);
  const withDefault = <T>(name: WithDefault, parse: (text: string) => T): T =>
    attempt(name, env[name] ?? SETTING_DEFAULTS[name], parse, parse(SETTING_DEFAULTS[name]));
  const integer = (name: WithDefault, least: number, most: number) => withDefault(name, parseInteger(least, most));
  const duration = (name: WithDefault, least: number, most: number) => withDefault(name, parseDuration(least, most));

  const httpPort = integer("HTTP_PORT", 0, 65535);
  const [cert, key, clientCa] = TLS_SETTINGS.map((name) => optional(name, (path) => resolve(path)));
  const tls = cert && key ? { cert, key, clientCa: clientCa ?? null } : null;
  const publicUrl =
    optional("PUBLIC_URL", parsePublicUrl(production)) ?? `${tls ? "https" : "http"}://localhost:${httpPort}`;
  const config: Config = {
    production,
    databaseUrl: optional("DATABASE_URL", (text) => createSecret(parseUrl(POSTGRES, { hostless: true })(text))),
    databasePoolSize: integer("DATABASE_POOL_SIZE", 2, 1000),
    dataDir: resolve(withDefault("DATA_DIR", (text) => text)),
    secretKey: optional("SECRET_KEY", parseSecretKey),
    secretKeyPrevious: optional("SECRET_KEY_PREVIOUS", parseSecretKeys) ?? [],
    jwtAlgorithm: withDefault("JWT_ALGORITHM", parseOneOf(JWT_ALGORITHMS)),
    jwtSecret: optional("JWT_SECRET", parseSecretKey),
    signingKeyMaxAge: duration("SIGNING_KEY_MAX_AGE", 60 * MINUTE, 10 * YEAR),
    jwtIssuer: optional("JWT_ISSUER", parseName) ?? publicUrl,
    jwtAudience: withDefault("JWT_AUDIENCE", parseName),
    debug: withDefault("DEBUG", parseBoolean),
    logLevel: withDefault("LOG_LEVEL", parseOneOf(LOG_LEVELS)),
    host: withDefault("HOST", parseHost),
    grpcPort: integer("GRPC_PORT", 0, 65535),
    httpPort,
    metricsPort: integer("METRICS_PORT", 0, 65535),
    publicUrl,
    corsOrigins: optional("CORS_ORIGINS", parseOrigins) ?? [],
    trustedProxies: optional("TRUSTED_PROXIES", parseAddressBlocks) ?? [],
    tls,
    accessTokenTtl: duration("ACCESS_TOKEN_TTL", 10 * SECOND, YEAR),
    refreshTokenTtl: duration("REFRESH_TOKEN_TTL", MINUTE, 10 * YEAR),
    sessionMaxAge: duration("SESSION_MAX_AGE", MINUTE, 10 * YEAR),
    fixedRefreshTokens: withDefault("FIXED_REFRESH_TOKENS", parseBoolean),
    refreshGrace: duration("REFRESH_GRACE", 0, 10 * MINUTE),
    bcryptCost: integer("BCRYPT_COST", 10, 15),
    passwordMinLength: integer("PASSWORD_MIN_LENGTH", 8, 256),
    emailConfirmation: withDefault("EMAIL_CONFIRMATION", parseOneOf(["required", "optional"])),
    accountDisclosure: withDefault("ACCOUNT_DISCLOSURE", parseOneOf(["documented", "hidden"])),
    rateLimits: parseRateLimits(withDefault, production),
    smtpUrl: optional("SMTP_URL", (text) => createSecret(parseUrl(["smtp:", "smtps:"])(text))),
    mailFrom: optional("MAIL_FROM", parseMailbox) ?? `Latchkey <no-reply@${new URL(publicUrl).hostname}>`,
    auditRetention: duration("AUDIT_RETENTION", DAY, 100 * YEAR),
  };
  faults.push(...missingSettings(env, production), ...contradictions(config, env));
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(config);
}

function parsePublicUrl(production: boolean): (text: string) => string {
  return (text) => {
    const url = new URL(parseUrl(production ? ["https:"] : ["http:", "https:"])(text));
    if (/[?#]/.test(text) || url.username || url.password)
      throw new FaultyValue("must be a plain origin with an optional path");
    return parseName(url.href.replace(/\/+$/, ""));
  };
}

// Both are in every access token, whose length is bounded.
function parseName(text: string): string {
  if (text.length > MAX_NAME) throw new FaultyValue(`must be at most ${MAX_NAME} characters`);
  return text;
}
