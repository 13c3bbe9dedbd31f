// The bar above: which conversation it is, and what can be done with it as a whole.
import { isComposing, make } from "../../shared/dom.js";
import { texts } from "../texts.js";

export class Head {
    // acts: toggleList, create, toggleSettings, toggleHelp, rename(title), undo, redo.
    constructor(acts) {
        this.acts = acts;
        const words = texts();
        const icon = (name, title, onclick) =>
            make("button", { type: "button", className: `ace-icon pi ${name}`, title, ariaLabel: title, onclick });
        this.title = make("button", { type: "button", className: "ace-chat-title", title: words.rename, onclick: () => this.edit() });
        this.list = icon("pi-list", words.chats, acts.toggleList);
        this.settings = icon("pi-cog", words.settings, acts.toggleSettings);
        this.undo = icon("pi-undo", words.undoTurn, acts.undo);
        this.redo = icon("pi-undo ace-chat-redo", words.redoTurn, acts.redo);
        this.element = make(
            "div",
            { className: "ace-chat-head" },
            this.list,
            this.title,
            this.undo,
            this.redo,
            icon("pi-plus", words.newChat, acts.create),
            this.settings,
            icon("pi-question-circle", words.help, acts.toggleHelp),
        );
    }

    // later: how many turns follow the last that is shown.
    show(chat, view, head, later) {
        this.title.textContent = chat?.title || texts().untitled;
        this.title.disabled = !chat;
        this.undo.disabled = !head || view !== "talk";
        this.redo.disabled = !later || view !== "talk";
        this.list.setAttribute("aria-pressed", view === "list");
        this.settings.setAttribute("aria-pressed", view === "settings");
    }

    // The title becomes a field; Enter or leaving it keeps what was typed, Esc does not.
    edit() {
        const input = make("input", { className: "ace-input", value: this.title.textContent, maxLength: 200, ariaLabel: texts().rename });
        let done = false;
        const end = (keep) => {
            if (done) return;
            done = true;
            input.replaceWith(this.title);
            this.title.focus();
            if (keep && input.value.trim() && input.value !== this.title.textContent) this.acts.rename(input.value);
        };
        input.addEventListener("keydown", (event) => {
            if (isComposing(event) || (event.key !== "Enter" && event.key !== "Escape")) return;
            event.preventDefault(); // the title has the focus then, and Enter would click it
            event.stopPropagation();
            end(event.key === "Enter");
        });
        input.addEventListener("blur", () => end(true));
        this.title.replaceWith(input);
        input.focus();
        input.select();
    }
}
