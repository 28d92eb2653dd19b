import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { createSecret } from "../src/secret.ts";
import { expectHarmless } from "./support/cases.ts";
import { expectRefusal } from "./support/parity-checks.ts";
import { REST, row } from "./support/parity-kit.ts";
import { newPerson, PASSWORD, refusalOf } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { startSmtp, type TestSmtp } from "./support/smtp.ts";
import { waitUntil } from "./support/wait.ts";

/** What is typed first; what is the same name typed otherwise; what reads like it and is no name at all. */
interface Row {
  readonly first: string;
  readonly same: readonly string[];
  readonly refused: Readonly<Record<string, string>>;
}

const EMAILS: Readonly<Record<string, Row>> = {
  "letter case and space around": {
    first: "Ada@One.io",
    same: ["ada@one.io", "ADA@ONE.IO", " ada@one.io\r\n"],
    refused: {},
  },
  "fullwidth letters": {
    first: "bob@two.io",
    same: ["bob@\uFF54\uFF57\uFF4F.io", "bob@two.\uFF29\uFF2F"],
    refused: { "\uFF42ob@two.io": "MALFORMED", "bob\uFF20two.io": "MALFORMED", "bob@two\uFF0Eio": "MALFORMED" },
  },
  "the Kelvin sign": { first: "kim@kilo.io", same: ["\u212Aim@kilo.io", "kim@\u212Ailo.io"], refused: {} },
  "letters that case folding makes ASCII": {
    first: "ian@three.io",
    same: [],
    refused: { "\u0131an@three.io": "MALFORMED", "\u0130an@three.io": "MALFORMED", "\u017Fan@three.io": "MALFORMED" },
  },
  "an international domain": {
    first: "eve@bücher.io",
    same: ["eve@xn--bcher-kva.io", "eve@BÜCHER.io", "eve@bu\u0308cher.io", "EVE@XN--BCHER-KVA.IO"],
    refused: { "eve@xn--bcher-.io": "MALFORMED", "eve@xn--\u00FC.io": "MALFORMED" },
  },
  "dots and spaces": {
    first: "joe@four.io",
    same: ["joe@four.io ", "\tjoe@four.io", "joe@four.io\u00A0"],
    refused: {
      "joe@four.io.": "MALFORMED",
      "joe.@four.io": "MALFORMED",
      ".joe@four.io": "MALFORMED",
      "j..oe@four.io": "MALFORMED",
      "joe @four.io": "MALFORMED",
      "joe@ four.io": "MALFORMED",
      "joe@four..io": "MALFORMED",
      "joe@four": "MALFORMED",
      "joe@four.1": "MALFORMED",
      "joe@127.0.0.1": "MALFORMED",
      "joe@[127.0.0.1]": "MALFORMED",
      "@four.io": "MALFORMED",
      "joe@": "MALFORMED",
    },
  },
  "more than one address": {
    first: "sue@five.io",
    same: [],
    refused: {
      "sue@five.io,mallory@evil.io": "MALFORMED",
      "sue@five.io, mallory@evil.io": "MALFORMED",
      "mallory@evil.io;sue@five.io": "MALFORMED",
      "friends:sue@five.io,mallory@evil.io;": "MALFORMED",
      "friends:sue@five.io;": "MALFORMED",
      "Sue <sue@five.io>": "MALFORMED",
      "<sue@five.io>": "MALFORMED",
      "sue@five.io mallory@evil.io": "MALFORMED",
      "sue@evil.io@five.io": "MALFORMED",
      "@evil.io:sue@five.io": "MALFORMED",
      "sue(mallory@evil.io)@five.io": "MALFORMED",
    },
  },
  "headers and quotes": {
    first: "tom@six.io",
    same: [],
    refused: {
      "tom@six.io\r\nBcc: mallory@evil.io": "MALFORMED",
      "tom\r\n@six.io": "MALFORMED",
      "tom@six.io\nRCPT TO:<mallory@evil.io>": "MALFORMED",
      '"tom"@six.io': "MALFORMED",
      '"tom@evil.io "@six.io': "MALFORMED",
      "tom\\@evil.io@six.io": "MALFORMED",
      "tom%40evil.io@six%2Eio": "MALFORMED",
    },
  },
  "what cannot be seen": {
    first: "una@seven.io",
    same: [],
    refused: {
      "una\0@seven.io": "MALFORMED",
      "u\u200Bna@seven.io": "MALFORMED",
      "una@sev\u200Den.io": "MALFORMED",
      "una@sev\u00ADen.io": "MALFORMED",
      "una@sev\uFE0Fen.io": "MALFORMED",
      "una@sev\u115Fen.io": "MALFORMED",
      "\u202Euna@seven.io": "MALFORMED",
      "una@\u202Enoves.io": "MALFORMED",
      "una@sev\u2066en.io": "MALFORMED",
      "una@seven.io\uFFFD": "MALFORMED",
    },
  },
  length: {
    first: `${"v".repeat(64)}@${"w".repeat(63)}.${"x".repeat(63)}.${"y".repeat(58)}.io`,
    same: [],
    refused: {
      [`${"v".repeat(65)}@eight.io`]: "MALFORMED",
      [`v@${"w".repeat(64)}.io`]: "MALFORMED",
      [`${"v".repeat(64)}@${"w".repeat(63)}.${"x".repeat(63)}.${"y".repeat(59)}.io`]: "TOO_LONG",
      [`v@${"ü".repeat(60)}.${"ü".repeat(60)}.io`]: "MALFORMED",
      [`v@${"w.".repeat(5_000)}io`]: "TOO_LONG",
    },
  },
};

const USERNAMES: Readonly<Record<string, Row>> = {
  "letter case and space around": { first: "Ada", same: ["ada", "ADA", " aDa\t"], refused: {} },
  "Unicode forms": { first: "Zoë", same: ["zoe\u0308", "ZOE\u0308"], refused: { "Zo\u00EB\u0301\u0489": "MALFORMED" } },
  "the Kelvin sign, dotless i, long s and final sigma": {
    first: "KISSός",
    same: ["\u212Aiss\u03CC\u03C3", "k\u0131ss\u03CCς", "kissόΣ"],
    refused: { "ki\u017F\u017F\u03CCΣ": "MALFORMED" },
  },
  "sharp s in both cases, and what looks like an option": {
    first: "Straße",
    same: ["STRASSE", "stra\u1E9Ee"],
    refused: { "--json": "MALFORMED", "-a": "MALFORMED" },
  },
  "letters of other widths and styles": {
    first: "bob",
    same: [],
    refused: { "\uFF42\uFF4F\uFF42": "MALFORMED", 𝐛𝐨𝐛: "MALFORMED", bﬁ: "MALFORMED", "bo\u1D47": "MALFORMED" },
  },
  "what cannot be seen": {
    first: "una",
    same: ["una\uFEFF"],
    refused: {
      "un\0a": "MALFORMED",
      "un\u200Ba": "MALFORMED",
      "un\u200Da": "MALFORMED",
      "\u202Eanu": "MALFORMED",
      "una\u115F": "MALFORMED",
      "u\u1160na": "MALFORMED",
      "una\u3164": "MALFORMED",
      "u\u00ADna": "MALFORMED",
    },
  },
  signs: {
    first: "a.b_c-d",
    same: [],
    refused: {
      "a b": "MALFORMED",
      "a@b": "MALFORMED",
      "a,b": "MALFORMED",
      "<b>x</b>": "MALFORMED",
      "a\r\nb": "MALFORMED",
      "a/b": "MALFORMED",
      "{{7*7}}": "MALFORMED",
      "$(id)": "MALFORMED",
      "a'b": "MALFORMED",
      "🗝🗝": "MALFORMED",
    },
  },
  length: {
    first: `${"𐐨".repeat(63)}é`,
    same: [`${"𐐀".repeat(63)}É`],
    refused: {
      x: "TOO_SHORT",
      é: "TOO_SHORT",
      " ": "REQUIRED",
      ["x".repeat(65)]: "TOO_LONG",
      ["𐐨".repeat(64)]: "TOO_LONG",
      ["x".repeat(2_000)]: "TOO_LONG",
    },
  },
};

/** By how many protocols and routes each is tried. */
const WAYS = 7;

// For the server of the tests, which takes a byte less than RFC 5321 allows.
const TOO_LONG = "length(recipient) > 253";

describe("names", () => {
  let smtp: TestSmtp;
  let service: TestService;
  before(async () => {
    smtp = await startSmtp();
    service = await startService({ config: { smtpUrl: createSecret(smtp.url), mailFrom: "no-reply@latchkey.io" } });
  });
  after(async () => {
    await service.stop();
    await smtp.stop();
  });

  /** A sign-up by every protocol and route, which is refused for this; gives the faulty fields. */
  async function refusedFor(reason: string, request: object, status: { old?: number; api?: number } = {}) {
    const ready = async () => ({ request });
    const one = row(JSON.stringify(request), AuthService.method.signUp, ready, { reason, rest: REST.signUp(status) });
    const { details } = await expectRefusal(service, one, ready);
    const [, badRequest] = details as { value: { fieldViolations?: { field: string; reason: string }[] } }[];
    return badRequest?.value.fieldViolations?.map(({ field, reason }) => [field, reason]);
  }

  for (const [field, rows, reason] of [
    ["email", EMAILS, "EMAIL_TAKEN"],
    ["username", USERNAMES, "USERNAME_TAKEN"],
  ] as const) {
    for (const [what, { first, same, refused }] of Object.entries(rows)) {
      it(`make one account or none of ${field}s that differ in ${what}, over gRPC, Connect, gRPC-Web and REST`, async () => {
        const { user } = await service.auth.signUp({ ...newPerson(), [field]: first });
        expect(user?.[field]).to.equal(first);
        await service.database.query(`UPDATE mails SET state = 'failed' WHERE ${TOO_LONG}`);
        for (const text of same) await refusedFor(reason, { ...newPerson(), [field]: text }, { old: 400, api: 409 });
        const recorded = { "sign_up_refused INVALID_ARGUMENT": WAYS * Object.keys(refused).length };
        await expectHarmless(service, { recorded }, async () => {
          for (const [text, fault] of Object.entries(refused))
            expect(await refusedFor("INVALID_ARGUMENT", { ...newPerson(), [field]: text })).to.deep.equal([
              [field, fault],
            ]);
          return [];
        });
        for (const login of [first, ...same]) {
          expect(await refusalOf(service.auth.signIn({ login, password: PASSWORD }))).to.equal("EMAIL_NOT_CONFIRMED");
        }
        for (const login of Object.keys(refused)) {
          const refusal = await refusalOf(service.auth.signIn({ login, password: PASSWORD }));
          expect(refusal, JSON.stringify(login)).to.be.oneOf(["INVALID_CREDENTIALS", "INVALID_ARGUMENT"]);
        }
      });
    }
  }

  it("are mailed to one recipient each, the address that was signed up first", async () => {
    const inState = async (where: string) =>
      (await service.database.query(`SELECT 1 FROM mails WHERE NOT ${TOO_LONG} AND ${where}`)).length;
    const queued = await inState("true");
    await waitUntil(async () => (await inState("state = 'sent'")) === queued);
    expect(smtp.received).to.have.length(queued);
    const accounts = await service.database.query<{ email: string }>("SELECT email FROM users");
    const addresses = new Set(accounts.map(({ email }) => email.toLowerCase()));
    for (const { recipients } of smtp.received) {
      expect(recipients).to.have.length(1);
      expect(addresses).to.include(recipients[0]?.toLowerCase());
    }
  });
});
