const GROUPS = 8;
const NETWORK_GROUPS = 4;
const SITE_GROUPS = 3;

/**
 * What an address is counted as: an IPv4 address as itself, an IPv6 address as its /64, since whoever has one of that
 * has all of it (RFC 6177).
 */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = [], tail = []] = address.split("::").map((part) => part.split(":").filter(Boolean));
  // An embedded IPv4 address stands for two groups (RFC 4291 section 2.2).
  const spelt = head.length + tail.length + (address.includes(".") ? 1 : 0);
  const groups = [...head, ...Array<string>(Math.max(0, GROUPS - spelt)).fill("0"), ...tail];
  const network = groups.slice(0, NETWORK_GROUPS).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(":")}::/64`;
}

/** The whole of which a network (see networkOf) may be one of many: an IPv4 address itself, an IPv6 /48. */
export function siteOf(network: string): string {
  return network.split(":", SITE_GROUPS).join(":");
}
