import { expect } from "chai";
import { postForm } from "./support/http.ts";
import { bearer, newPerson, readMail, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey, tokenClient } from "./support/service-keys.ts";
import { statementsOf } from "./support/statements.ts";
import { claimsOf, refresh } from "./support/tokens.ts";

/** A genuine, unused token of each kind. */
interface Kinds {
  readonly access: string;
  readonly refresh: string;
  readonly confirm: string;
  readonly reset: string;
  readonly service: string;
}

type Kind = keyof Kinds;

/** A place where a token goes: which kinds it takes, and how it is told from an answer that it was refused. */
interface Place {
  readonly name: string;
  readonly wants: readonly Kind[];
  /** `asService` presents a service key that may introspect. */
  refuses(service: TestService, token: string, asService: ReturnType<typeof bearer>): Promise<boolean>;
}

const KINDS: readonly Kind[] = ["access", "refresh", "confirm", "reset", "service"];
const WORDS: Readonly<Record<Kind, string>> = {
  access: "call with",
  refresh: "refresh with",
  confirm: "confirm an address with",
  reset: "reset a password with",
  service: "speak for a service with",
};

const NEW_PASSWORD = "another horse battery";
const NO_SESSION = "00000000-0000-4000-8000-000000000000";

const refuses = async (call: Promise<unknown>) => (await refusalOf(call)) === "INVALID_TOKEN";

const PLACES: readonly Place[] = [
  { name: "GetMe", wants: ["access"], refuses: ({ auth }, token) => refuses(auth.getMe({}, bearer(token))) },
  {
    name: "ListSessions",
    wants: ["access"],
    refuses: ({ auth }, token) => refuses(auth.listSessions({}, bearer(token))),
  },
  {
    name: "RevokeSession",
    wants: ["access"],
    refuses: ({ auth }, token) => refuses(auth.revokeSession({ sessionId: NO_SESSION }, bearer(token))),
  },
  { name: "UpdateMe", wants: ["access"], refuses: ({ auth }, token) => refuses(auth.updateMe({}, bearer(token))) },
  {
    name: "ChangePassword",
    wants: ["access"],
    refuses: ({ auth }, token) => refuses(auth.changePassword({}, bearer(token))),
  },
  {
    name: "AdminService",
    wants: ["access", "service"],
    refuses: ({ admin }, token) => refuses(admin.listUsers({}, bearer(token))),
  },
  {
    name: "the bearer of SignOut",
    wants: ["access"],
    refuses: async ({ auth }, token) => !(await auth.signOut({}, bearer(token))).signedOut,
  },
  {
    name: "SignOut",
    wants: ["refresh"],
    refuses: async ({ auth }, token) => !(await auth.signOut({ refreshToken: token })).signedOut,
  },
  {
    name: "RefreshToken",
    wants: ["refresh"],
    refuses: ({ auth }, token) => refuses(auth.refreshToken({ refreshToken: token })),
  },
  { name: "ConfirmEmail", wants: ["confirm"], refuses: ({ auth }, token) => refuses(auth.confirmEmail({ token })) },
  {
    name: "ResetPassword",
    wants: ["reset"],
    refuses: ({ auth }, token) => refuses(auth.resetPassword({ token, newPassword: NEW_PASSWORD })),
  },
  {
    name: "the bearer of TokenService",
    wants: ["service"],
    refuses: (service, token) => refuses(tokenClient(service).introspectToken({}, bearer(token))),
  },
  {
    name: "the header beside a bearer",
    wants: ["service"],
    refuses: ({ auth }, token) => refuses(auth.signOut({}, { headers: { "x-latchkey-key": token } })),
  },
  {
    name: "Basic",
    wants: ["service"],
    refuses: async (service, token) => {
      const [, id = "id"] = /^lk_(.{12})_/.exec(token) ?? [];
      const headers = { authorization: `Basic ${Buffer.from(`${id}:${token}`).toString("base64")}` };
      return (await postForm(service, "/oauth2/introspect", { token: "x" }, headers)).status === 401;
    },
  },
  {
    name: "IntrospectToken",
    wants: ["access"],
    refuses: async (service, token, asService) =>
      !(await tokenClient(service).introspectToken({ token }, asService)).active,
  },
  {
    name: "introspection by HTTP",
    wants: ["access"],
    refuses: async (service, token, asService) => {
      const { text } = await postForm(service, "/oauth2/introspect", { token }, asService.headers);
      return text === '{"active":false}';
    },
  },
];

describe("a token", () => {
  let service: TestService;
  let kinds: Kinds;
  before(async () => {
    service = await startService();
    kinds = await issueAll(service);
  });
  after(() => service.stop());

  for (const { name, wants, refuses } of PLACES) {
    for (const kind of KINDS.filter((kind) => !wants.includes(kind))) {
      it(`to ${WORDS[kind]} is refused by ${name}, and costs no statement`, async () => {
        const statements = await statementsOf(async () => {
          expect(await refuses(service, kinds[kind], bearer(kinds.service))).to.equal(true);
        });
        expect(statements).to.deep.equal([]);
      });
    }
  }

  it("that was refused elsewhere is still good where it belongs", async () => {
    const confirmed = await service.auth.confirmEmail({ token: kinds.confirm });
    expect(confirmed.alreadyConfirmed).to.equal(false);
    await service.auth.getMe({}, bearer(kinds.access));
    const { active } = await tokenClient(service).introspectToken({ token: kinds.access }, bearer(kinds.service));
    expect(active).to.equal(true);
    expect(claimsOf(await refresh(service, kinds.refresh)).sid).to.equal(claimsOf({ accessToken: kinds.access }).sid);
    await service.auth.resetPassword({ token: kinds.reset, newPassword: NEW_PASSWORD });
  });

  for (const { name, wants, refuses } of PLACES) {
    for (const kind of wants) {
      it(`to ${WORDS[kind]} is taken by ${name}`, async () => {
        const fresh = await issueAll(service);
        expect(await refuses(service, fresh[kind], bearer(fresh.service))).to.equal(false);
      });
    }
  }
});

async function issueAll(service: TestService): Promise<Kinds> {
  const member = await signUpConfirmed(service);
  const { accessToken, refreshToken } = await signIn(service, member);
  await service.auth.requestPasswordReset({ email: member.email });
  const newcomer = newPerson();
  await service.auth.signUp(newcomer);
  const { token: reset } = await readMail(service, member.email, 2);
  const { token: confirm } = await readMail(service, newcomer.email);
  const { key, options } = await issueKey(service, ["introspect"]);
  // From here on the service knows the key without having to look for it.
  await tokenClient(service).introspectToken({}, options);
  return { access: accessToken, refresh: refreshToken, confirm, reset, service: key };
}
