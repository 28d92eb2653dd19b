import type { SignedIn, SignInSchema } from "../wire/rest-bodies.ts";
import { connectSignIn, type SignInClient } from "./connect-sign-in.ts";
import { AuthError, BadRequestError } from "./errors.ts";
import type { SignIn } from "./sign-in.ts";

export { reasonOf } from "../wire/error-details.ts";
export type { Fault } from "../wire/faults.ts";
export type { AccountBody, TokensBody } from "../wire/rest-bodies.ts";
export type { Detail } from "./errors.ts";
export { httpSignIn } from "./http-sign-in.ts";
export { AuthError, BadRequestError, type SignedIn, type SignIn, type SignInClient, type SignInSchema };

/** What a caller may want of one sign-in. */
export interface SignInOptions {
  /** Ends the call; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for the answer: 10 s unless given. */
  readonly timeoutMs?: number | undefined;
  /** Sent along, as metadata over gRPC. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

const TIMEOUT_MS = 10_000;

/** Signs people in for a gateway, by the generated client or by HTTP, with the same answers from both. */
export class AuthService {
  readonly #signIn: SignIn;

  constructor(way: SignInClient | SignIn) {
    this.#signIn = typeof way === "function" ? way : connectSignIn(way);
  }

  /** Signs a person in. Throws AuthError when the service refuses, BadRequestError when there is no answer from it. */
  async signIn(
    schema: SignInSchema,
    { signal, timeoutMs = TIMEOUT_MS, headers = {} }: SignInOptions = {},
  ): Promise<SignedIn> {
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      return await this.#signIn(schema, { signal: signal ? AbortSignal.any([signal, timeout]) : timeout, headers });
    } catch (error) {
      if (error instanceof AuthError) throw error;
      signal?.throwIfAborted();
      throw new BadRequestError("Auth Service not available", { cause: error });
    }
  }
}
