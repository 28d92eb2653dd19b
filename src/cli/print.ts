import type { Account } from "../rpc/operator.ts";

const COLUMNS = ["ID", "USERNAME", "EMAIL", "STATE", "ROLES", "CREATED", "LAST SIGN-IN"];

/** An account in a sentence. */
export function nameOf({ id, username, email }: Account): string {
  return `${id} ${username} ${email === "" ? `(${HELD_BACK})` : `<${email}>`}`;
}

// Where accounts are hidden: a username that was signed up with an address that has an account, and nothing else.
const HELD_BACK = "held back";

/** Roles in a sentence. */
export function rolesOf({ roles }: Account): string {
  return roles.join(", ") || "none";
}

/** Everything about an account, a line each. */
export function accountLines(account: Account): string {
  const values = [...cells(account).slice(0, -2), account.locale, ...cells(account).slice(-2)];
  const names = ["id", "username", "email", "state", "roles", "locale", "created", "last sign-in"];
  const rows = names.map((name, index) => [name, values[index] ?? ""]);
  return alignColumns([...rows, ...blockRows(account)]);
}

function blockRows({ block }: Account): string[][] {
  if (!block) return [];
  const until = block.until ? printTime(block.until) : "somebody ends it";
  return [["blocked until", until], ...(block.reason === "" ? [] : [["reason", quote(block.reason)]])];
}

/** Accounts as a table. */
export function accountTable(accounts: readonly Account[]): string {
  return alignColumns([COLUMNS, ...accounts.map(cells)]);
}

function cells(account: Account): string[] {
  const { id, username, email, createdAt, lastSignInAt } = account;
  return [
    ...[String(id), username, email || "none", stateOf(account), rolesOf(account)],
    ...[createdAt, lastSignInAt].map((time) => (time ? printTime(time) : "never")),
  ];
}

function stateOf({ isActive, email, emailConfirmed }: Account): string {
  const unproved = email === "" ? HELD_BACK : "unconfirmed";
  const faults = [isActive ? "" : "blocked", emailConfirmed ? "" : unproved].filter((fault) => fault !== "");
  return faults.join(", ") || "active";
}

/** Writes an answer. */
export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** A time to the second, in UTC. */
export function printTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, "Z");
}

/** Rows of cells as lines, their columns beneath each other. */
export function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
  return lines.map((line) => line.trimEnd()).join("\n");
}

/** A text that a caller chose, in quotes: it must not move the terminal's cursor, nor look like another line. */
export function quote(text: string): string {
  const toEscape = (letter: string) => `\\u{${letter.codePointAt(0)?.toString(16)}}`;
  return text === "" ? "" : JSON.stringify(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, toEscape);
}
