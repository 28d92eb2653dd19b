import { timingSafeEqual } from "node:crypto";
import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import type { Revocation } from "../db/session-endings.ts";
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
  const findByCode = async (email: string, code: string): Promise<string | null> => {
    const key = parseLogin(email);
    if (!key || !("emailKey" in key) || !/^\d{6}$/.test(code)) return null;
    const id = await takeCodeTry(key.emailKey);
    return id !== null && timingSafeEqual(Buffer.from(sealedTokens.secretCode(id)), Buffer.from(code)) ? id : null;
  };

  const confirm = (
    tokenId: string,
    context: CallContext,
  ): Promise<{ user: User; resetId: string | null; ended: Revocation[] } | null> =>
    db.transaction(async (tx) => {
      // The account before its token, as the deletion of both has it: or the two would deadlock.
      const confirmed = (await tx.users.lockBySecretToken(tokenId)) && (await tx.users.confirmEmail(tokenId, context));
      if (!confirmed) return null;
      const { user, passwordRequired } = confirmed;
      if (!passwordRequired) return { user, resetId: null, ended: [] };
      const ended = await tx.sessions.endAll(user.id, "password_cleared", context);
      return { user, resetId: await mailReset(tx, user, "choose-password"), ended };
    });

  return {
    async confirmEmail({ token, email, code }: Confirmation, context: CallContext): Promise<Confirmed> {
      const tokenId = token === "" ? await findByCode(email, code) : sealedTokens.openSecret(token, "confirm_email");
      if (tokenId === null) throw new AuthError("INVALID_TOKEN");
      const confirmed = await confirm(tokenId, context);
      if (confirmed) {
        revocations.add(confirmed.ended);
        const resetToken = confirmed.resetId && sealedTokens.sealSecret(confirmed.resetId, "reset_password");
        return { user: confirmed.user, resetToken };
      }
      if (await db.statement(({ secretTokens }) => secretTokens.wasUsed(tokenId))) return { alreadyConfirmed: true };
      throw new AuthError("INVALID_TOKEN");
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
      return throttle.mail(email.key, context, (mayMail) =>
        db.transaction(async (tx) => {
          const user = await tx.addresses.lock(email.key);
          const reason = !user ? "USER_NOT_FOUND" : user.emailConfirmed ? "ALREADY_CONFIRMED" : null;
          const isTold = reason === "ALREADY_CONFIRMED" && !hidden;
          const template = user?.emailConfirmed ? "already-confirmed" : "confirm-email";
          const event = { type: "confirmation_requested", reason, trace: context } as const;
          if (mayMail && !isTold) await mailConfirmation(tx, user, event, template);
          else noteUnmailed(audit, user, event);
          return { alreadyConfirmed: isTold };
        }),
      );
    },
  };
}
