import { expect } from "chai";
import { generateSigningKey } from "../src/auth/signing-key.ts";
import type { Config } from "../src/config.ts";
import { createSecret } from "../src/secret.ts";
import { refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { createTestDatabase } from "./support/postgres.ts";
import { startProcess } from "./support/process.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";
import { kidOf, kidsOf, storedSigningKeys } from "./support/signing-keys.ts";
import { passTime } from "./support/time.ts";
import { refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

const HOUR = 3_600_000;
const NEW_KEY = "another secret key, as long as the first";
const replaced = { secretKey: createSecret(NEW_KEY), secretKeyPrevious: [createSecret(SECRET_KEY)] };
const dropped = { secretKey: createSecret(NEW_KEY) };

/** Another process of the same service, with other settings. */
function startBeside({ database, clock, mails }: TestService, config: Partial<Config>): Promise<TestService> {
  return startService({ database, clock, mails, config });
}

/** How a start was refused; "" when it was not. */
async function refusalOfStart(start: Promise<TestService>): Promise<string> {
  return start.then(
    (started) => started.stop().then(() => ""),
    (error: Error) => error.name,
  );
}

describe("SECRET_KEY", () => {
  let first: TestService;
  beforeEach(async () => {
    first = await startService({ config: { accessTokenTtl: HOUR } });
  });
  afterEach(() => first.stop());

  it("is replaced in a rolling restart: no token, password or session is touched, and tokens are good until they expire", async () => {
    const person = await signUpConfirmed(first);
    const old = await signIn(first, person);
    const second = await startBeside(first, { ...replaced, accessTokenTtl: HOUR });
    for (const service of [first, second]) {
      await service.auth.getMe({}, old.options);
      const fresh = await signIn(service, person);
      expect(kidOf(fresh)).to.equal(kidOf(old));
      await refresh(service === first ? second : first, fresh.refreshToken);
    }
    await second.stop();
    const third = await startBeside(first, { ...dropped, accessTokenTtl: HOUR });
    await third.auth.getMe({}, old.options);
    const { refreshToken } = await refresh(third, old.refreshToken);
    await passTime(first, HOUR - 60_000);
    await third.auth.getMe({}, old.options);
    await passTime(first, 60_000);
    expect(await refusalOf(third.auth.getMe({}, old.options))).to.equal("INVALID_TOKEN");
    await refresh(third, refreshToken);
    await third.stop();
    expect(await refusalOfStart(startBeside(first, {}))).to.equal("WrongSecretKey");
  });

  it("in a process that has the former one only: keys made with the new one are good there, and it signs with its own", async () => {
    const person = await signUpConfirmed(first);
    const second = await startBeside(first, { ...replaced, accessTokenTtl: HOUR });
    try {
      await second.app.signingKeys.rotate({ atOnce: true });
      const fresh = await signIn(second, person);
      await first.auth.getMe({}, fresh.options);
      const own = await signIn(first, person);
      expect(kidOf(own)).not.to.equal(kidOf(fresh));
      await second.auth.getMe({}, own.options);
      // For as long as it lives.
      for (let turn = 0; turn < 3; turn++) {
        await passTime(first, HOUR - 60_000);
        for (const { app } of [first, second]) await app.signingKeys.reread();
        const before = await signIn(first, person);
        expect(kidOf(before)).to.equal(kidOf(own));
        await second.auth.getMe({}, before.options);
        await waitUntil(async () => ((await storedSigningKeys(first))[0]?.retireAt ?? 0) > Date.now() + HOUR + 60_000);
      }
      expect(await storedSigningKeys(first)).to.have.length(2);
      const warned = first.lines.filter((line) => line.includes("does not open a signing key"));
      expect(warned).to.have.length(1);
      expect(JSON.parse(warned[0] ?? "")).to.deep.include({ level: "warn", kid: kidOf(fresh) });
    } finally {
      await second.stop();
    }
  });

  it("wraps what a process with the former one still adds within a second, so that the former can be dropped", async () => {
    const person = await signUpConfirmed(first);
    const second = await startBeside(first, replaced);
    try {
      await first.app.signingKeys.rotate({ atOnce: true });
      const fresh = await signIn(first, person);
      await second.auth.getMe({}, fresh.options);
      const third = await startBeside(first, dropped);
      expect(third.lines.join()).not.to.include("does not open");
      expect(kidOf(await signIn(third, person))).to.equal(kidOf(fresh));
      await third.stop();
    } finally {
      await second.stop();
    }
  });

  it("that opens all but a signing key starts, and takes that key's tokens all the same", async () => {
    const person = await signUpConfirmed(first);
    const before = await signIn(first, person);
    const { kid, alg, publicJwk } = await generateSigningKey("ES256");
    await first.database.query(
      "INSERT INTO keys (id, purpose, alg, public_jwk, wrapped) VALUES ($1, 'sign_access', $2, $3, '\\x00')",
      ...[kid, alg, JSON.stringify(publicJwk)],
    );
    const second = await startBeside(first, {});
    try {
      expect(kidsOf(second)).to.deep.equal([kidOf(before), kid]);
      expect(kidOf(await signIn(second, person))).to.equal(kidOf(before));
      await second.auth.getMe({}, before.options);
    } finally {
      await second.stop();
    }
  });

  it("does not make a key believed whose name is another's", async () => {
    const { alg, publicJwk } = await generateSigningKey("ES256");
    for (const [id, jwk] of [
      ["A".repeat(43), publicJwk],
      ["B".repeat(43), { kty: "EC" }],
    ] as const)
      await first.database.query(
        "INSERT INTO keys (id, purpose, alg, public_jwk, wrapped) VALUES ($1, 'sign_access', $2, $3, '\\x00')",
        ...[id, alg, JSON.stringify(jwk)],
      );
    await first.app.signingKeys.reread();
    expect(kidsOf(first)).to.have.length(1);
  });

  it("opens by environment what a former one with commas made", async () => {
    const database = await createTestDatabase();
    try {
      await (await startProcess(database, { SECRET_KEY })).stop("SIGTERM");
      const settings = { SECRET_KEY: NEW_KEY, SECRET_KEY_PREVIOUS: SECRET_KEY };
      await (await startProcess(database, settings)).stop("SIGTERM");
      await (await startProcess(database, { SECRET_KEY: NEW_KEY })).stop("SIGTERM");
    } finally {
      await database.drop();
    }
  });
});
