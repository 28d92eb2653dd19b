import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { TestService } from "./service.ts";
import { waitUntil } from "./wait.ts";

export const PASSWORD = "correct horse battery";

let people = 0;

/** Names that nobody has yet. */
export function newPerson(): { username: string; email: string; password: string } {
  const username = `person${++people}`;
  return { username, email: `${username}@example.com`, password: PASSWORD };
}

/** Signs somebody up and confirms the address by the mailed link. */
export async function signUpConfirmed(service: TestService, person = newPerson()) {
  await service.auth.signUp(person);
  const { token } = await readMail(service, person.email);
  const { user } = await service.auth.confirmEmail({ token });
  return { ...person, id: user?.id ?? 0n };
}

/** Signs in and gives the tokens, with the header for calls that need a bearer. */
export async function signIn(service: TestService, { username, password }: { username: string; password: string }) {
  const { tokens, user } = await service.auth.signIn({ login: username, password });
  if (!tokens || !user) throw new Error("a sign-in gave no tokens");
  return { ...tokens, user, options: bearer(tokens.accessToken) };
}

/** The call options that carry an access token. */
export function bearer(accessToken: string): { headers: Record<string, string> } {
  return { headers: { authorization: `Bearer ${accessToken}` } };
}

/** Makes a confirmed account an admin, and signs it in. */
export async function signInAdmin(service: TestService) {
  const person = await signUpConfirmed(service);
  await service.database.query("UPDATE users SET roles = '{admin}' WHERE id = $1", person.id);
  return { ...person, ...(await signIn(service, person)) };
}

/** The newest mail to an address, once it has come, with its token and code; `count` is how many must have come. */
export async function readMail({ mails }: TestService, email: string, count = 1) {
  const received = () => mails.filter(({ to }) => to === email);
  await waitUntil(() => received().length >= count);
  const mail = received().at(-1);
  const [, kind = "", token = ""] = /\/account\/(confirm|reset)\/([\w-]+)/.exec(mail?.text ?? "") ?? [];
  const [code = ""] = /\b\d{6}\b/.exec(mail?.text ?? "") ?? [];
  return { kind, token, code, subject: mail?.subject ?? "", text: mail?.text ?? "", html: mail?.html ?? "" };
}

/** The reason with which a call was refused; "" when it was not. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => null,
    (reason) => ConnectError.from(reason),
  );
  return error === null ? "" : (error.findDetails(ErrorInfoSchema)[0]?.reason ?? `no reason: ${error.message}`);
}
