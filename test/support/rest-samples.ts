import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { expect } from "chai";
import type { Reply, Sent } from "./fake-gateway.ts";

const NOW = new Date("2026-03-04T05:06:07.500Z");
/** An account as RPCs answer it. */
export const USER = {
  id: 41n,
  username: "ada",
  email: "ada@example.com",
  isActive: true,
  emailConfirmed: true,
  roles: ["admin"],
  createTime: timestampFromDate(NOW),
};
/** Tokens as RPCs answer them. */
export const TOKENS = {
  accessToken: "access-1",
  refreshToken: "refresh-1",
  tokenType: "bearer",
  expiresIn: 86_400,
  accessExpireTime: timestampFromDate(new Date(Date.UTC(2026, 2, 5, 5, 6, 7))),
  refreshExpireTime: timestampFromDate(new Date(NOW.getTime() + 2_592_000_000)),
};
/** The account as the documented routes tell it. */
export const ACCOUNT_BODY = { id: 41, username: "ada", email: "ada@example.com", is_active: true };
/** The tokens as the routes tell them. */
export const TOKENS_BODY = {
  access_token: "access-1",
  refresh_token: "refresh-1",
  token_type: "bearer",
  expires_in: 86_400,
  refresh_expires_in: 2_592_000,
};

/** A JSON body. */
export const json = (body: unknown, headers: Record<string, string> = {}): Sent => ({
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(body),
});
/** A form body. */
export const form = (body: string): Sent => ({
  headers: { "content-type": "application/x-www-form-urlencoded" },
  body,
});
/** A bearer token. */
export const bearer = (token: string): Sent => ({ headers: { authorization: `Bearer ${token}` } });
/** The JSON of an answer. */
export const parsed = (reply: Reply) => JSON.parse(reply.body);

/** Checks that a request was refused for one member of it. */
export function expectFault(reply: Reply, fault: { readonly loc: readonly string[]; readonly type: string }): void {
  expect(reply.status).to.equal(422);
  expect(parsed(reply).code).to.equal("INVALID_ARGUMENT");
  expect(parsed(reply).detail[0]).to.include({ type: fault.type }).and.to.have.deep.property("loc", fault.loc);
}
