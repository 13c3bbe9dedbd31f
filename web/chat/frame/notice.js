// What is said above the turns: what was done and can be undone, or what went wrong.
import { make } from "../../shared/dom.js";
import { ServerError } from "../../shared/server.js";
import { errorText } from "../texts.js";

export class Notice {
    constructor() {
        this.element = make("div", { className: "ace-note", role: "status", hidden: true });
        this.said = 0; // how often something was said
        this.tell("");
    }

    // text: "" for nothing. act: [label, what a click does] of a button behind it.
    tell(text, bad = false, act = null) {
        const button = act && make("button", { type: "button", className: "ace-button", onclick: act[1] }, act[0]);
        this.element.replaceChildren(text, ...(button ? [" ", button] : []));
        this.element.hidden = !text;
        this.element.classList.toggle("ace-bad", bad);
        Object.assign(this, { act: text ? act : null, isAway: false, said: this.said + 1 });
    }

    // about: what is lost by it. act: as of tell().
    fail(error, about = "", act = null) {
        if (!(error instanceof ServerError)) console.warn("ACE Edit: chat:", error);
        const why = error instanceof ServerError ? errorText(error) : error.message;
        this.tell(about ? `${about}: ${why}` : why, true, act);
        this.isAway = error.code === "away" && !about;
    }

    // Somebody has gone on, and that went well: what was said before need not be read any more, unless it can be undone there.
    // before: what `said` was then.
    pass(before) {
        if (!this.act && this.said === before) this.tell("");
    }

    // The server is there again.
    back() {
        if (this.isAway) this.tell("");
    }
}
