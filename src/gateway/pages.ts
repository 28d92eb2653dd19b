import type { Invoke } from "../rpc/invoke.ts";
import { parseFormBody } from "./body.ts";
import { createInput } from "./input.ts";
import { confirmAction, type Form, type FormAction, requestAction, resetAction } from "./page-forms.ts";
import { createLayout, type View, type WritePage } from "./page-layout.ts";
import { createViews, type FormSettings, problemView } from "./page-views.ts";
import type { Answer, Call, Route } from "./route.ts";

/** The pages that mails link to. No GET changes anything or looks a token up: mail scanners follow links. */
export function pageRoutes({ invoke, ...settings }: FormSettings & { readonly invoke: Invoke }): Route[] {
  const write = createLayout();
  const views = createViews(settings);
  const requestConfirmation = () => views.request("confirm");
  const requestReset = () => views.request("reset");
  return [
    shown(write, "/account/confirm", requestConfirmation),
    shown(write, "/account/confirm/", requestConfirmation),
    shown(write, "/account/confirm/request", requestConfirmation),
    shown(write, "/account/confirm/{token}", views.confirm),
    posted(write, "/account/confirm", confirmAction(invoke, views)),
    posted(write, "/account/confirm/request", requestAction("confirm", invoke, views)),
    shown(write, "/account/reset", requestReset),
    shown(write, "/account/reset/", requestReset),
    shown(write, "/account/reset/request", requestReset),
    shown(write, "/account/reset/{token}", (token) => views.choosePassword(token)),
    posted(write, "/account/reset", resetAction(invoke, views)),
    posted(write, "/account/reset/request", requestAction("reset", invoke, views)),
  ];
}

function shown(write: WritePage, path: string, view: (token: string) => View): Route {
  return { method: "GET", path, handle: async ({ params }) => write(200, view(params.token ?? "")) };
}

function posted(write: WritePage, path: string, action: FormAction): Route {
  return { method: "POST", path, handle: (call) => submitForm(write, call, action) };
}

async function submitForm(write: WritePage, call: Call, action: FormAction): Promise<Answer> {
  let form: Form | undefined;
  try {
    form = readForm(call);
    return write(200, await action.submit(form, call.context));
  } catch (error) {
    const refusal = call.refuse(error);
    const unreadable = { status: refusal.status, view: problemView(refusal) };
    const { status, view } = form ? action.refuse(refusal, form) : unreadable;
    return write(status, view, refusal.headers);
  }
}

function readForm(call: Call): Form {
  const input = createInput(call, parseFormBody);
  const form = { token: input.text("token"), email: input.text("email"), newPassword: input.text("new_password") };
  input.check();
  return form;
}
