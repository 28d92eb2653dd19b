import { expect } from "chai";
import type { SignInResponse } from "../gen/auth/v1/auth_service_pb.ts";
import { type Pair, startPair } from "./support/pair.ts";
import { bearer, newPerson, PASSWORD, readMail, refusalOf } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { passTime } from "./support/time.ts";

const DAY = 24 * 3_600_000;
const ROUNDS = 50;

type Person = ReturnType<typeof newPerson>;

describe("an abandoned account that somebody comes back to while the clean-up runs", () => {
  let pair: Pair;
  let service: TestService;
  beforeEach(async () => {
    pair = await startPair();
    service = pair.first;
  });
  afterEach(() => pair.stop());

  const signUpMany = async () => {
    const people = Array.from({ length: ROUNDS }, newPerson);
    await Promise.all(people.map((person) => service.auth.signUp(person)));
    for (const { email } of people) await readMail(service, email);
    return people;
  };
  const isThere = async (email: string) =>
    (await service.database.query("SELECT 1 FROM users WHERE email = $1", email)).length > 0;

  /** Makes an account eight days old, and its link with it. */
  const abandon = (email: string) =>
    service.database.query(
      `WITH u AS (UPDATE users SET created_at = now() - interval '8 d' WHERE email = $1 RETURNING id)
       UPDATE secret_tokens t SET expires_at = now() - interval '7 d' FROM u WHERE t.user_id = u.id AND t.created_at < now() - interval '1 h'`,
      email,
    );

  /** Cleans up in both processes again and again until all calls are answered. */
  const cleanUpDuring = async (calls: readonly Promise<unknown>[]): Promise<void> => {
    let answered = false;
    const end = Promise.allSettled(calls).then(() => {
      answered = true;
    });
    const cleanUpUntilThen = async ({ app }: TestService) => {
      while (!answered) expect((await app.cleanUp()).failed).to.deep.equal([]);
    };
    await Promise.all([end, cleanUpUntilThen(pair.first), cleanUpUntilThen(pair.second)]);
  };

  /** Each account is abandoned and come back to at once, one after the other, while the clean-up runs. */
  const comeBack = async (people: readonly Person[], call: (person: Person) => Promise<unknown>): Promise<void> => {
    const each = async () => {
      for (const [index, person] of people.entries()) {
        const [first, second] =
          index % 2 ? [abandon(person.email), call(person)] : [call(person), abandon(person.email)];
        await Promise.all([first, second]);
      }
    };
    await cleanUpDuring([each()]);
  };

  it("is either gone, or has a fresh link that works", async () => {
    const people = await signUpMany();
    await passTime(service, DAY);
    await comeBack(people, ({ email }) => service.auth.requestEmailConfirmation({ email }));
    for (const { email } of people) {
      if (!(await isThere(email))) continue;
      const { token } = await readMail(service, email, 2);
      await service.auth.confirmEmail({ token });
    }
  });

  it("is either gone, or signed in to a session that works", async () => {
    const people = await signUpMany();
    await passTime(service, DAY);
    const { database, clock, mails } = service;
    const lenient = await startService({ database, clock, mails, config: { emailConfirmation: "optional" } });
    const answers = new Map<string, Promise<SignInResponse>>();
    await comeBack(people, ({ username: login, email }) => {
      const answer = lenient.auth.signIn({ login, password: PASSWORD });
      answers.set(email, answer);
      return answer.catch(() => {});
    });
    for (const [email, answer] of answers) {
      const refusal = await refusalOf(answer);
      expect(refusal).to.equal((await isThere(email)) ? "" : "INVALID_CREDENTIALS");
      if (refusal !== "") continue;
      const { user } = await lenient.auth.getMe({}, bearer((await answer).tokens?.accessToken ?? ""));
      expect(user?.email).to.equal(email);
    }
    await lenient.stop();
  });

  it("is there for good when its link still worked", async () => {
    const people = await signUpMany();
    await service.database.query("UPDATE users SET created_at = now() - interval '8 d'");
    const tokens = await Promise.all(people.map(({ email }) => readMail(service, email)));
    const calls = tokens.map(({ token }) => service.auth.confirmEmail({ token }));
    await cleanUpDuring(calls);
    for (const { user } of await Promise.all(calls)) expect(user?.emailConfirmed).to.equal(true);
    await passTime(service, 8 * DAY);
    expect((await service.app.cleanUp()).deleted.users).to.equal(0);
  });
});
