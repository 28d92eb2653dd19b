import { expect } from "chai";
import { PASSWORD, signInAdmin } from "./support/people.ts";
import { faultsOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";

const PEOPLE = [
  ["Zoë", "zoe@bücher.example"],
  ["anna", "Z.Anna@list.example"],
  ["Anna_1", "anna%1@list.example"],
  ["anna-1", "anna_1@list.example"],
  ["ANNAX1", "annax1@list.example"],
  ["Élise", "elise@list.example"],
] as const;

type Query = Parameters<TestService["admin"]["listUsers"]>[0];

describe("the list of accounts", () => {
  let service: TestService;
  let options: { headers: Record<string, string> };
  let admin: string;
  before(async () => {
    service = await startService();
    ({ options, username: admin } = await signInAdmin(service));
    for (const [username, email] of PEOPLE) await service.auth.signUp({ username, email, password: PASSWORD });
  });
  after(() => service.stop());

  const list = (query: Query) => service.admin.listUsers(query, options);
  const names = async (query: Query) => (await list(query)).users.map(({ username }) => username);

  it("is in the order of the canonical username", async () => {
    expect(await names({})).to.deep.equal(["anna", "anna-1", "Anna_1", "ANNAX1", admin, "Zoë", "Élise"]);
    expect((await list({})).nextPageToken).to.equal("");
  });

  it("shows the accounts whose username begins like the prefix, in whatever case or Unicode form", async () => {
    expect(await names({ prefix: "ANNA" })).to.deep.equal(["anna", "anna-1", "Anna_1", "ANNAX1"]);
    expect(await names({ prefix: "e\u0301L" })).to.deep.equal(["Élise"]);
    expect(await names({ prefix: "nna" })).to.deep.equal([]);
  });

  it("shows by the e-mail address, and in its order, when the prefix holds an @", async () => {
    expect(await names({ prefix: "Z.Anna@L" })).to.deep.equal(["anna"]);
    expect(await names({ prefix: "zoe@Bücher.ex" })).to.deep.equal(["Zoë"]);
    expect(await names({ prefix: "zoe@xn--bcher" })).to.deep.equal(["Zoë"]);
    expect(await names({ prefix: "@" })).to.deep.equal([]);
  });

  it("takes %, _ and \\ for what they are", async () => {
    expect(await names({ prefix: "anna_" })).to.deep.equal(["Anna_1"]);
    expect(await names({ prefix: "anna%1@" })).to.deep.equal(["Anna_1"]);
    expect(await names({ prefix: "anna_1@" })).to.deep.equal(["anna-1"]);
    for (const prefix of ["%", "_", "\\", "anna\\_1", "%@", "an%", "'", "anna'--", "$1", ":name", "?"]) {
      expect(await names({ prefix }), prefix).to.deep.equal([]);
    }
  });

  it("comes in pages that neither repeat nor leave out anybody", async () => {
    for (const query of [{}, { prefix: "a" }]) {
      const whole = await names(query);
      for (const pageSize of [1, 2, whole.length - 1, whole.length]) {
        expect(await walk({ ...query, pageSize }), `${pageSize}`).to.deep.equal(inPages(whole, pageSize));
      }
    }
  });

  it("goes on where it was when an account is made meanwhile", async () => {
    const first = await list({ pageSize: 2 });
    await service.auth.signUp({ username: "ann", email: "ann@x.io", password: PASSWORD });
    const rest = await names({ pageToken: first.nextPageToken });
    expect(rest).to.deep.equal(["Anna_1", "ANNAX1", admin, "Zoë", "Élise"]);
  });

  it("has pages of 1 to 100, 50 when nothing is said", async () => {
    await service.database.query(
      `INSERT INTO users (username, username_key, email, email_key)
       SELECT n, n, n || '@x.io', n || '@x.io' FROM (SELECT 'many' || generate_series(1, 101) AS n) AS names`,
    );
    expect((await list({ prefix: "many" })).users).to.have.length(50);
    expect((await list({ prefix: "many", pageSize: 100 })).users).to.have.length(100);
    for (const pageSize of [-1, 101, -(2 ** 31)]) {
      expect(await faultsOf(list({ pageSize })), `${pageSize}`).to.deep.equal({ page_size: "OUT_OF_RANGE" });
    }
  });

  it("refuses a page token that it did not give, and a prefix that nothing can begin with", async () => {
    for (const pageToken of ["?", "YQ==", "YR", "AA", "77-9", "a b", "\0"]) {
      expect(await faultsOf(list({ pageToken })), pageToken).to.deep.equal({ page_token: "MALFORMED" });
    }
    expect(await faultsOf(list({ prefix: "a\0" }))).to.deep.equal({ prefix: "MALFORMED" });
    expect(await faultsOf(list({ prefix: "x".repeat(255) }))).to.deep.equal({ prefix: "TOO_LONG" });
  });

  async function walk(query: Query): Promise<string[][]> {
    const pages: string[][] = [];
    let pageToken = "";
    do {
      const { users, nextPageToken } = await list({ ...query, pageToken });
      pages.push(users.map(({ username }) => username));
      pageToken = nextPageToken;
    } while (pageToken !== "");
    return pages;
  }

  function inPages(all: readonly string[], size: number): string[][] {
    return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
  }
});
