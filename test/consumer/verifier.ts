import type { Interceptor } from "@connectrpc/connect";
import {
  type AccessClaims,
  type AwayPolicy,
  authenticate,
  connectInterceptor,
  createVerifier,
  grpcInterceptor,
  type Verifier,
  VerifierAway,
  type VerifierOptions,
} from "latchkey/verifier";

const [service = "", serviceKey = "", issuer = "", token = ""] = process.argv.slice(2);
const whenAway: AwayPolicy = "reject";
const options: VerifierOptions = { service, serviceKey, issuer, whenAway, audience: undefined };
const verifier: Verifier = createVerifier(options);
const interceptor: Interceptor = connectInterceptor(verifier);
const interceptors = [interceptor, grpcInterceptor(verifier, { isPublic: (path) => path === "/" })];

// @ts-expect-error nobody's tokens are taken without saying whose
const incomplete: VerifierOptions = { service, serviceKey };

await verifier.ready(AbortSignal.timeout(10_000));
const claims: AccessClaims | null = await verifier.verify(token);
const stranger = await authenticate(verifier, { authorization: "Bearer x.y.z" });
verifier.close();
const closed: unknown = await verifier.verify(token).catch((error: unknown) => error);
const isClosed = closed instanceof VerifierAway && interceptors.length === 2 && "service" in incomplete;
console.log(JSON.stringify({ username: claims?.username, stranger, closed: isClosed }));
