import type { SignedIn, SignInSchema } from "../wire/rest-bodies.ts";

/** What goes with one call. */
export interface SignInCall {
  readonly signal: AbortSignal;
  readonly headers: Readonly<Record<string, string>>;
}

/** One way to the service. Throws AuthError when the service refuses; any other error means that it did not answer. */
export type SignIn = (schema: SignInSchema, call: SignInCall) => Promise<SignedIn>;
