import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";

/** A mail as it came in. */
export interface ReceivedMail {
  readonly recipients: string[];
  readonly raw: string;
}

/** What the server does with a mail: takes it, with or without saying so, says no for now, or drops the connection in it. */
export type Manner = "takes" | "takes silently" | "refuses" | "drops";

/** An SMTP server that tests can take down, bring back and make behave badly. */
export interface TestSmtp {
  readonly url: string;
  readonly received: ReceivedMail[];
  manner: Manner;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Starts a server on a port that it keeps; with a password, it takes mail from who has that. */
export async function startSmtp({ password = "" } = {}): Promise<TestSmtp> {
  const received: ReceivedMail[] = [];
  let port = 0;
  let server: SMTPServer;
  const smtp: TestSmtp = {
    get url() {
      return `smtp://127.0.0.1:${port}`;
    },
    received,
    manner: "takes",
    stop: () => new Promise((resolve) => server.close(() => resolve())),
    start: () =>
      new Promise((resolve) => {
        server = createServer(smtp, password);
        server.listen(port, "127.0.0.1", () => {
          port = (server.server.address() as AddressInfo).port;
          resolve();
        });
      }),
  };
  await smtp.start();
  return smtp;
}

function createServer(smtp: TestSmtp, password: string): SMTPServer {
  const server: SMTPServer = new SMTPServer({
    ...(password ? { allowInsecureAuth: true } : { authOptional: true }),
    disabledCommands: password ? ["STARTTLS"] : ["STARTTLS", "AUTH"],
    onAuth(given, _session, done) {
      if (given.password === password) done(null, { user: given.username });
      else done(new Error(`not ${given.password}`));
    },
    closeTimeout: 100,
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => {
        if (smtp.manner === "drops")
          for (const connection of server.connections as Set<{ close(): void }>) connection.close();
        chunks.push(chunk);
      });
      stream.on("end", () => {
        if (smtp.manner === "refuses") return done(new Error("not now"));
        if (smtp.manner === "drops") return;
        smtp.received.push({
          recipients: session.envelope.rcptTo.map(({ address }) => address),
          raw: Buffer.concat(chunks).toString(),
        });
        if (smtp.manner !== "takes silently") done();
      });
    },
  });
  server.on("error", () => {});
  return server;
}
