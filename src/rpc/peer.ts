import { createContextKey } from "@connectrpc/connect";

/** IP address of the connection's other end, as both listeners put it into a call's context; "" when there is none. */
export const peerAddress = createContextKey("", { description: "peer address" });
