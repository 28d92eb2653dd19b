import type { Stores } from "../db/database.ts";
import type { NoticeTemplate, TokenTemplate } from "../db/mails.ts";
import type { MailRequest } from "../db/secret-tokens.ts";
import type { User } from "../db/users.ts";
import type { Audit } from "./audit.ts";

const MINUTE = 60_000;
const CONFIRMATION_TTL = 24 * 60 * MINUTE;
const CODE_TTL = 10 * MINUTE;
const RESET_TTL = 30 * MINUTE;

/** Whom a mail is for; null: nobody, at the same cost. */
type Addressee = Pick<User, "id" | "email"> | null;

// No account has it.
const NO_ID = 0;

/**
 * Puts a mail with a fresh confirmation token and code into the outbox; earlier links stay good. A notice in its place
 * tells neither of them, which could confirm nothing.
 */
export async function mailConfirmation(
  { secretTokens, outbox }: Stores,
  user: Addressee,
  event: MailRequest | null = null,
  template: "confirm-email" | NoticeTemplate = "confirm-email",
): Promise<void> {
  const lifetimes = { ttl: CONFIRMATION_TTL, codeTtl: CODE_TTL };
  const id = await secretTokens.insert({ purpose: "confirm_email", user, ...lifetimes, event });
  await outbox.add(template, id);
}

/**
 * Puts a mail with a fresh reset token into the outbox and makes earlier ones worthless; gives the token's id. The
 * transaction must hold the account's row, or two of these at once would leave two good tokens.
 */
export async function mailReset(
  { secretTokens, outbox }: Stores,
  user: Addressee,
  template: TokenTemplate,
  event: MailRequest | null = null,
): Promise<string> {
  await secretTokens.supersede(user?.id ?? NO_ID, "reset_password");
  const id = await secretTokens.insert({ purpose: "reset_password", user, ttl: RESET_TTL, codeTtl: null, event });
  await outbox.add(template, id);
  return id;
}

/** Has the audit log tell of a request for a mail that is not sent: for its reason, or since there were too many. */
export function noteUnmailed({ note }: Audit, user: Addressee, { type, reason, trace }: MailRequest): void {
  const { actor, address } = trace;
  note({ type, reason: reason ?? "RATE_LIMITED", actor, address, userId: user?.id ?? null });
}
