import { expect } from "chai";
import { AuditEventType } from "../gen/auth/v1/audit_event_pb.ts";
import { AUDIT_EVENT_TYPES } from "../src/db/audit-recording.ts";
import { recordedBy } from "./support/audit.ts";
import { holdLock } from "./support/locks.ts";
import { newPerson, PASSWORD, refusalOf, signIn, signInAdmin, signUpConfirmed } from "./support/people.ts";
import { faultsOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";
import { waitUntil } from "./support/wait.ts";

type Query = Parameters<TestService["admin"]["listAuditEvents"]>[0];

const MINUTE = 60_000;

describe("the list of audit events", () => {
  let service: TestService;
  let options: { headers: Record<string, string> };
  before(async () => {
    service = await startService();
    ({ options } = await issueKey(service, ["admin"]));
  });
  beforeEach(() => service.database.query("DELETE FROM audit_events"));
  after(() => service.stop());

  const list = (query: Query) => service.admin.listAuditEvents(query, options);
  const detailsOf = ({ events }: Awaited<ReturnType<typeof list>>) => events.map(({ detail }) => detail);
  const details = async (query: Query) => detailsOf(await list(query));
  /** Writes events of the same time, whose details are numbers. */
  const write = (from: number, to: number) =>
    service.database.query(
      `INSERT INTO audit_events (type, actor, user_id, detail)
       SELECT 'sign_in', 'anyone', n % 2, n FROM generate_series($1::int, $2::int) n`,
      from,
      to,
    );
  const numbers = (from: number, to: number) =>
    Array.from({ length: Math.abs(to - from) + 1 }, (_, index) => String(from + Math.sign(to - from) * index));

  it("has a name on the wire for each type, and no other", () => {
    const names = Object.keys(AuditEventType).filter((name) => name !== "UNSPECIFIED");
    expect(AUDIT_EVENT_TYPES.map((type) => type.toUpperCase())).to.have.members(names);
  });

  it("is newest first, in pages that neither repeat nor leave out anything, though all have the same time", async () => {
    await write(1, 7);
    expect(await details({})).to.deep.equal(numbers(7, 1));
    for (const pageSize of [1, 2, 6, 7]) {
      const pages: string[] = [];
      let pageToken = "";
      do {
        const page = await list({ pageSize, pageToken });
        expect(page.events.length).to.be.at.most(pageSize);
        pages.push(...detailsOf(page));
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      expect(pages, `${pageSize}`).to.deep.equal(numbers(7, 1));
    }
  });

  it("goes on where it was when something is recorded meanwhile", async () => {
    await write(1, 4);
    const first = await list({ pageSize: 2 });
    await write(5, 6);
    expect(detailsOf(first)).to.deep.equal(["4", "3"]);
    expect(await details({ pageToken: first.nextPageToken })).to.deep.equal(["2", "1"]);
  });

  it("has pages of 1 to 100, 50 when nothing is said", async () => {
    await write(1, 101);
    expect(await details({})).to.have.length(50);
    expect(await details({ pageSize: 100 })).to.have.length(100);
    for (const pageSize of [-1, 101]) {
      expect(await faultsOf(list({ pageSize })), `${pageSize}`).to.deep.equal({ page_size: "OUT_OF_RANGE" });
    }
  });

  it("is narrowed down to an account, a type and a time, page by page", async () => {
    await write(1, 4);
    expect(await details({ userId: 1n })).to.deep.equal(["3", "1"]);
    const first = await list({ userId: 1n, pageSize: 1 });
    expect(await details({ userId: 1n, pageToken: first.nextPageToken })).to.deep.equal(["1"]);
    expect(await details({ type: AuditEventType.SIGN_IN })).to.have.length(4);
    expect(await details({ type: AuditEventType.SIGN_OUT })).to.deep.equal([]);
    await service.database.query(
      "UPDATE audit_events SET created_at = now() - detail::int * interval '1 minute' - interval '5 s'",
    );
    const ago = (minutes: number) => {
      const ms = Date.now() - minutes * MINUTE;
      return { seconds: BigInt(Math.floor(ms / 1000)), nanos: 0 };
    };
    expect(await details({ sinceTime: ago(3) })).to.deep.equal(["2", "1"]);
    expect(await details({ untilTime: ago(3) })).to.deep.equal(["4", "3"]);
    expect(await details({ sinceTime: ago(4), untilTime: ago(2), userId: 1n })).to.deep.equal(["3"]);
  });

  it("refuses what is no filter, and tokens that it did not give", async () => {
    expect(await faultsOf(list({ userId: -1n }))).to.deep.equal({ user_id: "OUT_OF_RANGE" });
    expect(await faultsOf(list({ type: 999 as AuditEventType }))).to.deep.equal({ type: "MALFORMED" });
    const far = { seconds: 2n ** 60n, nanos: 0 };
    expect(await faultsOf(list({ sinceTime: far, untilTime: far }))).to.deep.equal({
      ...{ since_time: "OUT_OF_RANGE", until_time: "OUT_OF_RANGE" },
    });
    const made = [
      ...["", "older", "older x", "older 0", "older -1", "older 1 2", "older 99999999999999999999", "newer 1"],
      ...[
        "since",
        "since 1",
        "since 5:4:",
        "since 1:9:0",
        "since 1:9:3,2",
        "since 1:9:9",
        "since 1:9:2,",
        "since 1:0:",
      ],
      ...["since 1:9: 1:9: 4", "since 1:9: 1:9: 4 x", "since 1:9: 9:1: 4 5", "since 1:9: 1:9: 4 5 6", "since  1:9:"],
    ].map((text) => Buffer.from(` ${text}`.slice(text === "" ? 0 : 1)).toString("base64url"));
    for (const pageToken of ["?", "b2xkZXIgMQ==", "b2xkZXIgMR", "\0", "é", ...made]) {
      expect(await faultsOf(list({ pageToken })), pageToken).to.deep.equal({ page_token: "MALFORMED" });
    }
  });

  it("is told to admins and to service keys of scope admin, and to nobody else", async () => {
    const admin = await signInAdmin(service);
    const user = await signIn(service, await signUpConfirmed(service));
    const { options: watcher } = await issueKey(service, ["introspect", "watch", "gateway"]);
    expect((await service.admin.listAuditEvents({}, admin.options)).events).not.to.have.length(0);
    expect(await refusalOf(service.admin.listAuditEvents({}, user.options))).to.equal("PERMISSION_DENIED");
    expect(await refusalOf(service.admin.listAuditEvents({}, watcher))).to.equal("PERMISSION_DENIED");
    expect(await refusalOf(service.admin.listAuditEvents({}))).to.equal("INVALID_TOKEN");
  });

  describe("from a follow_token on", () => {
    const begin = async (query: Query = {}) => (await list(query)).followToken;

    it("tells what has been recorded since, oldest first, each event once", async () => {
      await write(1, 3);
      const pageToken = await begin({ pageSize: 1 });
      expect(await details({ pageToken })).to.deep.equal([]);
      await write(4, 8);
      const told: string[] = [];
      let token = pageToken;
      for (const length of [2, 2, 1, 0]) {
        const page = await list({ pageToken: token, pageSize: 2 });
        expect(page.nextPageToken).to.equal("");
        expect(page.events).to.have.length(length);
        told.push(...detailsOf(page));
        token = page.followToken;
      }
      expect(told).to.deep.equal(numbers(4, 8));
      expect(await details({ pageToken })).to.deep.equal(numbers(4, 8));
    });

    it("misses nothing that was begun earlier and committed later, nor tells anything twice", async () => {
      const insert = (detail: number) =>
        `INSERT INTO audit_events (type, actor, detail) VALUES ('sign_in', 'anyone', ${detail})`;
      const [first, second] = [await holdLock(service, insert(1)), await holdLock(service, insert(2))];
      await write(3, 4);
      let token = await begin();
      const next = async () => {
        const page = await list({ pageToken: token });
        token = page.followToken;
        return detailsOf(page);
      };
      await write(5, 6);
      expect(await next()).to.deep.equal(["5", "6"]);
      await second.release();
      await write(7, 7);
      expect(await next()).to.deep.equal(["2", "7"]);
      await first.query(insert(8));
      await first.release();
      expect(await next()).to.deep.equal(["1", "8"]);
      expect(await next()).to.deep.equal([]);
    });

    it("misses nothing that commits between two pages, nor tells anything twice", async () => {
      const late = await holdLock(
        service,
        "INSERT INTO audit_events (type, actor, detail) VALUES ('sign_in', 'anyone', 0)",
      );
      const first = await begin();
      await write(1, 5);
      const page = await list({ pageToken: first, pageSize: 3 });
      await late.release();
      await write(6, 6);
      const rest = await list({ pageToken: page.followToken, pageSize: 3 });
      const last = await list({ pageToken: rest.followToken, pageSize: 3 });
      expect([page, rest, last].map(detailsOf)).to.deep.equal([
        ["1", "2", "3"],
        ["4", "5"],
        ["0", "6"],
      ]);
    });

    it("tells nothing of what a dump from another cluster brought, whose transactions have not been yet", async () => {
      const pageToken = await begin();
      await write(1, 1);
      await service.database.query("UPDATE audit_events SET tx = '99999999'");
      await write(2, 2);
      expect(await details({ pageToken })).to.deep.equal(["2"]);
      expect(await details({})).to.deep.equal(["2", "1"]);
    });

    it("tells what another process records, its refusals too, within a moment", async () => {
      const { database, clock, mails } = service;
      const other = await startService({ database, clock, mails });
      try {
        const person = newPerson();
        let told: string[] = [];
        const events = await recordedBy(service, options, async () => {
          const pageToken = await begin();
          await other.auth.signUp(person);
          await refusalOf(other.auth.signIn({ login: person.username, password: PASSWORD }));
          await waitUntil(async () => {
            told = (await list({ pageToken })).events.map(({ reason }) => reason);
            return told.length === 2;
          });
        });
        expect(events.map(({ type, reason }) => [type, reason])).to.deep.equal([
          ["sign_up", undefined],
          ["sign_in_failed", "EMAIL_NOT_CONFIRMED"],
        ]);
      } finally {
        await other.stop();
      }
    });
  });
});
