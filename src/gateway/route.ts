import type { InvokeContext } from "../rpc/invoke.ts";
import type { Refusal } from "./refusals.ts";

/** One plain HTTP request, its body read. */
export interface Call {
  readonly params: Readonly<Record<string, string>>;
  readonly query: string;
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly accept: string;
  /** Host header, with its port. */
  readonly host: string;
  /** A HEAD request: it is answered like a GET, but must change nothing. */
  readonly head: boolean;
  readonly context: InvokeContext;
  /** What the caller may be told of an error; an unexpected one is logged. */
  refuse(error: unknown): Refusal;
}

/** What is written back. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** One method on one path pattern, whose `{name}` segments become parameters. */
export interface Route {
  readonly method: "GET" | "POST";
  readonly path: string;
  handle(call: Call): Promise<Answer>;
}

/** What a path leads to: a route with its parameters, or the methods that the path has. */
export type Match = { readonly route: Route; readonly params: Record<string, string> } | { readonly allow: string[] };

/** Builds the look-up over a table of routes, in which the first row that fits wins. */
export function createMatcher(routes: readonly Route[]): (method: string, path: string) => Match {
  const rows = routes.map((route) => ({ route, pattern: route.path.split("/") }));
  return (method, path) => {
    const segments = foldSlashes(path).split("/").map(decodeSegment);
    const allow = new Set<string>();
    for (const { route, pattern } of rows) {
      const params = matchSegments(pattern, segments);
      if (params && serves(route, method)) return { route, params };
      if (params) for (const name of methodsOf(route)) allow.add(name);
    }
    return { allow: [...allow] };
  };
}

function matchSegments(pattern: readonly string[], segments: readonly string[]): Record<string, string> | null {
  if (pattern.length !== segments.length) return null;
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] ?? "";
    if (part.startsWith("{") && segment !== "") params[part.slice(1, -1)] = segment;
    else if (part !== segment) return null;
  }
  return params;
}

function serves(route: Route, method: string): boolean {
  return methodsOf(route).includes(method);
}

function methodsOf(route: Route): string[] {
  return route.method === "GET" ? ["GET", "HEAD"] : [route.method];
}

function foldSlashes(path: string): string {
  return path.replace(/\/{2,}/g, "/");
}

// A segment that cannot be decoded stays as it is: as a token it is then refused like any other wrong one.
function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
