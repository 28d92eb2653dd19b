import { timingSafeEqual } from "node:crypto";
import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import type { Revocation } from "../db/session-endings.ts";
import { type Counted, NOT_COUNTED } from "../db/throttle.ts";
import type { User } from "../db/users.ts";
import type { Audit } from "./audit.ts";
import type { CallContext } from "./call-context.ts";
import { AuthError } from "./errors.ts";
import { requireFields } from "./fields.ts";
import { parseEmail, parseLogin } from "./identifiers.ts";
import { mailConfirmation, mailReset, noteUnmailed } from "./mailed-tokens.ts";
import type { Revocations } from "./revocations.ts";
import type { SealedTokens } from "./sealed-token.ts";
import type { Throttle } from "./throttle.ts";
import type { Turnstile } from "./turnstile.ts";

/** The token of a mailed link, or the address and the code of the same mail. */
export interface Confirmation {
  readonly token: string;
  readonly email: string;
  readonly code: string;
}

/** What a confirmation did; `resetToken` when the password was contested and must be chosen anew. */
export type Confirmed =
  | { readonly user: User; readonly resetToken: string | null }
  | { readonly alreadyConfirmed: true };

/** Proves addresses. */
export function createEmailConfirmation(
  config: Config,
  db: Database,
  throttle: Throttle,
  turnstile: Turnstile,
  sealedTokens: SealedTokens,
  revocations: Revocations,
  audit: Audit,
) {
  const hidden = config.accountDisclosure === "hidden";

  const takeCodeTry = (emailKey: string): Promise<string | null> => {
    if (!hidden) return db.statement(({ secretTokens }) => secretTokens.takeCodeTry(emailKey));
    return db.transaction(async ({ addresses, secretTokens }) => {
      await addresses.lock(emailKey);
      return secretTokens.takeCodeTryOrWrite(emailKey);
    });
  };

  /** The id of the token that a code was mailed beside; each call costs one of five tries. */
  const findByCode = async (emailKey: string, code: string): Promise<string | null> => {
    const id = await takeCodeTry(emailKey);
    return id !== null && timingSafeEqual(Buffer.from(sealedTokens.secretCode(id)), Buffer.from(code)) ? id : null;
  };

  const spend = (
    tokenId: string,
    counted: Counted,
    context: CallContext,
  ): Promise<{ user: User; resetId: string | null; ended: Revocation[] } | null> =>
    db.transaction(async (tx) => {
      // The account before its token, as the deletion of both has it: or the two would deadlock.
      const confirmed =
        (await tx.users.lockBySecretToken(tokenId)) && (await tx.addresses.confirm(tokenId, counted, context));
      if (!confirmed) return null;
      const { user, passwordRequired } = confirmed;
      if (!passwordRequired) return { user, resetId: null, ended: [] };
      const ended = await tx.sessions.endAll(user.id, "password_cleared", context);
      return { user, resetId: await mailReset(tx, user, "choose-password"), ended };
    });

  const confirm = async (tokenId: string | null, counted: Counted, context: CallContext): Promise<Confirmed> => {
    if (tokenId === null) throw new AuthError("INVALID_TOKEN");
    const confirmed = await spend(tokenId, counted, context);
    if (confirmed) {
      revocations.add(confirmed.ended);
      const resetToken = confirmed.resetId && sealedTokens.sealSecret(confirmed.resetId, "reset_password");
      return { user: confirmed.user, resetToken };
    }
    if (!(await db.statement(({ secretTokens }) => secretTokens.wasUsed(tokenId))))
      throw new AuthError("INVALID_TOKEN");
    await db.statement((stores) => stores.throttle.giveBack(counted));
    return { alreadyConfirmed: true };
  };

  return {
    /** Of a code each guess counts; a token cannot be guessed, and a bad one asks nothing of the database. */
    async confirmEmail({ token, email, code }: Confirmation, context: CallContext): Promise<Confirmed> {
      if (token !== "") return confirm(sealedTokens.openSecret(token, "confirm_email"), NOT_COUNTED, context);
      const key = parseLogin(email);
      if (!key || !("emailKey" in key) || !/^\d{6}$/.test(code)) throw new AuthError("INVALID_TOKEN");
      const { emailKey } = key;
      const guess = async (counted: Counted) => confirm(await findByCode(emailKey, code), counted, context);
      return turnstile.pass(context, () => throttle.guess(context, guess));
    },

    /**
     * Mails a fresh confirmation. An unknown address costs and answers what an unconfirmed one does; so does a confirmed
     * one, which is mailed that it is, where accounts are hidden.
     */
    async requestEmailConfirmation(
      request: { readonly email: string },
      context: CallContext,
    ): Promise<{ alreadyConfirmed: boolean }> {
      const { email } = requireFields({ email: () => parseEmail(request.email) });
      const mail = (mayMail: boolean) =>
        db.transaction(async (tx) => {
          const user = await tx.addresses.lock(email.key);
          const reason = !user ? "USER_NOT_FOUND" : user.emailConfirmed ? "ALREADY_CONFIRMED" : null;
          const isTold = reason === "ALREADY_CONFIRMED" && !hidden;
          const template = user?.emailConfirmed ? "already-confirmed" : "confirm-email";
          const event = { type: "confirmation_requested", reason, trace: context } as const;
          if (mayMail && !isTold) await mailConfirmation(tx, user, event, template);
          else noteUnmailed(audit, user, event);
          return { alreadyConfirmed: isTold };
        });
      return turnstile.pass(context, () => throttle.mail(email.key, context, mail));
    },
  };
}
