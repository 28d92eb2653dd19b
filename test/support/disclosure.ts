import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { newPerson, signUpConfirmed } from "./people.ts";
import { type RawCall, rawCalls, rawForm, rawJson } from "./raw-answers.ts";
import type { TestService } from "./service.ts";

type FindAddress = (service: TestService) => Promise<string>;

const unconfirmed: FindAddress = async ({ auth }) => {
  const person = newPerson();
  await auth.signUp(person);
  return person.email;
};

/** Ways to come by an address, by what the service knows of it. */
export const ADDRESSES = {
  unknown: async () => newPerson().email,
  unconfirmed,
  "unconfirmed, and contested": async (service) => {
    const email = await unconfirmed(service);
    await service.database.query("UPDATE users SET password_contested = true WHERE email = $1", email);
    return email;
  },
  confirmed: async (service) => (await signUpConfirmed(service)).email,
  "of a blocked account": async (service) => {
    const { email } = await signUpConfirmed(service);
    await service.database.query("UPDATE users SET is_active = false WHERE email = $1", email);
    return email;
  },
  "of an account without a password": async (service) => {
    const { email } = await signUpConfirmed(service);
    await service.database.query("UPDATE users SET password_hash = NULL WHERE email = $1", email);
    return email;
  },
} satisfies Record<string, FindAddress>;

const { signUp, requestEmailConfirmation, requestPasswordReset } = AuthService.method;

/** A call that tells nobody whether an address has an account; and as it can be made in every way there is. */
export interface HiddenCall {
  readonly make: (service: TestService, email: string) => Promise<unknown>;
  readonly raw: (email: string) => Record<string, RawCall>;
  /** Templates that the holder of an address is mailed. */
  readonly mails: (address: string) => string[];
}

const isConfirmed = (address: string) => address !== "unknown" && !address.startsWith("unconfirmed");

/** What hides who has an account, by name. */
export const HIDDEN_CALLS = {
  "a sign-up": {
    make: ({ auth }, email) => auth.signUp({ ...newPerson(), email }),
    raw: (email) => {
      const request = () => ({ ...newPerson(), email });
      return {
        ...rawCalls(signUp, request()),
        "/auth/signup": rawJson("/auth/signup", request()),
        "/api/auth/signup": rawJson("/api/auth/signup", request()),
      };
    },
    mails: (address) => [isConfirmed(address) ? "address-in-use" : "confirm-email"],
  },
  "a request for a confirmation": {
    make: ({ auth }, email) => auth.requestEmailConfirmation({ email }),
    raw: (email) => ({
      ...rawCalls(requestEmailConfirmation, { email }),
      "/api/auth/request_email": rawJson("/api/auth/request_email", { email }),
      "the page": rawForm("/account/confirm/request", { email }),
    }),
    mails: (address) => {
      if (address === "unknown") return [];
      return [isConfirmed(address) ? "already-confirmed" : "confirm-email"];
    },
  },
  "a request for a reset": {
    make: ({ auth }, email) => auth.requestPasswordReset({ email }),
    raw: (email) => ({
      ...rawCalls(requestPasswordReset, { email }),
      "the page": rawForm("/account/reset/request", { email }),
    }),
    mails: (address) => (address === "unknown" ? [] : ["reset-password"]),
  },
} satisfies Record<string, HiddenCall>;
