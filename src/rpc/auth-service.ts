import type { ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { SignOutScope } from "../../gen/auth/v1/session_pb.ts";
import type { Auth } from "../auth/auth.ts";
import { AuthError } from "../auth/errors.ts";
import type { SignOutScope as Scope } from "../auth/sessions.ts";
import { findCaller, requireCaller } from "./caller.ts";
import { deadlineOf } from "./deadline.ts";
import { sessionMessage, tokensMessage, userMessage } from "./messages.ts";
import { peerAddress } from "./peer.ts";

/** AuthService on the wire: each handler translates and nothing else. */
export const createAuthService = (auth: Auth): ServiceImpl<typeof AuthService> => ({
  async signUp({ username, email, password, locale }, context) {
    const address = context.values.get(peerAddress);
    const { user, tokens } = await auth.signUp({ username, email, password, locale, address }, deadlineOf(context));
    return {
      user: userMessage(user),
      confirmationRequired: tokens === null,
      ...(tokens && { tokens: tokensMessage(tokens) }),
    };
  },

  async confirmEmail({ token, email, code }) {
    const confirmed = await auth.emailConfirmation.confirmEmail({ token, email, code });
    if ("alreadyConfirmed" in confirmed) return { alreadyConfirmed: true };
    const { user, resetToken } = confirmed;
    return { user: userMessage(user), passwordRequired: resetToken !== null, resetToken: resetToken ?? "" };
  },

  requestEmailConfirmation: ({ email }) => auth.emailConfirmation.requestEmailConfirmation({ email }),

  async signIn({ login, password, deviceName, fixedRefreshToken }, context) {
    const address = context.values.get(peerAddress);
    const { user, tokens } = await auth.signIn(
      { login, password, deviceName, fixedRefreshToken, address },
      deadlineOf(context),
    );
    return { tokens: tokensMessage(tokens), user: userMessage(user) };
  },

  async refreshToken({ refreshToken }) {
    return { tokens: tokensMessage(await auth.sessions.refresh(refreshToken)) };
  },

  async signOut({ refreshToken, scope }, context) {
    return { signedOut: await auth.sessions.signOut(refreshToken, findCaller(context), readScope(scope)) };
  },

  async getMe(_, context) {
    const { user, session } = await auth.sessions.getMe(requireCaller(context));
    return { user: userMessage(user), session: sessionMessage(session, session.id) };
  },

  async updateMe({ username, locale }, context) {
    return { user: userMessage(await auth.account.updateMe(requireCaller(context), { username, locale })) };
  },

  async listSessions(_, context) {
    const caller = requireCaller(context);
    const sessions = await auth.sessions.list(caller);
    return { sessions: sessions.map((session) => sessionMessage(session, caller.sessionId)) };
  },

  async revokeSession({ sessionId }, context) {
    await auth.sessions.revoke(requireCaller(context), sessionId);
    return {};
  },

  async changePassword({ currentPassword, newPassword }, context) {
    const change = { currentPassword, newPassword };
    await auth.account.changePassword(requireCaller(context), change, deadlineOf(context));
    return {};
  },

  async requestPasswordReset({ email }) {
    await auth.passwordReset.requestPasswordReset({ email });
    return {};
  },

  async resetPassword({ token, newPassword }, context) {
    await auth.passwordReset.resetPassword({ token, newPassword }, deadlineOf(context));
    return {};
  },
});

const SCOPES: Readonly<Record<SignOutScope, Scope>> = {
  [SignOutScope.UNSPECIFIED]: "SESSION",
  [SignOutScope.SESSION]: "SESSION",
  [SignOutScope.OTHERS]: "OTHERS",
  [SignOutScope.ALL]: "ALL",
};

function readScope(scope: number): Scope {
  const known = Object.entries(SCOPES).find(([value]) => Number(value) === scope)?.[1];
  if (known) return known;
  const violation = { field: "scope", reason: "MALFORMED", description: "must be SESSION, OTHERS or ALL" } as const;
  throw new AuthError("INVALID_ARGUMENT", { violations: [violation] });
}
