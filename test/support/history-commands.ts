import fc from "fast-check";
import type { SignOutScope } from "../../src/auth/sessions.ts";

/** Which password is given as the account's own: `next` is the one after it, which may be on its way. */
export type Guess = "right" | "wrong" | "old" | "next";

/**
 * What somebody is about to do. Sessions, refresh tokens and access tokens are counted back from the user's newest, so
 * that a history still makes sense when earlier parts of it are left out.
 */
export type Intent =
  | { readonly call: "signIn"; readonly password: Guess; readonly fixed: boolean }
  | { readonly call: "refresh"; readonly session: number; readonly age: number }
  | {
      readonly call: "signOut";
      readonly session: number;
      readonly age: number;
      readonly by: "refresh" | "bearer";
      readonly scope: SignOutScope;
    }
  /** `other` counts back from anybody's newest. */
  | { readonly call: "revokeSession"; readonly session: number; readonly other: number }
  | { readonly call: "getMe"; readonly session: number; readonly age: number }
  | { readonly call: "listSessions"; readonly session: number; readonly age: number }
  | { readonly call: "block"; readonly minutes: number | null }
  | { readonly call: "unblock" }
  | { readonly call: "revokeAll" }
  | { readonly call: "delete" }
  | { readonly call: "changePassword"; readonly session: number; readonly age: number; readonly password: Guess }
  | { readonly call: "requestReset" }
  | { readonly call: "resetPassword"; readonly age: number };

/** An intent, which of the two processes gets it, and how many turns of the event loop after the others it starts. */
export type Command = Intent & { readonly process: number; readonly lag: number };

/** Time that passes, or calls about one user, all under way at once. */
export type Step = { readonly minutes: number } | { readonly user: number; readonly calls: readonly Command[] };

/** How many people a history has. */
export const USERS = 2;

const name = <const Call extends Intent["call"]>(call: Call) => fc.constant(call);
const session = fc.nat({ max: 2 });
const guess = fc.constantFrom<Guess>("right", "right", "right", "wrong", "old", "next");
const age = fc.constantFrom(0, 0, 0, 1, 1, 2);
// Even, unlike every lifetime: within the grace, beyond it, beyond an access token's life, most of an idle session's.
const minutes = fc.constantFrom(2, 2, 2, 6, 62, 1440, 1440);

const intent: fc.Arbitrary<Intent> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ call: name("refresh"), session, age }) },
  {
    weight: 4,
    arbitrary: fc.record({ call: name("signIn"), password: guess, fixed: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      call: name("signOut"),
      session,
      age,
      by: fc.constantFrom("refresh", "bearer"),
      scope: fc.constantFrom("SESSION", "OTHERS", "ALL"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ call: name("revokeSession"), session, other: fc.nat({ max: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ call: fc.constantFrom("getMe", "listSessions"), session, age }) },
  { weight: 2, arbitrary: fc.record({ call: name("block"), minutes: fc.constantFrom(null, 3, 99) }) },
  { weight: 3, arbitrary: fc.record({ call: name("unblock") }) },
  { weight: 1, arbitrary: fc.record({ call: name("revokeAll") }) },
  { weight: 1, arbitrary: fc.record({ call: name("delete") }) },
  { weight: 3, arbitrary: fc.record({ call: name("changePassword"), session, age, password: guess }) },
  { weight: 2, arbitrary: fc.record({ call: name("requestReset") }) },
  { weight: 4, arbitrary: fc.record({ call: name("resetPassword"), age: fc.constantFrom(0, 0, 1) }) },
);

const command: fc.Arbitrary<Command> = fc
  .tuple(intent, fc.nat({ max: 1 }), fc.nat({ max: 12 }))
  .map(([intent, process, lag]) => ({ ...intent, process, lag }));

// Half of the time all that concerns a session concerns the same one.
const calls: fc.Arbitrary<Step> = fc
  .tuple(
    fc.nat({ max: USERS - 1 }),
    fc.option(fc.nat({ max: 1 }), { freq: 1 }),
    fc.array(command, { minLength: 1, maxLength: 4, size: "max" }),
  )
  .map(([user, session, calls]) => ({
    user,
    calls: calls.map((call) => (session !== null && "session" in call ? { ...call, session } : call)),
  }));

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: calls },
  { weight: 1, arbitrary: minutes.map((minutes) => ({ minutes })) },
);

/** Histories of two to ten steps, without fast-check's preference for short ones. */
export const histories: fc.Arbitrary<readonly Step[]> = fc.noBias(
  fc.array(step, { minLength: 2, maxLength: 10, size: "max" }),
);
