import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { NotesService } from "../../examples/connect-service/gen/notes/v1/notes_service_pb.ts";
import { bearer } from "./people.ts";

/** What both example services do. */
export interface Notes {
  /** Gives "" when the note was added, or else why not. */
  add(text: string, accessToken: string): Promise<"" | "unauthenticated" | "something else">;
  list(accessToken: string): Promise<readonly string[]>;
}

/** A client of each example, by the name of its folder, for the local port that it listens on. */
export const EXAMPLES: Readonly<Record<string, (port: number) => Notes>> = {
  "connect-service": overGrpc,
  "http-service": overHttp,
};

function overGrpc(port: number): Notes {
  const client = createClient(NotesService, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }));
  return {
    add: (text, accessToken) =>
      client.addNote({ text }, bearer(accessToken)).then(
        () => "",
        (error) => (ConnectError.from(error).code === Code.Unauthenticated ? "unauthenticated" : "something else"),
      ),
    async list(accessToken) {
      const texts = [];
      for await (const { text } of client.listNotes({}, bearer(accessToken))) texts.push(text);
      return texts;
    },
  };
}

function overHttp(port: number): Notes {
  const url = `http://127.0.0.1:${port}/notes`;
  return {
    async add(text, accessToken) {
      const { status } = await fetch(url, { method: "POST", body: text, ...bearer(accessToken) });
      if (status === 201) return "";
      return status === 401 ? "unauthenticated" : "something else";
    },
    async list(accessToken) {
      const { notes }: { notes: string[] } = JSON.parse(await (await fetch(url, bearer(accessToken))).text());
      return notes;
    },
  };
}
