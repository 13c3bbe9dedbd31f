// Where a turn is put together: pictures, words, and how it is made.
import { iconButton, make } from "../../shared/dom.js";
import { Arrivals } from "./arrivals.js";
import { Extension } from "./extension.js";
import { Field } from "./field.js";
import { hasHostEditor, openHostEditor } from "./host_mask.js";
import { MaskEditor } from "./mask.js";
import { Offers } from "./offers.js";
import { Rewording } from "./rewording.js";
import { isNothing, together } from "./drafts.js";
import { keepDraft, readDraft } from "../memory.js";
import { pictureAddress, server } from "../server.js";
import { texts } from "../texts.js";
import { answeredAt, roundsFor, turnOf } from "../tree.js";

const SEED = /^\d{1,15}$/;
const NOTHING = { parts: [], pictures: [], extend: null, seed: "", depth: null, editing: null, before: null };

export class Composer {
    // panel: the page. What it needs of it: chat, head, turnAt, isBusy(turn), ensureChat(), acts, send(ask), attempt(work),
    // preview(ask).
    constructor(panel, tray) {
        this.panel = panel;
        this.tray = tray;
        this.editing = this.before = null; // the turn that is asked again; the draft that waits meanwhile
        this.arrivals = new Arrivals(panel, {
            changed: () => this.show(),
            arrived: (chat, picture) => this.arrived(chat, picture),
            write: () => this.field.focus(),
        });
        const words = texts();
        this.field = new Field(words.write, {
            changed: () => this.changed(),
            left: () => this.offers.picker.hide(),
            send: () => this.send(),
            names: (prefix) => this.offers.showNames(prefix),
            named: (name) => this.offers.pictureNamed(name),
            key: (event) => this.offers.key(event) || this.leave(event),
            paste: (files) => this.arrivals.addFiles(files),
        });
        this.offers = new Offers(this);
        this.rewording = new Rewording(this);
        this.build(words);
        this.assemble(words);
    }

    build(words) {
        const button = (text, title, onclick, kind = "") =>
            make("button", { type: "button", className: `ace-button ${kind}`, title, onclick }, text);
        this.files = make("input", { type: "file", accept: "image/*", multiple: true, hidden: true });
        this.files.addEventListener("change", () => {
            this.arrivals.addFiles([...this.files.files]);
            this.files.value = "";
        });
        this.maskButton = button(words.mask, words.maskHelp, () => this.openMask());
        this.extendButton = button(words.extend, words.extendHelp, () => this.toggleExtend());
        this.sendButton = button(words.send, words.sendHelp, () => this.send(), "ace-chat-send");
        this.stopButton = button(words.stop, words.stop, () => this.panel.acts.stop(), "ace-chat-stop");
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
        this.editText = make("span", {});
        const cancel = button(words.cancel, words.cancelEdit, () => this.cancelEdit());
        this.editBar = make("div", { className: "ace-note ace-chat-editing", hidden: true }, this.editText, cancel);
        this.note = make("div", { className: "ace-note", role: "status", hidden: true });
        this.attachButton = iconButton("pi-image", words.attach, () => this.files.click());
    }

    assemble(words) {
        this.extension = new Extension(() => this.panel.attempt(() => this.sizeOf(this.tray.pictures[0])));
        this.extension.element.addEventListener("input", () => this.changed("hide"));
        const history = make("label", { className: "ace-chat-history", title: words.depthHelp }, words.depth, this.depth, this.depthText);
        this.element = make(
            "div",
            { className: "ace-chat-composer" },
            this.editBar,
            this.tray.element,
            this.extension.element,
            this.rewording.element,
            this.offers.element,
            this.field.element,
            make("div", { className: "ace-chat-tools" }, this.attachButton, this.maskButton, this.extendButton, this.rewriteButton),
            history,
            this.note,
            make("div", { className: "ace-chat-tools" }, this.stopButton, this.seed, this.sheetButton, this.sendButton),
            this.files,
        );
    }

    // -- pictures ----------------------------------------------------------------------------------------------

    // If another conversation is looked at by now, it is there when that is left.
    arrived(chat, { file }) {
        if (this.panel.chat?.id === chat) return this.take(chat, { file });
        const kept = { ...NOTHING, ...readDraft(chat) };
        if (kept.pictures.some((one) => one.file === file)) return;
        keepDraft(chat, { ...kept, pictures: [...kept.pictures, { file, mask: null, fill: "keep", auto: false, placed: false }] });
    }

    // A picture that somebody chose: the first of all takes the place of the one that was put there by itself.
    take(chat, { file }) {
        const [first] = this.tray.pictures;
        if (first?.auto && this.field.isEmpty && !answeredAt(this.panel.chat, this.parent)) this.tray.remove(first);
        const picture = this.tray.add(chat, { file });
        picture.auto = false;
        return picture;
    }

    name(picture) {
        picture.auto = false; // what is spoken of stays
        this.field.insert(picture, this.tray.pictures);
    }

    async openMask(picture = this.tray.pictures[0]) {
        if (!picture || this.isOpening) return; // a second one would lie over the first
        const { chat, file, mask, fill } = picture;
        const done = async (blob, chosen) => {
            const made = await server.addMask(chat, file, blob);
            this.tray.mask(picture, made.file, chosen);
            if (made.file && picture === this.tray.pictures[0]) this.closeExtend();
        };
        const host = () =>
            this.panel.attempt(async () => {
                const name = await server.toInput(chat, picture.mask ?? file);
                await openHostEditor(name, (saved) => this.panel.attempt(async () => this.takeEdited(picture, await saved)));
            });
        const editor = new MaskEditor(Boolean(mask), fill, {
            done, // also before the other editor opens, so that leaving that without saving loses nothing
            closed: () => this.field.focus(),
            host: hasHostEditor() ? host : null,
        });
        this.isOpening = true;
        await this.panel.attempt(() => editor.open(pictureAddress(chat, file), mask && pictureAddress(chat, mask)));
        this.isOpening = false;
    }

    // What ComfyUI's editor saved comes back into ours, to be looked at.
    async takeEdited(picture, blob) {
        const made = await server.addEdited(picture.chat, picture.file, blob);
        this.tray.edited(picture, made.picture);
        this.tray.mask(picture, made.mask, picture.fill);
        this.field.relabel(picture);
        if (made.mask && picture === this.tray.pictures[0]) this.closeExtend();
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

    // Other words, about the pictures that were here when they were found.
    useWords(parts, pictures) {
        for (const part of parts) if (typeof part === "number") pictures[part].auto = false;
        this.field.replace(parts, pictures);
        this.changed("hide");
    }

    leave(event) {
        if (event.key !== "Escape") return false;
        this.panel.thread.focus();
        return true;
    }

    // offers: what becomes of the list under the field.
    changed(offers = "wait") {
        for (const picture of this.field.pictures) if (!this.tray.pictures.includes(picture)) this.tray.restore(picture);
        this.field.label(this.tray.pictures);
        this.offers[offers]();
        this.show();
        this.keepDraft();
    }

    // -- what is asked -----------------------------------------------------------------------------------------

    // The turn that the next one comes after.
    get parent() {
        return this.editing ? this.editing.parent : this.panel.head;
    }

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
        return this.field.isEmpty && !this.extension.asked;
    }

    // Why this cannot be sent as it is; null where it can.
    get obstacle() {
        const words = texts();
        const before = !this.editing && this.panel.turnAt;
        if (this.extension.isOpen && this.tray.pictures[0]?.mask) return words.extendOrMask;
        if (this.extension.isOpen && !this.extension.asked) return words.extendNothing;
        const coming = this.arrivals.to(this.panel.chat?.id ?? null);
        if (this.isEmpty) return coming.some(({ isSlow }) => isSlow) ? words.pictureComes : null;
        if (this.panel.isComing) return words.opens;
        const { unknownName } = this.offers;
        if (unknownName) return words.noSuchPicture(unknownName);
        if (coming.length) return words.pictureComes;
        if (this.isSending) return words.sending;
        return before && this.panel.isBusy(before) ? words.notYet(before.number) : null;
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

    // What is typed from now on is of the next turn, which begins empty, or with what was left for this one.
    async send() {
        this.offers.hide();
        if (this.isEmpty || this.obstacle || !this.hasSeed()) return;
        const { ask, draft, parent } = this;
        this.isSending = true;
        this.put({ ...NOTHING, depth: ask.depth, ...this.before });
        this.field.focus();
        try {
            const { lost } = await this.panel.send(ask, parent);
            if (lost !== undefined) this.giveBack(draft, lost);
        } finally {
            this.isSending = false;
            this.show();
        }
    }

    preview() {
        if (this.hasSeed()) this.panel.preview(this.ask, this.parent);
    }

    // An earlier turn is asked again, in other words, beside it. Where one is stays until that is sent.
    edit(turn) {
        const before = this.editing ? this.before : this.draft;
        const { parts, pictures, extend, depth } = turn;
        this.put({ ...NOTHING, parts, pictures, extend, depth, editing: turn.id, before: isNothing(before) ? null : before });
        this.field.focus();
    }

    // What was being written before is there again.
    cancelEdit() {
        if (!this.editing) return;
        this.put({ ...NOTHING, ...this.before });
        this.panel.draw();
        this.field.focus();
    }

    // -- drafts ------------------------------------------------------------------------------------------------

    get draft() {
        const { pictures } = this.tray;
        return {
            parts: this.field.parts(pictures),
            pictures: pictures.map(({ file, mask, fill, auto, placed }) => ({ file, mask, fill, auto, placed })),
            extend: this.extension.isOpen ? this.extension.values : null,
            seed: this.seed.value,
            depth: Number(this.depth.value),
            editing: this.editing?.id ?? null,
            before: this.before,
        };
    }

    keepDraft() {
        if (this.isPutting) return;
        const { draft } = this;
        keepDraft(this.panel.chat?.id ?? null, isNothing(draft) ? null : draft);
    }

    // What was being written in a conversation when it was left.
    openDraft() {
        this.put({ ...NOTHING, ...readDraft(this.panel.chat?.id ?? null) });
    }

    // What was written before the conversation was there comes after what waited in it.
    joinDraft() {
        const { draft } = this;
        const kept = readDraft(this.panel.chat.id);
        if (isNothing(draft)) return this.openDraft();
        keepDraft(null, null);
        if (isNothing(kept)) {
            this.depth.value = this.panel.chat.settings.depth ?? 4;
            this.changed("hide"); // else as it stands, so that nobody who writes is disturbed
        } else this.put(together({ ...NOTHING, ...kept }, draft));
        if (document.activeElement === document.body) this.field.focus();
    }

    put({ parts, pictures, extend, seed, depth, editing, before }) {
        const { chat } = this.panel;
        this.isPutting = true;
        this.editing = (editing && chat && turnOf(chat, editing)) || null;
        this.before = before;
        this.field.set([], []);
        this.tray.clear();
        for (const picture of chat ? pictures : []) this.tray.add(chat.id, picture, picture);
        const isThere = (part) => typeof part === "string" || part < this.tray.pictures.length;
        this.field.set(parts.filter(isThere), this.tray.pictures);
        if (extend && this.tray.pictures.length) this.extension.open(extend);
        else this.extension.close();
        this.seed.value = seed;
        this.depth.value = depth ?? chat?.settings.depth ?? 4;
        this.rewording.hide();
        this.isPutting = false;
        this.changed("hide");
    }

    // What could not be sent is there again, with what was begun since; if elsewhere is looked at by now, it waits there.
    giveBack(draft, chat) {
        if ((this.panel.chat?.id ?? null) !== chat) {
            const begun = { ...NOTHING, ...readDraft(chat) };
            return keepDraft(chat, together(draft, begun));
        }
        this.put(together(draft, this.draft));
        this.panel.draw();
    }

    // -- what is seen ------------------------------------------------------------------------------------------

    show() {
        const { chat, running } = this.panel;
        const { obstacle } = this;
        const [first] = this.tray.pictures;
        if (!first && this.extension.isOpen) this.extension.close();
        this.maskButton.disabled = !first || (this.extension.isOpen && !first.mask);
        this.extendButton.disabled = !first || (Boolean(first.mask) && !this.extension.isOpen);
        this.extendButton.setAttribute("aria-pressed", this.extension.isOpen);
        this.stopButton.hidden = !running;
        if (running) this.stopButton.textContent = this.panel.isShown(running) ? texts().stop : texts().stopOther(running.number);
        this.sendButton.disabled = this.isEmpty || Boolean(obstacle);
        this.sheetButton.disabled = !first || !chat || Boolean(obstacle);
        this.editBar.hidden = !this.editing;
        if (this.editing) this.editText.textContent = texts().editing(this.editing.number);
        if (this.note.textContent !== (obstacle ?? "")) this.note.textContent = obstacle ?? "";
        this.note.hidden = !obstacle;
        this.showDepth();
    }

    showDepth() {
        const { chat } = this.panel;
        const sent = chat ? roundsFor(chat, this.parent, this.tray.pictures.length, Number(this.depth.value)).length : 0;
        this.depthText.textContent = `${this.depth.value} · ${texts().sends(sent)}`;
    }
}
