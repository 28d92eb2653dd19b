import { FieldFault } from "./fields.ts";

const DEFAULT_PAGE = 50;
const MAX_PAGE = 100;

/** Reads how many entries a page of a list shall have. */
export function parsePageSize(size: number): number {
  if (size < 0 || size > MAX_PAGE)
    throw new FieldFault("OUT_OF_RANGE", `must be from 1 to ${MAX_PAGE}, or 0 for ${DEFAULT_PAGE}`);
  return size === 0 ? DEFAULT_PAGE : size;
}
