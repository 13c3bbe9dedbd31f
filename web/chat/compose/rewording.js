// An instruction in better words, by a language model whose address the artist typed. Seen before it is used.
import { isComposing, isTyping, make } from "../../shared/dom.js";
import { server } from "../server.js";
import { errorText, texts } from "../texts.js";
import { wordOf } from "../tree.js";

const MEMORY = "ACEEdit.Chat.Rewording"; // of this browser alone: an address is nobody else's business

export class Rewording {
    constructor(composer) {
        this.composer = composer;
        const words = texts();
        const { address = "", model = "" } = JSON.parse(localStorage.getItem(MEMORY) ?? "{}");
        const input = (placeholder, value) => make("input", { className: "ace-input", type: "text", placeholder, value });
        const field = (label, element) => make("label", { className: "ace-field" }, make("span", {}, label), element);
        this.address = input("http://127.0.0.1:11434", address);
        this.model = input("", model);
        const button = (text, onclick) => make("button", { type: "button", className: "ace-button", onclick }, text);
        this.said = make("div", { className: "ace-note", role: "status", hidden: true });
        this.use = button(words.rewriteUse, () => this.take());
        const buttons = [button(words.rewriteAsk, () => this.ask()), this.use, button(words.cancel, () => this.hide())];
        this.element = make(
            "div",
            { className: "ace-chat-rewording", hidden: true },
            field(words.rewriteAddress, this.address),
            field(words.rewriteModel, this.model),
            this.said,
            make("div", { className: "ace-row" }, ...buttons),
        );
        this.element.addEventListener("keydown", (event) => {
            if (event.key === "Escape") this.hide();
            if (event.key !== "Enter" || event.repeat || isComposing(event) || !event.target.matches("input")) return;
            event.preventDefault(); // it would go on to what has the focus next
            this.ask();
        });
    }

    toggle() {
        if (!this.element.hidden) return this.hide();
        this.element.hidden = false;
        this.use.hidden = true;
        this.said.hidden = true;
        if (this.address.value) this.ask();
        else this.address.focus();
    }

    hide() {
        this.asked?.abort(); // the answer would be about other words
        if (this.element.hidden) return;
        this.element.hidden = true;
        this.found = null;
        this.composer.field.focus();
    }

    tell(text, bad = false) {
        this.said.textContent = text;
        this.said.hidden = !text;
        this.said.classList.toggle("ace-bad", bad);
    }

    async ask() {
        const { field, tray } = this.composer;
        const [address, model] = [this.address.value.trim(), this.model.value.trim()];
        const pictures = [...tray.pictures];
        const parts = field.parts(pictures);
        this.asked?.abort();
        if (!address || !parts.length) {
            this.use.hidden = true;
            this.tell(address ? texts().rewriteNoWords : texts().rewriteNoAddress, true);
            return (address ? field : this.address).focus();
        }
        localStorage.setItem(MEMORY, JSON.stringify({ address, model }));
        const { signal } = (this.asked = new AbortController());
        this.tell(texts().rewriteWait);
        this.use.hidden = true;
        try {
            const found = await server.rewrite({ address, model, parts, pictures: pictures.length }, signal);
            if (signal.aborted) return;
            this.found = { parts: found, pictures }; // these, whatever is put there until they are used
            const isOlder = JSON.stringify(field.parts(pictures)) !== JSON.stringify(parts); // somebody has written on
            const said = found.map((part) => (typeof part === "number" ? `{${wordOf(part)}}` : part)).join("");
            this.tell(isOlder ? `${said}\n${texts().rewriteOlder}` : said);
            this.use.hidden = false;
            // Whoever writes on meanwhile keeps the keyboard: the button would take the next space for a click.
            if (!isTyping(document.activeElement) || this.element.contains(document.activeElement)) this.use.focus();
        } catch (error) {
            if (!signal.aborted) this.tell(errorText(error), true);
        }
    }

    take() {
        const { parts, pictures } = this.found;
        this.hide();
        this.composer.useWords(parts, pictures);
    }
}
