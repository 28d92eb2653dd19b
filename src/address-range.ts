import { BlockList, isIP } from "node:net";

/** Tells whether an IP address is in a set of ranges; "" and what is no address is in none. */
export type AddressRange = (address: string) => boolean;

/** A set of ranges, each a CIDR block or a single address. Throws RangeError for anything else. */
export function createAddressRange(blocks: readonly string[]): AddressRange {
  const list = new BlockList();
  for (const block of blocks) addBlock(list, block);
  return (address) => {
    const version = isIP(address);
    return version !== 0 && list.check(address, version === 6 ? "ipv6" : "ipv4");
  };
}

function addBlock(list: BlockList, block: string): void {
  const [, network = "", length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(block) ?? [];
  const version = isIP(network);
  const bits = version === 6 ? 128 : 32;
  const prefix = length === undefined ? bits : Number(length);
  if (version === 0 || network.includes("%") || prefix > bits)
    throw new RangeError(`${block} is no range of addresses`);
  list.addSubnet(network, prefix, version === 6 ? "ipv6" : "ipv4");
}
