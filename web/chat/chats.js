// The list of conversations.
import { make, placeChildren } from "../shared/dom.js";
import { editName } from "./frame/naming.js";
import { openedChat } from "./memory.js";
import { server, smallAddress } from "./server.js";
import { language, texts } from "./texts.js";

const PAUSE = 200; // ms without a key before the search

export class ChatList {
    // open(id), rename(chat, title), remove(chat), exportChat(chat), fail(error).
    constructor(acts) {
        this.acts = acts;
        this.entries = new Map(); // by conversation: {seen, element}
        this.readings = 0;
        this.focused = null;
        const words = texts();
        this.search = make("input", { className: "ace-input", type: "search", placeholder: words.searchChats, ariaLabel: words.searchChats });
        this.search.addEventListener("input", () => {
            this.focused = null; // somebody uses the keys
            clearTimeout(this.timer);
            this.timer = setTimeout(() => this.load(), PAUSE);
        });
        this.nothing = make("div", { className: "ace-nothing", hidden: true });
        this.list = make("div", { className: "ace-chat-chats", role: "list" });
        this.element = make("div", { className: "ace-chat-overview", hidden: true }, this.search, this.nothing, this.list);
        this.element.addEventListener("keydown", (event) => this.key(event));
    }

    // focused: the conversation that has the keys then, unless somebody has used them meanwhile.
    async load(focused = null) {
        this.focused = focused ?? this.focused; // also when another reading overtakes this one
        const asked = this.search.value;
        const reading = ++this.readings;
        try {
            const chats = await server.list(asked);
            if (reading !== this.readings) return; // a later one knows more
            this.show(chats, asked);
            const isIdle = document.activeElement === this.search && this.search.value === asked;
            if (this.focused && isIdle) this.entries.get(this.focused)?.element.querySelector(".ace-chat-open")?.focus();
        } catch (error) {
            this.acts.fail(error);
        }
        if (reading === this.readings) this.focused = null;
    }

    show(chats, asked) {
        const words = texts();
        this.nothing.hidden = chats.length > 0;
        this.nothing.textContent = asked.trim() ? words.noneFound : words.noChats;
        const focused = document.activeElement?.closest?.(".ace-chat-entry");
        const at = [...this.list.children].indexOf(focused);
        const button = [...(focused?.children ?? [])].indexOf(document.activeElement);
        this.entries = new Map(chats.map((chat) => [chat.id, this.entry(chat)]));
        placeChildren(this.list, [...this.entries.values()].map(({ element }) => element));
        if (at < 0) return;
        const same = this.list.querySelector(`[data-chat="${focused.dataset.chat}"]`);
        const near = same ?? this.list.children[Math.min(at, chats.length - 1)];
        (near?.children[button] ?? this.search).focus(); // beside one that is gone
    }

    // One that looks the same is the same: somebody may be about to press it.
    entry(chat) {
        const seen = JSON.stringify([chat, chat.id === openedChat()]);
        const there = this.entries.get(chat.id);
        const isNamed = there?.element.querySelector("input"); // somebody types its name
        return isNamed || there?.seen === seen ? there : { seen, element: this.row(chat) };
    }

    row(chat) {
        const words = texts();
        const when = new Date(chat.changed * 1000).toLocaleString(language(), { dateStyle: "medium", timeStyle: "short" });
        const picture = chat.picture ? make("img", { src: smallAddress(chat.id, chat.picture), alt: "", loading: "lazy" }) : make("span", {});
        const sign = { className: "ace-chat-busy pi pi-spin pi-spinner", role: "img", title: words.busy, ariaLabel: words.busy };
        const busy = chat.busy ? make("i", sign) : null;
        const ariaCurrent = chat.id === openedChat() ? "true" : null;
        const open = make(
            "button",
            { type: "button", className: "ace-chat-open", ariaCurrent, onclick: () => this.acts.open(chat.id) },
            picture,
            make("span", {}, make("b", {}, chat.title || words.untitled), make("small", {}, busy, `${words.turns(chat.turns)} · ${when}`)),
        );
        const button = (icon, title, work) =>
            make("button", {
                type: "button",
                className: `ace-icon pi ${icon}`,
                title,
                ariaLabel: title,
                // The second click of two, and a key that is held down, would fall on the next row, which has moved up.
                onclick: (event) => event.detail < 2 && work(chat),
                onkeydown: (event) => event.repeat && event.key === "Enter" && event.preventDefault(),
            });
        return make(
            "div",
            { className: "ace-chat-entry", role: "listitem", data: { chat: chat.id } },
            open,
            button("pi-pencil", words.rename, () => this.name(chat, open)),
            button("pi-download", words.export, this.acts.exportChat),
            button("pi-trash", words.delete, this.acts.remove),
        );
    }

    name(chat, element) {
        const keep = (title) => this.acts.rename(chat, title);
        editName(element, chat.title, texts().rename, keep, () => this.load()); // what came meanwhile was not shown
    }

    // Arrow keys move from one conversation to the next, also out of the search.
    key(event) {
        this.focused = null;
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (!step) return;
        const buttons = [this.search, ...this.list.querySelectorAll(".ace-chat-open")];
        const current = event.target.closest(".ace-chat-entry")?.querySelector(".ace-chat-open") ?? this.search;
        buttons[Math.max(0, Math.min(buttons.indexOf(current) + step, buttons.length - 1))].focus();
        event.preventDefault();
    }
}
