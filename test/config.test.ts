import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { format, inspect, parseEnv } from "node:util";
import { expect } from "chai";
import { type Config, ConfigError, parseConfig, SETTING_DEFAULTS } from "../src/config.ts";
import { type Environment, readEnvironment } from "../src/environment.ts";
import { runSource } from "./support/commands.ts";

type Setting = keyof typeof SETTING_DEFAULTS;

const SETTINGS = Object.keys(SETTING_DEFAULTS) as Setting[];
const STRONG_KEY = "kD8v0mYw2Zq5nT1xR7bH4cJ9sL3fG6pA";
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** Values that no setting of the name may have, beside empty ones. */
const WRONG: Record<Setting, readonly string[]> = {
  DATABASE_URL: [
    "mysql://latchkey:canary@db/latchkey",
    "db.example.com",
    "postgres:db",
    "postgres://u:100%canary@db/x",
  ],
  DATABASE_POOL_SIZE: ["ten", "1", "1001", "10.5", "-10", "1e2", " 10"],
  DATA_DIR: [],
  SECRET_KEY: ["canary-of-31-bytes-is-too-short", "canarycanarycanarycanarycanarycanary"],
  SECRET_KEY_PREVIOUS: ["canary-of-31-bytes-is-too-short", `${STRONG_KEY},`, "canarycanarycanarycanarycanarycanary"],
  JWT_ALGORITHM: ["RS512", "none", "es256"],
  JWT_SECRET: ["canary-of-31-bytes-is-too-short", "canarycanarycanarycanarycanarycanary"],
  SIGNING_KEY_MAX_AGE: ["30", "59m", "never"],
  JWT_ISSUER: [],
  JWT_AUDIENCE: [],
  DEBUG: ["yes", "1", "TRUE"],
  LOG_LEVEL: ["verbose", "INFO"],
  HOST: ["http://localhost", "256.0.0.1", "local host", "*"],
  GRPC_PORT: ["grpc", "65536", "-1", "0x50"],
  HTTP_PORT: ["http", "65536", "80.0"],
  METRICS_PORT: ["off", "65536", "-1"],
  PUBLIC_URL: [
    "auth.example.com",
    "http:auth",
    "ftp://auth.example.com",
    "https://a.example?",
    "https://me:canary@a.example",
  ],
  TRUSTED_PROXIES: [
    "*",
    "proxy.example",
    "10.0.0.0/33",
    "10.9.0.0/8,",
    "10.0.0/8",
    "::/129",
    "fe80::1%eth0",
    "10.0.0.1-9",
  ],
  CORS_ORIGINS: [
    "*",
    "null",
    "canary.example",
    "https://*.canary.example",
    "https://a.example/",
    "https://a.example/canary",
    "https://a.example?canary",
    "https://a.example#canary",
    "https://me:canary@a.example",
    "https://a.example:99999",
    "https://a.example,",
    "https://a.example https://b.example",
    "https://a.example;https://b.example",
    "https:a.example",
    "ftp://a.example",
  ],
  TLS_CERT: [],
  TLS_KEY: [],
  TLS_CLIENT_CA: [],
  ACCESS_TOKEN_TTL: ["24", "9s", "367d", "1.5h", "1h30m", "-1h"],
  REFRESH_TOKEN_TTL: ["month", "59s", "30D"],
  SESSION_MAX_AGE: ["180", "0d", "99999d"],
  FIXED_REFRESH_TOKENS: ["on", "0"],
  REFRESH_GRACE: ["30", "11m", "30 s"],
  BCRYPT_COST: ["9", "16", "twelve"],
  PASSWORD_MIN_LENGTH: ["7", "257", "eight"],
  EMAIL_CONFIRMATION: ["none", "true"],
  ACCOUNT_DISCLOSURE: ["true", "Hidden"],
  RATE_LIMITS: ["false", "ON"],
  FAILURES_PER_ACCOUNT: ["20", "101/15m", "0/15m", "20/59s", "20/25h", "20 / 15m", "20/15"],
  FREE_FAILURES: ["0", "101", "five"],
  FAILURE_DELAY: ["1", "99ms", "61s"],
  FAILURE_DELAY_MAX: ["60", "999ms", "61m"],
  FAILURES_PER_ADDRESS: ["1001/15m", "20/30s"],
  SIGN_UPS_PER_ADDRESS: ["0/1h", "10/999ms"],
  MAILS_PER_ADDRESS: ["none", "1001/1h"],
  MAILS_PER_RECIPIENT: ["101/1h", "5/59s"],
  MAIL_BURST_PER_RECIPIENT: ["3/m", "3"],
  SMTP_URL: ["mail.example.com:25", "http://canary@mail.example.com", "smtp://", "smtp:mail"],
  MAIL_FROM: ["Latchkey", "Latchkey <nobody>", "a@example.com, b@example.com", "A\r\nBcc: x <a@example.com>"],
  AUDIT_RETENTION: ["400", "23h", "never"],
};

/** Whatever wrong value a setting has first. */
const ALL_WRONG = Object.fromEntries(SETTINGS.map((name) => [name, WRONG[name][0] ?? ""]));

const PRODUCTION = {
  NODE_ENV: "production",
  DATABASE_URL: "postgres://latchkey@db/latchkey",
  SECRET_KEY: STRONG_KEY,
  SMTP_URL: "smtps://mail.example.com",
  MAIL_FROM: "no-reply@example.com",
  PUBLIC_URL: "https://auth.example.com",
};

describe("settings", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "latchkey-test-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  function makeFolder(name: string, dotEnv?: string): string {
    const made = join(folder, name);
    mkdirSync(made);
    if (dotEnv !== undefined) writeFileSync(join(made, ".env"), dotEnv);
    return made;
  }

  it("have defaults that run on a development machine", () => {
    expect(parseConfig({})).to.deep.equal({
      ...{ production: false, databaseUrl: null, databasePoolSize: 10, dataDir: resolve("data"), secretKey: null },
      ...{ secretKeyPrevious: [], jwtSecret: null, signingKeyMaxAge: 30 * DAY },
      ...{ jwtAlgorithm: "ES256", jwtIssuer: "http://localhost:8080", jwtAudience: "latchkey" },
      ...{ debug: false, logLevel: "info" },
      ...{ host: "127.0.0.1", grpcPort: 50051, httpPort: 8080, metricsPort: 9464 },
      ...{ publicUrl: "http://localhost:8080" },
      ...{ corsOrigins: [], trustedProxies: [], tls: null },
      ...{ accessTokenTtl: DAY, refreshTokenTtl: 30 * DAY, sessionMaxAge: 180 * DAY },
      ...{ fixedRefreshTokens: true, refreshGrace: 30_000, bcryptCost: 12, passwordMinLength: 8 },
      ...{
        emailConfirmation: "required",
        accountDisclosure: "documented",
        smtpUrl: null,
        mailFrom: "Latchkey <no-reply@localhost>",
      },
      rateLimits: {
        failuresPerAccount: { most: 20, perMs: 15 * MINUTE },
        ...{ freeFailures: 5, failureDelay: 1_000, failureDelayMax: MINUTE },
        failuresPerAddress: { most: 20, perMs: 15 * MINUTE },
        signUpsPerAddress: { most: 10, perMs: 60 * MINUTE },
        mailsPerAddress: { most: 20, perMs: 60 * MINUTE },
        mailsPerRecipient: { most: 5, perMs: 60 * MINUTE },
        mailBurstPerRecipient: { most: 3, perMs: MINUTE },
      },
      auditRetention: 400 * DAY,
    } satisfies Config);
  });

  it("are not for a mode that is misspelt, which would open what only development has", () => {
    for (const NODE_ENV of ["prod", "Production", ""])
      expect(() => parseConfig({ NODE_ENV })).to.throw(
        ConfigError,
        "NODE_ENV must be production or development, or test",
      );
    for (const NODE_ENV of ["development", "test"]) expect(parseConfig({ NODE_ENV }).production).to.equal(false);
  });

  it("are each read from the environment, and frozen", () => {
    const { databaseUrl, secretKey, secretKeyPrevious, jwtSecret, smtpUrl, ...config } = parseConfig({
      ...{ DATABASE_URL: "postgresql://u:p@db:5433/accounts", DATABASE_POOL_SIZE: "25", DATA_DIR: "/srv/latchkey" },
      ...{ SECRET_KEY: STRONG_KEY, SECRET_KEY_PREVIOUS: `${STRONG_KEY}1, ${STRONG_KEY}2` },
      ...{
        JWT_SECRET: `${STRONG_KEY}3`,
        SIGNING_KEY_MAX_AGE: "7d",
        JWT_ALGORITHM: "PS256",
        JWT_ISSUER: "issuer",
        JWT_AUDIENCE: "audience",
      },
      ...{ DEBUG: "true", LOG_LEVEL: "warn", HOST: "::", GRPC_PORT: "0", HTTP_PORT: "0", METRICS_PORT: "0" },
      ...{ TRUSTED_PROXIES: "10.0.0.0/8, 2001:db8::1" },
      ...{ CORS_ORIGINS: "https://App.Example:443, http://localhost:5173", TLS_CERT: "/tls.crt", TLS_KEY: "/tls.key" },
      ...{
        TLS_CLIENT_CA: "/clients.crt",
        PUBLIC_URL: "https://Example.com/sign-in/",
        ACCESS_TOKEN_TTL: "15m",
        REFRESH_TOKEN_TTL: "90000ms",
      },
      ...{ SESSION_MAX_AGE: "48h", FIXED_REFRESH_TOKENS: "false", REFRESH_GRACE: "0s", BCRYPT_COST: "10" },
      ...{ PASSWORD_MIN_LENGTH: "256", EMAIL_CONFIRMATION: "optional", SMTP_URL: "smtp://u:p%40q@mail:2525" },
      ...{ MAIL_FROM: '"Latchkey, Inc." <no-reply@example.com>', AUDIT_RETENTION: "24h" },
      ...{ FAILURES_PER_ACCOUNT: "10/1h", FREE_FAILURES: "3", FAILURE_DELAY: "500ms", FAILURE_DELAY_MAX: "5m" },
      ...{ FAILURES_PER_ADDRESS: "1000/1m", SIGN_UPS_PER_ADDRESS: "1/24h", MAILS_PER_ADDRESS: "100/1d" },
      ...{ MAILS_PER_RECIPIENT: "2/30m", MAIL_BURST_PER_RECIPIENT: "1/10s" },
    });
    expect(
      [databaseUrl, secretKey, ...secretKeyPrevious, jwtSecret, smtpUrl].map((secret) => secret?.reveal()),
    ).to.deep.equal([
      "postgresql://u:p@db:5433/accounts",
      ...["", "1", "2", "3"].map((suffix) => `${STRONG_KEY}${suffix}`),
      "smtp://u:p%40q@mail:2525",
    ]);
    expect(config).to.deep.equal({
      ...{ production: false, databasePoolSize: 25, dataDir: "/srv/latchkey" },
      ...{ trustedProxies: ["10.0.0.0/8", "2001:db8::1"] },
      ...{
        signingKeyMaxAge: 7 * DAY,
        jwtAlgorithm: "PS256",
        jwtIssuer: "issuer",
        jwtAudience: "audience",
        debug: true,
        logLevel: "warn",
      },
      ...{ host: "::", grpcPort: 0, httpPort: 0, metricsPort: 0, publicUrl: "https://example.com/sign-in" },
      ...{ corsOrigins: ["https://app.example", "http://localhost:5173"] },
      ...{ tls: { cert: "/tls.crt", key: "/tls.key", clientCa: "/clients.crt" } },
      ...{ accessTokenTtl: 900_000, refreshTokenTtl: 90_000, sessionMaxAge: 2 * DAY, fixedRefreshTokens: false },
      ...{
        refreshGrace: 0,
        bcryptCost: 10,
        passwordMinLength: 256,
        emailConfirmation: "optional",
        accountDisclosure: "documented",
      },
      ...{ mailFrom: '"Latchkey, Inc." <no-reply@example.com>', auditRetention: DAY },
      rateLimits: {
        failuresPerAccount: { most: 10, perMs: 60 * MINUTE },
        ...{ freeFailures: 3, failureDelay: 500, failureDelayMax: 5 * MINUTE },
        failuresPerAddress: { most: 1000, perMs: MINUTE },
        signUpsPerAddress: { most: 1, perMs: DAY },
        mailsPerAddress: { most: 100, perMs: DAY },
        mailsPerRecipient: { most: 2, perMs: 30 * MINUTE },
        mailBurstPerRecipient: { most: 1, perMs: 10_000 },
      },
    });
    expect(Object.isFrozen(parseConfig({}))).to.equal(true);
  });

  it("take issuer and links from the port and the public address unless told otherwise", () => {
    expect(parseConfig({ HTTP_PORT: "9000" })).to.include({
      publicUrl: "http://localhost:9000",
      jwtIssuer: "http://localhost:9000",
    });
    expect(parseConfig({ PUBLIC_URL: "https://a.example" })).to.include({ jwtIssuer: "https://a.example" });
  });

  it("take a public address of https where there is TLS", () => {
    const config = parseConfig({ TLS_CERT: "tls.crt", TLS_KEY: "tls.key", HTTP_PORT: "8443" });
    expect(config).to.include({ publicUrl: "https://localhost:8443", jwtIssuer: "https://localhost:8443" });
    expect(config.tls).to.deep.equal({ cert: resolve("tls.crt"), key: resolve("tls.key"), clientCa: null });
  });

  it("name what is missing of TLS, which is whole or not there", () => {
    expect(faultsOf({ TLS_CERT: "a" })).to.deep.equal(["TLS_CERT needs TLS_KEY beside it"]);
    expect(faultsOf({ TLS_KEY: "a" })).to.deep.equal(["TLS_KEY needs TLS_CERT beside it"]);
    expect(faultsOf({ TLS_CLIENT_CA: "a" })).to.deep.equal(["TLS_CLIENT_CA needs TLS_CERT and TLS_KEY beside it"]);
    expect(faultsOf({ TLS_CLIENT_CA: "a", TLS_KEY: "b" })).to.deep.equal(["TLS_KEY needs TLS_CERT beside it"]);
    expect(faultsOf({ TLS_CERT: "a", TLS_KEY: "" })).to.have.lengthOf(1);
  });

  it("take origins as browsers write them, each once", () => {
    const origins = "https://b\u00fccher.example,HTTPS://A.EXAMPLE , http://[::1]:3000,https://a.example:443";
    expect(parseConfig({ CORS_ORIGINS: origins }).corsOrigins).to.deep.equal([
      "https://xn--bcher-kva.example",
      "https://a.example",
      "http://[::1]:3000",
    ]);
  });

  for (const name of SETTINGS) {
    it(`name ${name} when it is empty, malformed or weak, and keep its value to themselves`, () => {
      for (const value of ["", "  ", ...WRONG[name]]) {
        const faults = faultsOf({ [name]: value });
        expect(faults, inspect(value)).to.have.lengthOf(1);
        expect(faults[0], inspect(value)).to.match(new RegExp(`^${name} [a-z]`));
        if (value.trim().length > 8) expect(faults[0]).to.not.include(value);
        expect(faults[0]).to.not.include("canary");
      }
    });
  }

  it("name a port that is two listeners'", () => {
    expect(faultsOf({ GRPC_PORT: "8080" }).join()).to.match(/^GRPC_PORT [^,]+$/);
    expect(faultsOf({ HTTP_PORT: "50051" }).join()).to.match(/^HTTP_PORT [^,]+$/);
    expect(faultsOf({ METRICS_PORT: "8080" }).join()).to.match(/^METRICS_PORT [^,]+$/);
    expect(faultsOf({ GRPC_PORT: "0", HTTP_PORT: "0", METRICS_PORT: "0" })).to.deep.equal([]);
  });

  it("refuse to hide accounts where a sign-up signs in", () => {
    const hidden = { ACCOUNT_DISCLOSURE: "hidden" };
    expect(parseConfig(hidden)).to.include({ accountDisclosure: "hidden", emailConfirmation: "required" });
    expect(faultsOf({ ...hidden, EMAIL_CONFIRMATION: "optional" })).to.deep.equal([
      "ACCOUNT_DISCLOSURE cannot be hidden with EMAIL_CONFIRMATION=optional",
    ]);
  });

  it("ask for JWT_SECRET with JWT_ALGORITHM=HS256, and take one beside any other algorithm", () => {
    expect(faultsOf({ JWT_ALGORITHM: "HS256" })).to.deep.equal(["JWT_SECRET is required with JWT_ALGORITHM=HS256"]);
    for (const JWT_ALGORITHM of ["HS256", "ES256"]) {
      const { jwtAlgorithm, jwtSecret } = parseConfig({ JWT_ALGORITHM, JWT_SECRET: STRONG_KEY });
      expect([jwtAlgorithm, jwtSecret?.reveal()]).to.deep.equal([JWT_ALGORITHM, STRONG_KEY]);
    }
  });

  it("know earlier keys by their commas, and one key that holds commas itself", () => {
    const read = (text: string) =>
      parseConfig({ SECRET_KEY_PREVIOUS: text }).secretKeyPrevious.map((key) => key.reveal());
    expect(read(`${STRONG_KEY}1,${STRONG_KEY}2 , ${STRONG_KEY}3`)).to.deep.equal(
      ["1", "2", "3"].map((suffix) => `${STRONG_KEY}${suffix}`),
    );
    expect(read("one key, which holds a comma and spaces")).to.deep.equal(["one key, which holds a comma and spaces"]);
    for (const text of [`${STRONG_KEY},`, `,${STRONG_KEY}`, `${STRONG_KEY}, ,${STRONG_KEY}`, "too short, both"])
      expect(faultsOf({ SECRET_KEY_PREVIOUS: text }), text).to.have.lengthOf(1);
  });

  it("send mail from the public host unless told otherwise", () => {
    const { mailFrom } = parseConfig({ PUBLIC_URL: "https://auth.example.com", SMTP_URL: "smtp://mail" });
    expect(mailFrom).to.equal("Latchkey <no-reply@auth.example.com>");
  });

  it("name in production what is missing there, each alone and all together", () => {
    expect(faultsOf(PRODUCTION)).to.deep.equal([]);
    expect(parseConfig(PRODUCTION).production).to.equal(true);
    for (const name of ["DATABASE_URL", "SECRET_KEY", "SMTP_URL", "PUBLIC_URL"] as const) {
      const { [name]: _, ...rest } = PRODUCTION;
      expect(faultsOf(rest)).to.deep.equal([`${name} is required in production`]);
    }
    expect(faultsOf({ NODE_ENV: "production" })).to.have.lengthOf(4);
  });

  it("refuse links without TLS in production", () => {
    expect(faultsOf({ ...PRODUCTION, PUBLIC_URL: "http://auth.example.com" }).join()).to.match(/^PUBLIC_URL .*https:/);
  });

  it("take the limits out of force together, but not in production", () => {
    expect(parseConfig({ RATE_LIMITS: "off" }).rateLimits).to.equal(null);
    expect(faultsOf({ ...PRODUCTION, RATE_LIMITS: "off" })).to.deep.equal(["RATE_LIMITS must be on in production"]);
    expect(faultsOf({ RATE_LIMITS: "off", FREE_FAILURES: "none" })).to.have.lengthOf(1);
  });

  it("name limits that do not go together", () => {
    expect(faultsOf({ FAILURES_PER_ACCOUNT: "4/15m" })).to.deep.equal([
      "FREE_FAILURES is more than FAILURES_PER_ACCOUNT allows",
    ]);
    expect(faultsOf({ FAILURE_DELAY: "10s", FAILURE_DELAY_MAX: "5s" })).to.deep.equal([
      "FAILURE_DELAY is longer than FAILURE_DELAY_MAX",
    ]);
  });

  it("that nobody knows are ignored", () => {
    expect(parseConfig({ GPRC_PORT: "", LATCHKEY: "x" })).to.deep.equal(parseConfig({}));
  });

  it("show every fault at once", () => {
    const error = errorOf(ALL_WRONG);
    expect(error.faults.map((fault) => fault.split(" ")[0])).to.have.members(SETTINGS);
    for (const fault of error.faults) expect(error.message).to.include(`\n  ${fault}`);
  });

  it("end the process with 1 before it has done anything, and show no secret", async () => {
    const inFile = SETTINGS.filter((_, index) => index % 2 === 0);
    const line = (name: string) => `${name}="${ALL_WRONG[name]}"\n`;
    const cwd = makeFolder("wrong", inFile.map(line).join(""));
    const env = Object.fromEntries(
      SETTINGS.filter((name) => !inFile.includes(name)).map((name) => [name, ALL_WRONG[name] ?? ""]),
    );
    const { code, stdout, stderr } = await runSource("main.ts", [], { cwd, env });
    expect([code, stdout]).to.deep.equal([1, ""]);
    expect(stderr).to.equal(`${errorOf(ALL_WRONG).message}\n`);
    expect(stderr).to.not.include("canary");
    expect(readdirSync(cwd)).to.deep.equal([".env"]);
  });

  it("are read from .env too, over which the environment goes", () => {
    const cwd = makeFolder("dotenv", 'GRPC_PORT=6000 # comment\nHTTP_PORT=6001\nSECRET_KEY="with # and spaces"\n');
    const env = readEnvironment({ HTTP_PORT: "7001", HOME: "/" }, cwd);
    expect(env).to.deep.equal({ GRPC_PORT: "6000", HTTP_PORT: "7001", SECRET_KEY: "with # and spaces", HOME: "/" });
    expect(readEnvironment({ HOME: "/" }, makeFolder("none"))).to.deep.equal({ HOME: "/" });
  });

  it("that are empty are faults, whatever the .env has in their place", () => {
    const cwd = makeFolder("empty", "HOST=\nHTTP_PORT=6001\n");
    const names = faultsOf(readEnvironment({ HTTP_PORT: "" }, cwd)).map((fault) => fault.split(" ")[0]);
    expect(names).to.have.members(["HOST", "HTTP_PORT"]);
  });

  it("print as [redacted] where they are secret", () => {
    const config = parseConfig({
      ...PRODUCTION,
      DATABASE_URL: "postgres://u:canary@db/x",
      SMTP_URL: "smtp://u:canary@mail",
    });
    const printed = [
      ...[JSON.stringify(config), inspect(config), inspect(config, { depth: 9, showHidden: true, getters: true })],
      ...[format("%s %o %O %j", config.secretKey, config.databaseUrl, config, config), `${config.secretKey}`],
    ];
    for (const text of printed) {
      expect(text).to.include("[redacted]");
      expect(text).to.not.include("canary").and.not.include(STRONG_KEY);
    }
  });

  it("stand in .env.example, all of them and no others, each with its default", () => {
    const example = readFileSync(resolve(import.meta.dirname, "../.env.example"), "utf8");
    const defaults = Object.entries(SETTING_DEFAULTS).filter(([, value]) => value !== null);
    expect(parseEnv(example)).to.deep.equal(Object.fromEntries(defaults));
    expect(parseConfig(parseEnv(example))).to.deep.equal(parseConfig({}));
    const withoutDefault = [...example.matchAll(/^# ([A-Z_]+)=/gm)].map(([, name]) => name);
    expect(withoutDefault).to.have.members(SETTINGS.filter((name) => SETTING_DEFAULTS[name] === null));
    for (const [before] of example.matchAll(/^.*\n(?=(?:# )?[A-Z_]+=)/gm)) expect(before).to.match(/^# .+[.:]\n$/);
  });
});

function errorOf(env: Environment): ConfigError {
  try {
    parseConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("no setting is at fault");
}

function faultsOf(env: Environment): readonly string[] {
  try {
    parseConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
}
