import { fromJsonString } from "@bufbuild/protobuf";
import { expect } from "chai";
import { ListServiceKeysResponseSchema } from "../gen/auth/v1/admin_service_pb.ts";
import { ServiceKeyScope } from "../gen/auth/v1/service_key_pb.ts";
import { runSource } from "./support/commands.ts";
import { bearer, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import type { Outcome } from "./support/programs.ts";
import { SECRET_KEY, startService, type TestService } from "./support/service.ts";
import { tokenClient } from "./support/service-keys.ts";
import { kidOf, kidsOf, storedSigningKeys } from "./support/signing-keys.ts";
import { refresh } from "./support/tokens.ts";
import { waitUntil } from "./support/wait.ts";

const TIME = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ";
const KEY = /^lk_([A-Za-z0-9]{12})_[\w-]{43}$/;
const FAR = "2130-01-31T12:00:00Z";

/** Runs a command of the operator beside a service that runs. */
function latchkeyBeside(service: () => TestService) {
  return (args: readonly string[], settings: Readonly<Record<string, string>> = {}): Promise<Outcome> => {
    const env = { DATABASE_URL: service().database.url, SECRET_KEY, BCRYPT_COST: "10", ...settings };
    return runSource("cli.ts", args, { env });
  };
}

describe("the operator's commands on signing keys", () => {
  let service: TestService;
  beforeEach(async () => {
    service = await startService();
  });
  afterEach(() => service.stop());
  const latchkey = latchkeyBeside(() => service);
  const keys = (...args: string[]) => latchkey(["keys", ...args]);

  it("list them as a table, or as JSON on one line, with what each is for", async () => {
    await service.app.signingKeys.rotate({ atOnce: true });
    await service.app.signingKeys.rotate({ atOnce: false });
    const kids = kidsOf(service);
    const [words, json] = await Promise.all([keys("list"), keys("list", "--json")]);
    expect([words.code, words.stderr, json.code, json.stderr]).to.deep.equal([0, "", 0, ""]);
    const [head, ...lines] = words.stdout.trimEnd().split("\n");
    expect(head).to.match(/^KID +ALGORITHM +STATE +FROM +UNTIL$/);
    const patterns = ["accepted", "signs", "follows"].map(
      (state, index) => `^${kids[index]}  ES256 +${state} +${TIME}${state === "follows" ? "" : `  ${TIME}`}$`,
    );
    expect(lines).to.have.length(3);
    for (const [index, line] of lines.entries()) expect(line).to.match(new RegExp(patterns[index] ?? "^$"));
    expect(json.stdout.match(/\n/g)).to.have.lengthOf(1);
    const stored = await storedSigningKeys(service);
    const print = (ms: number | null) => ms && new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
    expect(JSON.parse(json.stdout)).to.deep.equal({
      keys: stored.map(({ id, alg, activeFrom, retireAt }, index) => ({
        ...{ kid: id, alg, state: ["accepted", "signs", "follows"][index] },
        ...{ activeFrom: print(activeFrom), retireAt: print(retireAt) },
      })),
    });
  });

  it("change nothing by listing, whatever algorithm the shell has", async () => {
    const before = await storedSigningKeys(service);
    const { stdout } = await latchkey(["keys", "list", "--json"], { JWT_ALGORITHM: "RS256" });
    expect(JSON.parse(stdout).keys).to.have.length(1);
    expect(await storedSigningKeys(service)).to.deep.equal(before);
  });

  it("show the key of HS256 where there is a JWT_SECRET, and cannot rotate it", async () => {
    const secret = { JWT_SECRET: "a secret for HS256, shared with a backend" };
    const beside = await latchkey(["keys", "list"], secret);
    expect(beside.stdout).to.match(/\nhs256 +HS256 +accepted\n\S+ +ES256 +signs /);
    const shared = { ...secret, JWT_ALGORITHM: "HS256" };
    const alone = await latchkey(["keys", "list", "--json"], shared);
    const [first] = JSON.parse(alone.stdout).keys;
    expect(first).to.deep.equal({ kid: "hs256", alg: "HS256", state: "signs", activeFrom: null, retireAt: null });
    const refused = await latchkey(["keys", "rotate"], shared);
    const stderr = "JWT_ALGORITHM is HS256: its key is JWT_SECRET\n";
    expect(refused).to.deep.equal({ code: 1, stdout: "", stderr });
    for (const { stdout } of [beside, alone]) expect(stdout).not.to.include(secret.JWT_SECRET);
  });

  it("make a successor that is used in ten minutes, and one that is used at once", async () => {
    const person = await signUpConfirmed(service);
    const before = await signIn(service, person);
    const later = await keys("rotate");
    const [, kid = "", from = ""] = /^(\S+) signs from (\S+) on\n$/.exec(later.stdout) ?? [];
    expect([later.code, later.stderr]).to.deep.equal([0, ""]);
    const lead = new Date(from).getTime() - Date.now();
    expect(lead).to.be.within(500_000, 600_000);
    await waitUntil(() => kidsOf(service).includes(kid));
    expect(kidOf(await signIn(service, person))).to.equal(kidOf(before));
    const now = await keys("rotate", "--now");
    const [, successor = ""] = new RegExp(`^(\\S+) signs from ${TIME} on\n$`).exec(now.stdout) ?? [];
    await waitUntil(() => service.app.signingKeys.current().kid === successor);
    expect(kidOf(await signIn(service, person))).to.equal(successor);
    await service.auth.getMe({}, before.options);
  });

  it("retire a key whose holder may be a stranger, one command after the other: its tokens end, and no session", async () => {
    const old = await signIn(service, await signUpConfirmed(service));
    const kid = kidOf(old);
    const early = await keys("retire", kid);
    const advice = "this key signs now: make a successor with `latchkey keys rotate --now` before\n";
    expect(early).to.deep.equal({ code: 1, stdout: "", stderr: advice });
    expect((await keys("rotate", "--now")).code).to.equal(0);
    const retired = await keys("retire", kid);
    const told = `retired ${kid}: no token that it signed is accepted any more\n`;
    expect(retired).to.deep.equal({ code: 0, stdout: told, stderr: "" });
    await waitUntil(() => !kidsOf(service).includes(kid));
    expect(await refusalOf(service.auth.getMe({}, old.options))).to.equal("INVALID_TOKEN");
    const { accessToken } = await refresh(service, old.refreshToken);
    await service.auth.getMe({}, bearer(accessToken));
    for (const nothing of [kid, "nosuch", "hs256"])
      expect(await keys("retire", nothing)).to.deep.equal({
        ...{ code: 1, stdout: "" },
        stderr: "there is no such signing key\n",
      });
  });
});

describe("the operator's commands on service keys", () => {
  let service: TestService;
  before(async () => {
    service = await startService();
  });
  after(() => service.stop());
  const latchkey = latchkeyBeside(() => service);
  const serviceKeys = (...args: string[]) => latchkey(["service-keys", ...args]);

  it("make a key that works at once, print it this once, and keep it nowhere", async () => {
    const options = ["--scope", "introspect", "--scope", "watch", "--scope", "introspect"];
    const made = await serviceKeys("create", "--name", "billing", ...options, "--json");
    expect([made.code, made.stderr, made.stdout.match(/\n/g)?.length]).to.deep.equal([0, "", 1]);
    const { id, key, ...rest } = JSON.parse(made.stdout);
    expect(rest).to.deep.equal({});
    expect(KEY.exec(key)?.[1]).to.equal(id);
    const { accessToken } = await signIn(service, await signUpConfirmed(service));
    const { active } = await tokenClient(service).introspectToken({ token: accessToken }, bearer(key));
    expect(active).to.equal(true);
    const words = await serviceKeys("create", "--name", "shipping", "--scope", "gateway", "--expires", FAR);
    const [, shipping] = KEY.exec(words.stdout.trimEnd()) ?? [];
    expect(words.stderr).to.equal(`created shipping, id ${shipping}; this is the only time that the key is shown:\n`);
    const rows = await service.database.query<{ row: string }>("SELECT k::text AS row FROM service_keys k");
    const listed = await serviceKeys("list", "--json");
    const secret = key.slice(-43);
    for (const text of [...rows.map(({ row }) => row), listed.stdout, ...service.lines])
      expect(text).not.to.include(secret).and.not.to.include(words.stdout.trimEnd().slice(-43));
  });

  it("list them by name, as a table or as the RPC's own JSON", async () => {
    const [words, json] = await Promise.all([serviceKeys("list"), serviceKeys("list", "--json")]);
    const [head, billing, shipping, ...more] = words.stdout.trimEnd().split("\n");
    expect(more).to.deep.equal([]);
    expect(head).to.match(/^ID +NAME +SCOPES +STATE +CREATED +EXPIRES +LAST USE$/);
    expect(billing).to.match(new RegExp(`^\\w{12} +billing +introspect, watch +active +${TIME} +never +never$`));
    expect(shipping).to.match(new RegExp(`^\\w{12} +shipping +gateway +active +${TIME} +${FAR} +never$`));
    expect(json.stdout.match(/\n/g)).to.have.lengthOf(1);
    const { serviceKeys: listed } = fromJsonString(ListServiceKeysResponseSchema, json.stdout);
    expect(listed.map(({ name, scopes }) => ({ name, scopes }))).to.deep.equal([
      { name: "billing", scopes: [ServiceKeyScope.INTROSPECT, ServiceKeyScope.WATCH] },
      { name: "shipping", scopes: [ServiceKeyScope.GATEWAY] },
    ]);
  });

  it("revoke a key, once, which the running service refuses within a second", async () => {
    const { id, key } = JSON.parse(
      (await serviceKeys("create", "--name", "short-lived", "--scope", "introspect", "--json")).stdout,
    );
    const ask = () => refusalOf(tokenClient(service).introspectToken({ token: "x" }, bearer(key)));
    expect(await ask()).to.equal("");
    expect(await serviceKeys("revoke", id)).to.deep.equal({ code: 0, stdout: `revoked ${id}\n`, stderr: "" });
    await waitUntil(async () => (await ask()) === "INVALID_TOKEN");
    const stderr = "there is no such key, or it was revoked before\n";
    expect(await serviceKeys("revoke", id)).to.deep.equal({ code: 1, stdout: "", stderr });
    const { stdout } = await serviceKeys("list");
    expect(stdout).to.match(new RegExp(`\n${id} +short-lived +introspect +revoked ${TIME} `));
  });

  it("refuse what the rules refuse, with the reason and each faulty field", async () => {
    const scope = ["--scope", "watch"];
    const [taken, odd, past] = await Promise.all([
      serviceKeys("create", "--name", "billing", ...scope),
      serviceKeys("create", "--name", "white space", ...scope),
      serviceKeys("create", "--name", "late", ...scope, "--expires", "2020-01-31T12:00:00Z"),
    ]);
    for (const { code, stdout } of [taken, odd, past]) expect([code, stdout]).to.deep.equal([1, ""]);
    const faults = [taken, odd, past].map(({ stderr }) => stderr.replace(/, .*\n$/, ""));
    expect(faults).to.deep.equal(
      ["name: MALFORMED", "name: MALFORMED", "expire_time: OUT_OF_RANGE"].map(
        (fault) => `INVALID_ARGUMENT: Invalid request\n  ${fault}`,
      ),
    );
    expect(taken.stderr).to.include("is the name of another key");
    const { stdout } = await serviceKeys("list");
    expect(stdout).not.to.match(/white|late/);
  });
});
