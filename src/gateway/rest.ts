import type { IncomingMessage, ServerResponse } from "node:http";
import type { Log } from "../log.ts";
import type { Mailbox } from "../mail/mailbox-entry.ts";
import type { Invoke } from "../rpc/invoke.ts";
import { canonicalAddress } from "../rpc/peer.ts";
import { refusalAnswer } from "./answers.ts";
import { readBody } from "./body.ts";
import { mailboxRoutes } from "./dev-mailbox.ts";
import { oauthRefusal } from "./oauth-refusals.ts";
import { oauthRoutes } from "./oauth-routes.ts";
import { pageRoutes } from "./pages.ts";
import { HttpError, type Refusal, reasonRefusal, toRefusal } from "./refusals.ts";
import { REST_ROUTES } from "./rest-routes.ts";
import { type Answer, type Call, createMatcher, type Route } from "./route.ts";
import { sendAnswer } from "./send.ts";
import { wellKnownRoutes } from "./well-known.ts";

const PASSED_HEADERS = ["authorization", "x-latchkey-key", "x-forwarded-for", "user-agent"] as const;

/** What plain HTTP is served from. */
export interface GatewayOptions {
  readonly invoke: Invoke;
  readonly log: Log;
  /** Where browsers reach the service: its path is put before the path of every link and form. */
  readonly publicUrl: string;
  /** Claim `iss` of access tokens. */
  readonly issuer: string;
  /** As pages tell it. */
  readonly passwordMinLength: number;
  /** The development mailbox; without it its pages do not exist. */
  readonly mailbox?: Mailbox | undefined;
}

/** What serves plain HTTP. */
export interface Gateway {
  /** Answers one request; never rejects. */
  (req: IncomingMessage, res: ServerResponse): Promise<void>;
  /** Whether a path leads to a page for people, by whatever method. */
  isPage(path: string): boolean;
}

/** Builds the listener for REST routes, pages and the development mailbox. */
export function createGateway(options: GatewayOptions): Gateway {
  const { routes, oauth, pages } = gatewayRoutes(options);
  const match = createMatcher([...routes, ...oauth, ...pages]);
  const isOAuth = createPathTest(oauth);

  const answerTo = async (req: IncomingMessage, res: ServerResponse) => {
    const caller = new AbortController();
    const refuse = (error: unknown, route?: string) => refuseError(error, options.log, caller.signal, route);
    res.on("error", () => {});
    res.once("close", () => caller.abort());
    const answer = await answerRequest(req, match, caller.signal, refuse).catch((error) => {
      const refusal = refuse(error);
      const { path } = splitTarget(req.url ?? "");
      return isOAuth(path) ? oauthRefusal(refusal, callerOf(req).header) : refusalAnswer(refusal);
    });
    if (!caller.signal.aborted) sendAnswer(req, res, answer);
  };
  return Object.assign(answerTo, { isPage: createPathTest(pages) });
}

/** Whether a path leads to one of the routes, by whatever method. */
function createPathTest(routes: readonly Route[]): (path: string) => boolean {
  const match = createMatcher(routes);
  return (path) => {
    const found = match("GET", path);
    return "route" in found || found.allow.length > 0;
  };
}

function gatewayRoutes({
  invoke,
  issuer,
  publicUrl,
  passwordMinLength,
  mailbox,
}: GatewayOptions): Record<"routes" | "oauth" | "pages", Route[]> {
  const basePath = new URL(publicUrl).pathname.replace(/\/+$/, "");
  return {
    routes: [...REST_ROUTES.map((route) => route(invoke, basePath)), ...wellKnownRoutes({ invoke, issuer, publicUrl })],
    oauth: oauthRoutes(invoke),
    pages: [
      ...pageRoutes({ invoke, basePath, passwordMinLength }),
      ...(mailbox ? mailboxRoutes(mailbox, publicUrl, basePath) : []),
    ],
  };
}

async function answerRequest(
  req: IncomingMessage,
  match: ReturnType<typeof createMatcher>,
  signal: AbortSignal,
  refuse: (error: unknown, route: string) => Refusal,
): Promise<Answer> {
  const body = await readBody(req);
  const { path, query } = splitTarget(req.url ?? "");
  const found = match(req.method ?? "", path);
  if (!("route" in found)) throw noRoute(found.allow);
  const { route, params } = found;
  return route.handle({
    params,
    query,
    body,
    // A compressed body is of no type that can be read here.
    contentType: req.headers["content-encoding"] ? "" : (req.headers["content-type"] ?? ""),
    accept: req.headers.accept ?? "",
    host: req.headers.host ?? "",
    head: req.method === "HEAD",
    context: { ...callerOf(req), signal, routePattern: route.path },
    refuse: (error) => refuse(error, route.path),
  });
}

function callerOf(req: IncomingMessage): Pick<Call["context"], "header" | "peerAddress"> {
  const header = new Headers();
  for (const name of PASSED_HEADERS) {
    const value = req.headers[name];
    if (value !== undefined) header.set(name, String(value));
  }
  return { header, peerAddress: canonicalAddress(req.socket.remoteAddress) };
}

function splitTarget(target: string): { path: string; query: string } {
  const at = target.indexOf("?");
  return at < 0 ? { path: target, query: "" } : { path: target.slice(0, at), query: target.slice(at + 1) };
}

function noRoute(allow: readonly string[]): HttpError {
  if (allow.length === 0) return new HttpError("NOT_FOUND");
  return new HttpError("METHOD_NOT_ALLOWED", { allow: allow.join(", ") });
}

function refuseError(error: unknown, log: Log, signal: AbortSignal, route?: string): Refusal {
  const refusal = toRefusal(error);
  if (refusal) return refusal;
  if (!signal.aborted) log.error({ error, route }, "a request failed");
  return reasonRefusal("INTERNAL");
}
