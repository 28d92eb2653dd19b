import { type AddressRange, createAddressRange } from "../address-range.ts";
import { canonicalAddress } from "./peer.ts";

/** Where a call comes from: see CallContext. */
export interface Origin {
  readonly address: string;
  readonly addressIsPersons: boolean;
}

/** What is known of a call's way here. */
export interface Way {
  readonly peer: string;
  /** `x-forwarded-for`: every proxy adds, at its end, who called it. */
  readonly forwardedFor: string | null;
  /** Whether the caller has a service key of scope `gateway`. */
  readonly fromGateway: boolean;
}

// Of a peer on such a network that says nothing it is not known whether it is a person or a service that calls for many.
// RFC 1918, 6598, 3927, 4193, 4291 section 2.5, and loopback.
const isPrivate = createAddressRange([
  ...["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8"],
  ...["fc00::/7", "fe80::/10", "::1"],
]);

/**
 * Finds the address of the person that a call is for. `x-forwarded-for` is believed only from a gateway or a trusted
 * proxy, and read from its end: what stands before the first address that is no trusted proxy's, anybody may have
 * written there.
 */
export function createFindOrigin(isTrustedProxy: AddressRange): (way: Way) => Origin {
  return ({ peer, forwardedFor, fromGateway }) => {
    if (!fromGateway && !isTrustedProxy(peer))
      return { address: peer, addressIsPersons: peer !== "" && !isPrivate(peer) };
    const person = lastOf(forwardedFor ?? "", isTrustedProxy);
    return person === "" ? { address: peer, addressIsPersons: false } : { address: person, addressIsPersons: true };
  };
}

function lastOf(forwardedFor: string, isTrustedProxy: AddressRange): string {
  for (const entry of forwardedFor.split(",").reverse()) {
    const address = canonicalAddress(withoutPort(entry.trim()));
    if (!isTrustedProxy(address)) return address;
  }
  return "";
}

// Some proxies add the port: 192.0.2.1:4711, [2001:db8::1]:4711.
function withoutPort(entry: string): string {
  return /^\[([^\]]*)\](?::\d+)?$/.exec(entry)?.[1] ?? /^([\d.]+):\d+$/.exec(entry)?.[1] ?? entry;
}
