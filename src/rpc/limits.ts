import type { DescMethod } from "@bufbuild/protobuf";

/** Largest request message, compressed or not. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

/** Largest sum of a request's headers. */
export const MAX_HEADER_BYTES = 8 * 1024;

/** Calls that one HTTP/2 connection may have open at once. */
export const MAX_STREAMS = 100;

/** How long a connection may carry no call. */
export const IDLE_MS = 60_000;

/** How long a client may take to send a request's headers. */
export const HEADERS_MS = 10_000;

/** How long a client may take to send a whole request. */
export const REQUEST_MS = 30_000;

/** Longest time of a unary call, and its time when the caller gives none. */
export const UNARY_DEADLINE_MS = 30_000;

/**
 * How much later than ours the deadline timer of grpc-js goes off: its answer has no details. It also ends calls whose
 * message never comes.
 */
export const DEADLINE_GRACE_MS = 1000;

/** A `grpc-timeout` in milliseconds; undefined when the value is not one. */
export function parseGrpcTimeout(value: string): number | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(value) ?? [];
  return digits && unit ? Math.ceil(Number(digits) * (UNIT_MS[unit] ?? 0)) : undefined;
}

/** A `grpc-timeout` of at most `maxMs`, plus `extraMs`; undefined when the value is not one. */
export function clampGrpcTimeout(value: string, maxMs: number, extraMs = 0): string | undefined {
  const ms = parseGrpcTimeout(value);
  return ms === undefined ? undefined : `${Math.min(ms, maxMs) + extraMs}m`;
}

/** A count of milliseconds of at most `maxMs`; undefined when the value is not one. */
export function clampMilliseconds(value: string, maxMs: number): string | undefined {
  return /^\d{1,10}$/.test(value) ? String(Math.min(Number(value), maxMs)) : undefined;
}

/** The longest deadline of an RPC: ours for a unary one, and for a stream what a timer can hold. */
export function longestDeadline(kind: DescMethod["methodKind"]): number {
  return kind === "unary" ? UNARY_DEADLINE_MS : 24 * 3_600_000;
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
