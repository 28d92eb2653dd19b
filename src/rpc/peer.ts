import { isIP, isIPv6, SocketAddress } from "node:net";
import { createContextKey } from "@connectrpc/connect";

/** IP address of the connection's other end, as both listeners put it into a call's context; "" when there is none. */
export const peerAddress = createContextKey("", { description: "peer address" });

/** How a call came in: `grpc`, `grpc-web`, `connect` or, for plain HTTP routes, `http`. */
export const protocol = createContextKey("in-process", { description: "protocol" });

/** Pattern of the HTTP route that a call came in by; "" for other calls. */
export const routePattern = createContextKey("", { description: "route pattern" });

/** The IP address in a text, "" when it is none; an IPv4 address reads the same however IPv6 spells it. */
export function canonicalAddress(address = ""): string {
  // A link-local address comes with its interface, which PostgreSQL does not take.
  const bare = address.replace(/%.*$/, "");
  if (!isIPv6(bare)) return isIP(bare) ? bare : "";
  return new SocketAddress({ address: bare, family: "ipv6" }).address.replace(/^::ffff:(?=\d+\.)/, "");
}
