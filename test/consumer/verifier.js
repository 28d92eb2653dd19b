import { authenticate, createVerifier, VerifierAway } from "latchkey/verifier";

const [service, serviceKey, issuer, token] = process.argv.slice(2);
const verifier = createVerifier({ service, serviceKey, issuer });
await verifier.ready(AbortSignal.timeout(10_000));
const claims = await verifier.verify(token);
const stranger = await authenticate(verifier, { authorization: "Bearer x.y.z" });
verifier.close();
const closed = await verifier.verify(token).catch((error) => error);
// Nothing is left that would keep the process alive.
console.log(JSON.stringify({ username: claims.username, stranger, closed: closed instanceof VerifierAway }));
