import { expect } from "chai";
import { bearer, newPerson, readMail, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";
import { claimsOf, refresh } from "./support/tokens.ts";

/** A genuine, unused token of each kind. */
interface Kinds {
  readonly access: string;
  readonly refresh: string;
  readonly confirm: string;
  readonly reset: string;
}

type Kind = keyof Kinds;

/** A place where a token goes: which kind it wants, and how it is told from an answer that it was refused. */
interface Place {
  readonly name: string;
  readonly wants: Kind;
  refuses(service: TestService, token: string): Promise<boolean>;
}

const KINDS: readonly Kind[] = ["access", "refresh", "confirm", "reset"];
const WORDS: Readonly<Record<Kind, string>> = {
  access: "call with",
  refresh: "refresh with",
  confirm: "confirm an address with",
  reset: "reset a password with",
};

const NEW_PASSWORD = "another horse battery";
const NO_SESSION = "00000000-0000-4000-8000-000000000000";

const refuses = async (call: Promise<unknown>) => (await refusalOf(call)) === "INVALID_TOKEN";

const PLACES: readonly Place[] = [
  { name: "GetMe", wants: "access", refuses: ({ auth }, token) => refuses(auth.getMe({}, bearer(token))) },
  {
    name: "ListSessions",
    wants: "access",
    refuses: ({ auth }, token) => refuses(auth.listSessions({}, bearer(token))),
  },
  {
    name: "RevokeSession",
    wants: "access",
    refuses: ({ auth }, token) => refuses(auth.revokeSession({ sessionId: NO_SESSION }, bearer(token))),
  },
  { name: "UpdateMe", wants: "access", refuses: ({ auth }, token) => refuses(auth.updateMe({}, bearer(token))) },
  {
    name: "ChangePassword",
    wants: "access",
    refuses: ({ auth }, token) => refuses(auth.changePassword({}, bearer(token))),
  },
  { name: "AdminService", wants: "access", refuses: ({ admin }, token) => refuses(admin.listUsers({}, bearer(token))) },
  {
    name: "the bearer of SignOut",
    wants: "access",
    refuses: async ({ auth }, token) => !(await auth.signOut({}, bearer(token))).signedOut,
  },
  {
    name: "SignOut",
    wants: "refresh",
    refuses: async ({ auth }, token) => !(await auth.signOut({ refreshToken: token })).signedOut,
  },
  {
    name: "RefreshToken",
    wants: "refresh",
    refuses: ({ auth }, token) => refuses(auth.refreshToken({ refreshToken: token })),
  },
  { name: "ConfirmEmail", wants: "confirm", refuses: ({ auth }, token) => refuses(auth.confirmEmail({ token })) },
  {
    name: "ResetPassword",
    wants: "reset",
    refuses: ({ auth }, token) => refuses(auth.resetPassword({ token, newPassword: NEW_PASSWORD })),
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
    for (const kind of KINDS.filter((kind) => kind !== wants)) {
      it(`to ${WORDS[kind]} is refused by ${name}, and costs no statement`, async () => {
        const statements = await statementsOf(async () => {
          expect(await refuses(service, kinds[kind])).to.equal(true);
        });
        expect(statements).to.deep.equal([]);
      });
    }
  }

  it("that was refused elsewhere is still good where it belongs", async () => {
    const confirmed = await service.auth.confirmEmail({ token: kinds.confirm });
    expect(confirmed.alreadyConfirmed).to.equal(false);
    await service.auth.getMe({}, bearer(kinds.access));
    expect(claimsOf(await refresh(service, kinds.refresh)).sid).to.equal(claimsOf({ accessToken: kinds.access }).sid);
    await service.auth.resetPassword({ token: kinds.reset, newPassword: NEW_PASSWORD });
  });

  for (const { name, wants, refuses } of PLACES) {
    it(`to ${WORDS[wants]} is taken by ${name}`, async () => {
      expect(await refuses(service, (await issueAll(service))[wants])).to.equal(false);
    });
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
  return { access: accessToken, refresh: refreshToken, confirm, reset };
}
