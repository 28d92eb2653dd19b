import { InvalidArgumentError, Option } from "commander";
import { AUDIT_EVENT_TYPES } from "../db/audit-recording.ts";
import { SERVICE_SCOPES } from "../db/service-keys.ts";

/** `--json` of commands that are an RPC. */
export const JSON_OPTION = new Option("--json", "print the answer as JSON, as the RPC gives it");

/** `--json` of `doctor`. */
export const REPORT_OPTION = new Option(
  "--json",
  "print the report as JSON: {ok, checks: [{name, status, finding, advice}]}",
);

/** `--json` of `clean-up`. */
export const CLEAN_UP_OPTION = new Option("--json", "print JSON: {deleted: {<table>: <rows>}, failed: [<table>], ms}");

/** `--json` of `keys list`. */
export const KEYS_OPTION = new Option(
  "--json",
  "print them as JSON: {keys: [{kid, alg, state, activeFrom, retireAt}]}; state is signs, follows or accepted",
);

/** Options of `users create`. */
export const CREATE_OPTIONS = [
  new Option("--username <name>", "2 to 64 letters, digits, . _ -").makeOptionMandatory(),
  new Option("--email <address>", "counts as confirmed").makeOptionMandatory(),
  new Option("--role <role>", "give it a role; as often as needed").argParser(collect),
  new Option("--locale <tag>", "language of mails to it, such as en"),
  JSON_OPTION,
];

/** Options of `users list`. */
export const LIST_OPTIONS = [
  new Option("--prefix <text>", "only usernames that begin so; e-mail addresses if it holds an @"),
  new Option("--page-size <number>", "one page of so many, 1 to 100, instead of all").argParser(parseCount),
  new Option("--page-token <token>", "the next page: nextPageToken of the one before, as --json tells it"),
  JSON_OPTION,
];

/** Options of `users block`. */
export const BLOCK_OPTIONS = [
  new Option("--reason <text>", "why, kept with the account"),
  new Option("--until <time>", "when it ends by itself, as in 2030-01-31T12:00:00Z").argParser(parseTime),
  JSON_OPTION,
];

/** Options of `users delete`. */
export const DELETE_OPTIONS = [
  new Option("-y, --yes", "do not ask first; needed where there is no terminal"),
  JSON_OPTION,
];

/** Options of `service-keys create`. */
export const SERVICE_KEY_OPTIONS = [
  new Option("--name <name>", "what to call it: 1 to 64 letters, digits, . _ -").makeOptionMandatory(),
  new Option("--scope <scope>", "introspect, watch, admin or gateway; as often as needed")
    .argParser(collectScope)
    .makeOptionMandatory(),
  new Option("--expires <time>", "when it ends by itself, as in 2030-01-31T12:00:00Z").argParser(parseTime),
  new Option("--json", 'print {"id", "key"} on one line'),
];

/** Options of `audit tail`. */
export const AUDIT_OPTIONS = [
  new Option(
    "--user <user>",
    "only of this account: an id, a username or an e-mail address; of one that is gone, its id",
  ),
  new Option("--type <type>", "only of this type").choices(AUDIT_EVENT_TYPES),
  new Option("--since <time>", "only from a time on, as in 2030-01-31T12:00:00Z, and all from then").argParser(
    parseTime,
  ),
  new Option("--lines <number>", "at most so many of those that there are; 50 unless --since is given").argParser(
    parseCount,
  ),
  new Option("--no-follow", "end after those that there are"),
  new Option("--json", "print each entry as JSON on a line, as the RPC gives it"),
];

function collectScope(value: string, previous: string[] | undefined): string[] {
  if (!SERVICE_SCOPES.some((scope) => scope === value))
    throw new InvalidArgumentError(`It must be one of ${SERVICE_SCOPES.join(", ")}.`);
  return collect(value, previous);
}

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

// RFC 3339 section 5.6; a date that does not exist reads as NaN or as one of the next month.
function parseTime(text: string): Date {
  const [, date = ""] = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i.exec(text) ?? [];
  const time = new Date(text);
  const exists = date !== "" && new Date(`${date}T00:00:00Z`).toJSON()?.startsWith(date);
  if (!exists || Number.isNaN(time.getTime()))
    throw new InvalidArgumentError("It must be a time as in 2030-01-31T12:00:00Z.");
  return time;
}
