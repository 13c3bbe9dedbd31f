// The bar above: which conversation it is, and what can be done with it as a whole.
import { make } from "../../shared/dom.js";
import { texts } from "../texts.js";
import { editName } from "./naming.js";

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

    edit() {
        editName(this.title, this.title.textContent, texts().rename, (title) => this.acts.rename(title));
    }
}
