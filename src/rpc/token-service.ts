import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  type IntrospectTokenResponse,
  IntrospectTokenResponseSchema,
  type TokenService,
} from "../../gen/auth/v1/token_service_pb.ts";
import type { Auth } from "../auth/auth.ts";
import { AuthError } from "../auth/errors.ts";
import { SlowWatcher } from "../auth/revocation-watcher.ts";
import type { AccessClaims } from "../token/strict-jwt.ts";
import { requireServiceCaller } from "./caller.ts";
import { claimsMessage, revocationMessage, signingKeyMessage } from "./messages.ts";

/** TokenService on the wire: each handler translates and nothing else. */
export const createTokenService = ({
  sessions,
  signingKeys,
  revocations,
  serviceKeys,
}: Auth): ServiceImpl<typeof TokenService> => {
  const answerOf = createAnswers();
  return {
    async introspectToken({ token }) {
      const claims = await sessions.introspect(token);
      return claims ? answerOf(claims) : { active: false };
    },

    listSigningKeys: () => ({ keys: signingKeys.list().map(signingKeyMessage) }),

    async *watchRevocations({ cursor }, context) {
      const { id } = requireServiceCaller(context);
      const requireAllowed = () => {
        if (!serviceKeys.isGood(id)) throw new AuthError("INVALID_TOKEN");
      };
      try {
        const events = revocations.watch(cursor, { signal: context.signal, requireAllowed });
        for await (const event of events) yield revocationMessage(event);
      } catch (error) {
        if (error instanceof SlowWatcher) throw new ConnectError("Too far behind", Code.ResourceExhausted);
        throw error;
      }
    },
  };
};

/** Of a token that is asked about again and again the claims are one object, and to make the answer takes longest. */
function createAnswers() {
  const answers = new WeakMap<AccessClaims, IntrospectTokenResponse>();
  return (claims: AccessClaims): IntrospectTokenResponse => {
    const known = answers.get(claims);
    if (known) return known;
    const answer = create(IntrospectTokenResponseSchema, { active: true, claims: claimsMessage(claims) });
    answers.set(claims, answer);
    return answer;
  };
}
