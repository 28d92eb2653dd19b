import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { reasonOf, type Violation, violationsOf } from "../wire/error-details.ts";
import { faultList, isText, notText } from "../wire/faults.ts";
import { LOGIN_MEMBERS, type SignInSchema, signedInBody } from "../wire/rest-bodies.ts";
import { AuthError } from "./errors.ts";
import type { SignIn } from "./sign-in.ts";

/** The part of the generated client that a sign-in needs. */
export type SignInClient = Pick<Client<typeof AuthService>, "signIn">;

/** The way by RPC, over whatever transport the client was made for. */
export function connectSignIn(client: SignInClient): SignIn {
  return async (schema, { signal, headers }) => {
    const login = LOGIN_MEMBERS.find((member) => isPresent(schema[member])) ?? "login";
    const locate: Locate = (field) => ["body", field === "login" ? login : field];
    const request = readRequest({ ...schema, login: schema[login] }, locate);
    const response = await client.signIn(request, { signal, headers }).catch((error) => {
      throw toRefusal(error, locate) ?? error;
    });
    return signedInBody(response);
  };
}

/** In which member of the schema a field stood. */
type Locate = (field: string) => readonly string[];

// As the REST route reads its body, wrong types too: the schema may be somebody's JSON.
function readRequest(schema: SignInSchema, locate: Locate) {
  const violations: Violation[] = [];
  const read = (field: "login" | "password" | "device_name" | "device_token") => {
    const value = schema[field];
    if (!isPresent(value)) return "";
    if (isText(value)) return value;
    violations.push(notText(field));
    return "";
  };
  const request = {
    login: read("login"),
    password: read("password"),
    deviceName: read("device_name"),
    deviceToken: read("device_token"),
  };
  if (violations.length > 0) throw invalidRequest(violations, locate);
  return request;
}

/** What the service says by an error; null when the error is not the service's. */
function toRefusal(error: unknown, locate: Locate): AuthError | null {
  if (!(error instanceof ConnectError)) return null;
  if (isTooLarge(error)) return new AuthError("Request body too large", "PAYLOAD_TOO_LARGE");
  const reason = reasonOf(error);
  if (reason === undefined) return null;
  if (reason === "INVALID_ARGUMENT") return invalidRequest(violationsOf(error), locate, error.rawMessage);
  return new AuthError(error.rawMessage, reason);
}

// The listeners refuse such a message before there is a call that could be given a reason.
function isTooLarge(error: ConnectError): boolean {
  return error.code === Code.ResourceExhausted && error.isWireError && error.details.length === 0;
}

function invalidRequest(violations: readonly Violation[], locate: Locate, message = "Invalid request"): AuthError {
  return new AuthError(faultList(violations, message, locate), "INVALID_ARGUMENT");
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}
