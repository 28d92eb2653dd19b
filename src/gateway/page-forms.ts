import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import type { Html } from "../html.ts";
import type { Invoke, InvokeContext } from "../rpc/invoke.ts";
import type { View } from "./page-layout.ts";
import { type createViews, type Flow, OUTCOMES, passwordFault, problemView } from "./page-views.ts";
import type { Refusal } from "./refusals.ts";

const auth = AuthService.method;

/** What a form says; "" for a member that it does not have. */
export interface Form {
  readonly token: string;
  readonly email: string;
  readonly newPassword: string;
}

/** What a form does when it is posted, and the page for when that is refused. */
export interface FormAction {
  submit(form: Form, context: InvokeContext): Promise<View>;
  refuse(refusal: Refusal, form: Form): { readonly status: number; readonly view: View };
}

type Views = ReturnType<typeof createViews>;

/** Confirms an address; one that two people signed up with goes on to a new password. */
export function confirmAction(invoke: Invoke, views: Views): FormAction {
  return {
    async submit({ token }, context) {
      const answer = await invoke(auth.confirmEmail, { token }, context);
      if (answer.resetToken) return views.contested(answer.resetToken, answer.user?.email ?? "");
      if (answer.passwordRequired) return OUTCOMES.confirmedCheckMail;
      return answer.alreadyConfirmed ? views.alreadyConfirmed : OUTCOMES.confirmed;
    },
    refuse(refusal, { token }) {
      if (isAboutLink(refusal)) return { status: 400, view: views.badLink("confirm") };
      return problem(refusal, views.confirmForm(token));
    },
  };
}

/** Sets a new password; a refused one is asked for again with the token still good. */
export function resetAction(invoke: Invoke, views: Views): FormAction {
  return {
    async submit({ token, newPassword }, context) {
      await invoke(auth.resetPassword, { token, newPassword }, context);
      return OUTCOMES.passwordSet;
    },
    refuse(refusal, { token, email }) {
      const fault = refusal.violations.find(({ field }) => field === "new_password");
      if (fault && token)
        return { status: 422, view: views.choosePassword(token, { email, error: passwordFault(fault) }) };
      if (isAboutLink(refusal)) return { status: 400, view: views.badLink("reset") };
      return problem(refusal, views.passwordForm(token, { email }));
    },
  };
}

/** Has a new mail sent. */
export function requestAction(flow: Flow, invoke: Invoke, views: Views): FormAction {
  return {
    submit: ({ email }, context) => REQUESTS[flow](invoke, views, email, context),
    refuse(refusal, { email }) {
      if (refusal.status !== 422) return problem(refusal, views.emailForm(flow, email));
      return { status: 422, view: views.request(flow, email, "Enter a whole email address, like name@example.com.") };
    },
  };
}

type Request = (invoke: Invoke, views: Views, email: string, context: InvokeContext) => Promise<View>;

const REQUESTS: Record<Flow, Request> = {
  async confirm(invoke, views, email, context) {
    const { alreadyConfirmed } = await invoke(auth.requestEmailConfirmation, { email }, context);
    return alreadyConfirmed ? views.alreadyConfirmed : views.mailSent("confirm");
  },
  async reset(invoke, views, email, context) {
    await invoke(auth.requestPasswordReset, { email }, context);
    return views.mailSent("reset");
  },
};

// Which of its faults a link has is not told.
function isAboutLink({ code }: Refusal): boolean {
  return code === "INVALID_TOKEN" || code === "INVALID_ARGUMENT";
}

function problem(refusal: Refusal, retry: Html) {
  return { status: refusal.status, view: problemView(refusal, retry) };
}
