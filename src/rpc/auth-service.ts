import type { ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { SignOutScope } from "../../gen/auth/v1/session_pb.ts";
import type { Auth } from "../auth/auth.ts";
import { invalidField } from "../auth/errors.ts";
import type { SignOutScope as Scope } from "../auth/sessions.ts";
import type { CallContextOf } from "./call-context.ts";
import { findCaller, requireCaller } from "./caller.ts";
import { sessionMessage, tokensMessage, userMessage } from "./messages.ts";

/** AuthService on the wire: each handler translates and nothing else. */
export const createAuthService = (auth: Auth, callContext: CallContextOf): ServiceImpl<typeof AuthService> => ({
  async signUp({ username, email, password, locale }, context) {
    const { user, tokens } = await auth.signUp({ username, email, password, locale }, callContext(context));
    return {
      ...(user && { user: userMessage(user) }),
      confirmationRequired: tokens === null,
      ...(tokens && { tokens: tokensMessage(tokens) }),
    };
  },

  async confirmEmail({ token, email, code }, context) {
    const confirmed = await auth.emailConfirmation.confirmEmail({ token, email, code }, callContext(context));
    if ("alreadyConfirmed" in confirmed) return { alreadyConfirmed: true };
    const { user, resetToken } = confirmed;
    return { user: userMessage(user), passwordRequired: resetToken !== null, resetToken: resetToken ?? "" };
  },

  requestEmailConfirmation: ({ email }, context) =>
    auth.emailConfirmation.requestEmailConfirmation({ email }, callContext(context)),

  async signIn({ login, password, deviceName, deviceToken, fixedRefreshToken }, context) {
    const { user, tokens } = await auth.signIn(
      { login, password, deviceName, deviceToken, fixedRefreshToken },
      callContext(context),
    );
    return { tokens: tokensMessage(tokens), user: userMessage(user) };
  },

  async refreshToken({ refreshToken }, context) {
    return { tokens: tokensMessage(await auth.sessions.refresh(refreshToken, callContext(context))) };
  },

  async signOut({ refreshToken, scope }, context) {
    const [caller, ended] = [findCaller(context), readScope(scope)];
    return { signedOut: await auth.sessions.signOut(refreshToken, caller, ended, callContext(context)) };
  },

  async getMe(_, context) {
    const { user, session } = await auth.sessions.getMe(requireCaller(context));
    return { user: userMessage(user), session: sessionMessage(session, session.id) };
  },

  async updateMe({ username, locale }, context) {
    return {
      user: userMessage(
        await auth.account.updateMe(requireCaller(context), { username, locale }, callContext(context)),
      ),
    };
  },

  async listSessions(_, context) {
    const caller = requireCaller(context);
    const sessions = await auth.sessions.list(caller);
    return { sessions: sessions.map((session) => sessionMessage(session, caller.sessionId)) };
  },

  async revokeSession({ sessionId }, context) {
    await auth.sessions.revoke(requireCaller(context), sessionId, callContext(context));
    return {};
  },

  async changePassword({ currentPassword, newPassword }, context) {
    const change = { currentPassword, newPassword };
    await auth.account.changePassword(requireCaller(context), change, callContext(context));
    return {};
  },

  async requestPasswordReset({ email }, context) {
    await auth.passwordReset.requestPasswordReset({ email }, callContext(context));
    return {};
  },

  async resetPassword({ token, newPassword }, context) {
    await auth.passwordReset.resetPassword({ token, newPassword }, callContext(context));
    return {};
  },
});

const SCOPES: ReadonlyMap<SignOutScope, Scope> = new Map([
  [SignOutScope.UNSPECIFIED, "SESSION"],
  [SignOutScope.SESSION, "SESSION"],
  [SignOutScope.OTHERS, "OTHERS"],
  [SignOutScope.ALL, "ALL"],
]);

function readScope(scope: SignOutScope): Scope {
  const known = SCOPES.get(scope);
  if (known) return known;
  throw invalidField("scope", "MALFORMED", "must be SESSION, OTHERS or ALL");
}
