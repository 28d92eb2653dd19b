import type { IncomingMessage, ServerResponse } from "node:http";
import { cors } from "@connectrpc/connect";
import { refusalAnswer } from "./answers.ts";
import { reasonRefusal } from "./refusals.ts";
import { sendAnswer } from "./send.ts";

type Handler = (req: IncomingMessage, res: ServerResponse) => Promise<void>;

/** Puts on an answer what browsers ask for, and gives the handler of a preflight, undefined for every other request. */
export type Cors = (req: IncomingMessage, res: ServerResponse) => Handler | undefined;

/** Lets scripts of these origins call everything but what is itself a page (Fetch section 3.3). */
export function createCors(origins: readonly string[], isPage: (path: string) => boolean): Cors {
  const listed = new Set(origins);
  return (req, res) => {
    if (isPage(req.url?.split("?", 1)[0] ?? "")) return undefined;
    // On answers to other origins and to none too: a cache must not give them to a listed one.
    res.setHeader("vary", "Origin");
    const { origin = "" } = req.headers;
    const isListed = listed.has(origin);
    if (isListed) res.setHeader("access-control-allow-origin", origin);
    if (isPreflight(req)) return isListed ? allow : refuse;
    if (isListed) res.setHeader("access-control-expose-headers", EXPOSED_HEADERS);
    return undefined;
  };
}

const ALLOWED = {
  "access-control-allow-methods": ["GET", "HEAD", "POST"].join(", "),
  "access-control-allow-headers": [...cors.allowedHeaders, "Authorization"].join(", "),
  // Seconds; the longest that Chromium keeps a preflight.
  "access-control-max-age": "7200",
};

const EXPOSED_HEADERS = [...cors.exposedHeaders, "Grpc-Retry-Pushback-Ms", "Retry-After", "WWW-Authenticate"].join(
  ", ",
);

function isPreflight({ method, headers }: IncomingMessage): boolean {
  const asked = headers["access-control-request-method"];
  return method === "OPTIONS" && headers.origin !== undefined && asked !== undefined;
}

const allow: Handler = async (_req, res) => void res.writeHead(204, ALLOWED).end();

// The status that the standard asks for where no part is taken in the protocol.
const refuse: Handler = async (req, res) => sendAnswer(req, res, refusalAnswer(reasonRefusal("PERMISSION_DENIED")));
