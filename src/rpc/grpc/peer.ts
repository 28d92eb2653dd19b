import { canonicalAddress } from "../peer.ts";

/** IP address of a call's other end. */
export function addressOf(call: { getPeer(): string }): string {
  return canonicalAddress(call.getPeer().replace(/:\d+$/, ""));
}
