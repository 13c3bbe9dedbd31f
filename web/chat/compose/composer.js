// Where a turn is put together: pictures, words, and how it is made.
import { iconButton, make } from "../../shared/dom.js";
import { carried, carries } from "../canvas_drop.js";
import { Extension } from "./extension.js";
import { Field } from "./field.js";
import { hasHostEditor, openHostEditor } from "./host_mask.js";
import { MaskEditor } from "./mask.js";
import { Picker } from "./picker.js";
import { Rewording } from "./rewording.js";
import { keepDraft, readDraft } from "../memory.js";
import { pictureAddress, server, smallAddress } from "../server.js";
import { language, texts } from "../texts.js";
import { allPictures, answeredAt, roundsFor, wordOf } from "../tree.js";

const PAUSE = 250; // ms without a key, after which phrasings are looked for
const SEED = /^\d{1,15}$/;

export class Composer {
    // panel: the page. What it needs of it: chat, head, ensureChat(), send(ask), stop(), attempt(work), preview(ask).
    constructor(panel, tray) {
        this.panel = panel;
        this.tray = tray;
        const words = texts();
        this.field = new Field(words.write, {
            changed: () => this.changed(),
            left: () => this.picker.hide(),
            send: () => this.send(),
            names: (prefix) => this.showNames(prefix),
            key: (event) => this.picker.key(event) || this.leave(event),
            paste: (files) => this.addFiles(files),
        });
        this.picker = new Picker((item) => this.choose(item));
        this.rewording = new Rewording(this);
        this.build(words);
        this.assemble(words);
    }

    build(words) {
        const button = (text, title, onclick, kind = "") =>
            make("button", { type: "button", className: `ace-button ${kind}`, title, onclick }, text);
        this.files = make("input", { type: "file", accept: "image/*", multiple: true, hidden: true });
        this.files.addEventListener("change", () => {
            this.addFiles([...this.files.files]);
            this.files.value = "";
        });
        this.maskButton = button(words.mask, words.maskHelp, () => this.openMask());
        this.extendButton = button(words.extend, words.extendHelp, () => this.toggleExtend());
        this.sendButton = button(words.send, words.sendHelp, () => this.send(), "ace-chat-send");
        this.stopButton = button(words.stop, words.stop, () => this.panel.stop(), "ace-chat-stop");
        this.seed = make("input", { className: "ace-input ace-chat-seed", inputMode: "numeric", placeholder: words.seed, title: words.seedHelp });
        this.seed.addEventListener("input", () => this.keepDraft());
        this.seed.setAttribute("aria-label", `${words.seed}. ${words.seedHelp}`);
        this.depth = make("input", { type: "range", min: 0, max: 9, value: 4, title: words.depthHelp, ariaLabel: words.depth });
        this.depth.addEventListener("input", () => {
            this.showDepth();
            this.keepDraft();
        });
        this.depthText = make("span", { className: "ace-chat-depth" });
        this.sheetButton = button(words.preview, words.previewHelp, () => this.preview());
        this.rewriteButton = button(words.rewrite, words.rewriteHelp, () => this.rewording.toggle());
        this.attachButton = iconButton("pi-image", words.attach, () => this.files.click());
    }

    assemble(words) {
        this.extension = new Extension(() => this.sizeOf(this.tray.pictures[0]));
        this.extension.element.addEventListener("input", () => this.changed(false));
        const history = make("label", { className: "ace-chat-history", title: words.depthHelp }, words.depth, this.depth, this.depthText);
        this.element = make(
            "div",
            { className: "ace-chat-composer" },
            this.tray.element,
            this.extension.element,
            this.rewording.element,
            this.picker.element,
            this.field.element,
            make("div", { className: "ace-chat-tools" }, this.attachButton, this.maskButton, this.extendButton, this.rewriteButton),
            history,
            make("div", { className: "ace-chat-tools" }, this.seed, this.sheetButton, this.stopButton, this.sendButton),
            this.files,
        );
    }

    // Files and pictures may be dropped anywhere on the page.
    acceptDrops(element) {
        const brings = (event) => carries(event) || [...(event.dataTransfer?.types ?? [])].includes("Files");
        element.addEventListener("dragover", (event) => {
            if (!brings(event)) return;
            event.preventDefault();
            event.stopPropagation();
        });
        element.addEventListener("drop", (event) => {
            if (!brings(event)) return;
            event.preventDefault();
            event.stopPropagation();
            const picture = carried(event);
            if (picture) this.addCarried(picture);
            else this.addFiles([...event.dataTransfer.files].filter((file) => file.type.startsWith("image/")));
        });
    }

    // -- pictures ----------------------------------------------------------------------------------------------

    addFiles(files) {
        return this.panel.attempt(async () => {
            for (const file of files) {
                const chat = await this.panel.ensureChat();
                this.take(chat, await server.addPicture(chat, file));
            }
            this.field.focus();
        });
    }

    addCarried({ chat, file }) {
        return this.panel.attempt(async () => {
            const here = await this.panel.ensureChat();
            if (chat === here) return this.take(here, { file });
            const blob = await (await fetch(pictureAddress(chat, file))).blob();
            this.take(here, await server.addPicture(here, blob));
        });
    }

    // A picture that somebody chose: the first of all takes the place of the one that was put there by itself.
    take(chat, { file }) {
        const [first] = this.tray.pictures;
        if (first?.auto && this.field.isEmpty && !answeredAt(this.panel.chat, this.panel.head)) this.tray.remove(first);
        const picture = this.tray.add(chat, { file });
        picture.auto = false;
        return picture;
    }

    name(picture) {
        this.field.insert(picture, this.tray.pictures);
    }

    openMask(picture = this.tray.pictures[0]) {
        if (!picture) return;
        const { chat, file, mask, fill } = picture;
        const keep = async (blob, chosen) => {
            const made = await server.addMask(chat, file, blob);
            this.tray.mask(picture, made.file, chosen);
            if (made.file) this.closeExtend();
        };
        const done = (...made) =>
            this.panel.attempt(async () => {
                await keep(...made);
                this.field.focus();
            });
        const host = (...made) =>
            this.panel.attempt(async () => {
                await keep(...made); // so that leaving the other editor without saving loses nothing
                const name = await server.toInput(chat, picture.mask ?? file);
                await openHostEditor(name, (blob) => this.panel.attempt(() => this.takeEdited(picture, blob)));
            });
        new MaskEditor(pictureAddress(chat, file), mask && pictureAddress(chat, mask), fill, done, hasHostEditor() ? host : null);
    }

    // What ComfyUI's editor saved comes back into ours, to be looked at.
    async takeEdited(picture, blob) {
        const made = await server.addEdited(picture.chat, picture.file, blob);
        this.tray.edited(picture, made.picture);
        this.tray.mask(picture, made.mask, picture.fill);
        this.field.relabel(picture);
        if (made.mask) this.closeExtend();
        this.openMask(picture);
    }

    async sizeOf({ chat, file }) {
        const image = make("img", { src: pictureAddress(chat, file) });
        await image.decode();
        return [image.naturalWidth, image.naturalHeight];
    }

    toggleExtend() {
        if (this.extension.isOpen) return this.closeExtend();
        this.extension.open();
        this.extension.focus();
        this.changed();
    }

    closeExtend() {
        this.extension.close();
        this.changed();
    }

    // -- words -------------------------------------------------------------------------------------------------

    showNames(prefix) {
        if (prefix === null) {
            if (this.naming) this.picker.hide();
            this.naming = false;
            return;
        }
        this.naming = true;
        clearTimeout(this.timer);
        const { chat } = this.panel;
        if (!chat) return;
        const held = this.tray.pictures.map((picture, index) => ({ file: picture.file, name: wordOf(index) }));
        const others = allPictures(chat).filter(({ file }) => !held.some((one) => one.file === file));
        const found = [...held, ...others].filter(({ name }) => name.startsWith(prefix)).slice(0, 30);
        const items = found.map((one) => [
            { picture: one.file },
            make("span", { className: "ace-chat-named" }, make("img", { src: smallAddress(chat.id, one.file), alt: "" }), one.name),
        ]);
        this.picker.show(texts().pictures, items, true);
    }

    async suggest() {
        const parts = this.field.parts(this.tray.pictures);
        const text = parts.filter((part) => typeof part === "string").join(" ");
        if (this.naming) return;
        if (text.trim().length < 3 || text.length > 200) return this.picker.hide();
        const query = { text, pictures: this.tray.pictures.length, masked: Boolean(this.tray.pictures[0]?.mask), language: language() };
        const found = await server.suggestions(query).catch(() => []);
        if (this.naming || document.activeElement !== this.field.element) return;
        const items = found.map((one) => [
            { parts: one.parts },
            make("span", { className: "ace-chat-suggested" }, make("b", {}, one.title), make("span", {}, one.reading)),
        ]);
        this.picker.show(texts().suggestions, items, false);
    }

    choose({ picture, parts }) {
        if (picture !== undefined) {
            this.naming = false;
            this.name(this.tray.add(this.panel.chat.id, { file: picture }));
            return;
        }
        this.field.focus();
        this.field.set(parts, this.tray.pictures);
        this.field.selectGap();
        this.changed(false);
    }

    leave(event) {
        if (event.key !== "Escape") return false;
        this.panel.thread.focus();
        return true;
    }

    changed(typed = true) {
        this.field.label(this.tray.pictures);
        clearTimeout(this.timer);
        if (typed) this.timer = setTimeout(() => this.suggest(), PAUSE);
        else this.picker.hide();
        this.show();
        this.keepDraft();
    }

    // -- what is asked -----------------------------------------------------------------------------------------

    get ask() {
        const seed = this.seed.value.trim() === "" ? Math.floor(Math.random() * 2 ** 48) : Number(this.seed.value);
        return {
            parts: this.field.parts(this.tray.pictures),
            pictures: this.tray.asked,
            extend: this.tray.pictures.length ? this.extension.asked : null,
            seed,
            depth: Number(this.depth.value),
        };
    }

    get isEmpty() {
        return this.field.isEmpty && !this.extension.isOpen;
    }

    // Whether the seed is one; if not, it is said.
    hasSeed() {
        const text = this.seed.value.trim();
        const good = text === "" || SEED.test(text);
        this.seed.setAttribute("aria-invalid", !good);
        if (!good) {
            this.panel.tell(texts().badSeed, true);
            this.seed.focus();
        }
        return good;
    }

    async send() {
        this.picker.hide();
        clearTimeout(this.timer);
        if (this.isEmpty || this.isSending || !this.hasSeed()) return;
        this.isSending = true; // a second Enter before the server has answered is no second turn
        try {
            await this.panel.send(this.ask);
        } finally {
            this.isSending = false;
        }
    }

    preview() {
        if (this.hasSeed()) this.panel.preview(this.ask, this.panel.head);
    }

    // The turn has been taken: the next one begins empty, on its answer.
    reset() {
        this.field.set([], []);
        this.seed.value = "";
        this.closeExtend();
        this.tray.clear();
        this.rewording.hide();
        this.changed(false);
    }

    // An earlier turn is asked again, in other words.
    fill(turn) {
        this.tray.clear();
        for (const picture of turn.pictures) this.tray.add(this.panel.chat.id, picture);
        this.field.set(turn.parts, this.tray.pictures);
        this.seed.value = "";
        this.depth.value = turn.depth;
        if (turn.extend) this.extension.open(turn.extend);
        else this.extension.close();
        this.changed(false);
        this.field.focus();
    }

    // -- drafts ------------------------------------------------------------------------------------------------

    keepDraft() {
        const { pictures } = this.tray;
        const id = this.panel.chat?.id ?? null;
        if (this.isEmpty && !this.seed.value && pictures.every(({ auto }) => auto)) return keepDraft(id, null);
        const kept = pictures.map(({ file, mask, fill, auto }) => ({ file, mask, fill, auto }));
        const [parts, depth] = [this.field.parts(pictures), Number(this.depth.value)];
        keepDraft(id, { parts, pictures: kept, extend: this.extension.asked, seed: this.seed.value, depth });
    }

    // What was being written in a conversation when it was left.
    openDraft() {
        const { chat } = this.panel;
        const draft = readDraft(chat?.id ?? null) ?? {};
        this.reset();
        for (const picture of draft.pictures ?? []) this.tray.add(chat.id, picture, picture);
        const isThere = (part) => typeof part === "string" || part < this.tray.pictures.length;
        this.field.set((draft.parts ?? []).filter(isThere), this.tray.pictures);
        if (draft.extend && this.tray.pictures.length) this.extension.open(draft.extend);
        this.seed.value = draft.seed ?? "";
        this.depth.value = draft.depth ?? chat?.settings.depth ?? 4;
        this.changed(false);
    }

    // -- what is seen ------------------------------------------------------------------------------------------

    show() {
        const { chat, head, running } = this.panel;
        const [first] = this.tray.pictures;
        if (!first && this.extension.isOpen) this.extension.close();
        this.maskButton.disabled = !first || this.extension.isOpen;
        this.extendButton.disabled = !first || Boolean(first.mask);
        this.extendButton.setAttribute("aria-pressed", this.extension.isOpen);
        this.stopButton.hidden = !running;
        this.sendButton.disabled = this.isEmpty;
        this.sheetButton.disabled = !first || !chat;
        this.showDepth(chat, head);
    }

    showDepth(chat = this.panel.chat, head = this.panel.head) {
        const sent = chat ? roundsFor(chat, head, this.tray.pictures.length, Number(this.depth.value)).length : 0;
        this.depthText.textContent = `${this.depth.value} · ${texts().sends(sent)}`;
    }
}
