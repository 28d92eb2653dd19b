import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import type { Audit } from "./audit.ts";
import type { CallContext } from "./call-context.ts";
import { AuthError } from "./errors.ts";
import { requireFields } from "./fields.ts";
import { parseEmail } from "./identifiers.ts";
import { mailReset, noteUnmailed } from "./mailed-tokens.ts";
import { parseNewPassword } from "./password.ts";
import type { PasswordHashes } from "./password-hash.ts";
import type { Revocations } from "./revocations.ts";
import type { SealedTokens } from "./sealed-token.ts";
import type { Throttle } from "./throttle.ts";
import type { Turnstile } from "./turnstile.ts";

const PURPOSE = "reset_password";

/** Lets the holder of an address choose a new password. */
export function createPasswordReset(
  config: Config,
  db: Database,
  hashes: PasswordHashes,
  throttle: Throttle,
  turnstile: Turnstile,
  sealedTokens: SealedTokens,
  revocations: Revocations,
  audit: Audit,
) {
  return {
    /** Does the same for an unknown address as for a known one, to the last statement. */
    async requestPasswordReset(request: { readonly email: string }, context: CallContext): Promise<void> {
      const { email } = requireFields({ email: () => parseEmail(request.email) });
      const mail = (mayMail: boolean) =>
        db.transaction(async (tx) => {
          const user = await tx.addresses.lock(email.key);
          const reason = user ? null : "USER_NOT_FOUND";
          const event = { type: "password_reset_requested", reason, trace: context } as const;
          if (mayMail) await mailReset(tx, user, "reset-password", event);
          else noteUnmailed(audit, user, event);
        });
      await turnstile.pass(context, () => throttle.mail(email.key, context, mail));
    },

    /** Sets the password and ends every session. A refused password leaves the token unspent. */
    async resetPassword(
      { token, newPassword }: { readonly token: string; readonly newPassword: string },
      context: CallContext,
    ): Promise<void> {
      const id = sealedTokens.openSecret(token, PURPOSE);
      if (!id) throw new AuthError("INVALID_TOKEN");
      using place = hashes.admit(context);
      const owner = await db.statement(({ secretTokens }) => secretTokens.findOwner(id, PURPOSE));
      if (!owner) throw new AuthError("INVALID_TOKEN");
      context.concerns({ userId: owner.userId });
      const fields = requireFields({
        new_password: () => parseNewPassword(newPassword, config.passwordMinLength, owner),
      });
      const passwordHash = await hashes.hash(fields.new_password, place);
      const { userId } = owner;
      const done = await db.transaction(async (tx) => {
        const { secretTokens, users, sessions } = tx;
        // The account before its tokens, as a request for another token has it: or the two would deadlock.
        if (!(await users.lock(userId)) || !(await secretTokens.use(id, PURPOSE))) return null;
        await users.setPassword(userId, passwordHash, context);
        const forgetReached = await throttle.forgive(tx, userId);
        return { forgetReached, ended: await sessions.endAll(userId, "password_reset", context) };
      });
      if (!done) throw new AuthError("INVALID_TOKEN");
      done.forgetReached();
      revocations.add(done.ended);
    },
  };
}
