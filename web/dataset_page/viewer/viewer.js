// One pair at full size, over the whole window.
import { iconButton, isTyping, keyList, make } from "../../shared/dom.js";
import { Form } from "./form.js";
import { itemKey, pictureAddress, server, thumbnailAddress } from "../server.js";
import { errorText, texts } from "../texts/texts.js";
import { Wipe } from "../../shared/wipe.js";

export class Viewer {
    // page: whose list is gone through.
    constructor(page) {
        this.page = page;
        const words = texts();
        this.wipe = new Wipe(texts());
        this.wipe.after.addEventListener("load", () => this.tellSize());
        this.wipe.before.addEventListener("load", () => this.tellSize());
        this.form = new Form({
            dataset: () => page.dataset,
            edit: async (item, changes) => (await page.actions.edit([item], changes))[0],
            remove: () => page.remove(),
            restore: () => page.restore(),
            leave: () => {
                this.element.focus();
                this.update(); // another pair may have waited until nobody writes
            },
            settled: () => this.update(),
            decide: (item, action, words) => this.decide(item, action, words),
            fail: (error) => page.fail(error),
        });
        this.writesAt = null; // where in the list the pair is whose words somebody wants to write
        this.position = make("span", { className: "ace-position" });
        this.notice = make("div", { className: "ace-note", hidden: true });
        this.strip = make("div", { className: "ace-strip" });
        this.help = keyList(words.keys);
        this.element = make(
            "dialog",
            { className: "ace-viewer", tabIndex: -1, ariaLabel: words.title },
            make(
                "div",
                { className: "ace-bar" },
                iconButton("pi-chevron-left", words.previous, () => this.go(-1)),
                this.position,
                iconButton("pi-chevron-right", words.next, () => this.go(1)),
                this.notice,
                make("span", { className: "ace-space" }),
                iconButton("pi-undo", words.undo, () => page.undo()),
                iconButton("pi-arrows-alt", words.fit, () => this.wipe.toggleSize()),
                iconButton("pi-question-circle", words.keysButton, () => this.toggleHelp()),
                iconButton("pi-times", words.close, () => this.close()),
            ),
            this.help,
            make("div", { className: "ace-body" }, make("div", { className: "ace-main" }, this.wipe.element, this.strip), this.form.element),
        );
        this.element.type = "textarea"; // of any other element, ComfyUI takes Ctrl+Z for its graph, too
        this.element.addEventListener("cancel", (event) => {
            event.preventDefault(); // Escape: what was written is saved first
            if (this.help.hidden) this.close();
            else this.toggleHelp();
        });
        this.element.addEventListener("keydown", (event) => this.key(event));
    }

    get isOpen() {
        return this.element.open;
    }

    async open(writing = false) {
        if (!this.isOpen) {
            this.help.hidden = true;
            document.body.append(this.element);
            this.element.showModal();
            this.element.focus();
        }
        this.writesAt = writing ? this.page.cursor : null;
        await this.update();
    }

    // Once the pair is there for which that was wanted.
    beginWriting() {
        const { cursor, source } = this.page;
        if (this.writesAt !== cursor || !this.form.isOf(source.get(cursor))) return;
        this.writesAt = null;
        this.write();
    }

    // The next pair is shown at once; the decision is carried out meanwhile.
    async decide(item, action, words) {
        const { page } = this;
        this.writesAt = null;
        this.element.focus();
        if (action === "reject" && !(await this.form.submit())) return; // somebody has written words of their own instead
        this.form.drop();
        const done = page.attempt(() => page.actions.decide(item, action, words));
        if (page.toolbar.query.show === "proposed") page.drop(item);
        else page.moveTo(page.cursor + 1);
        await this.update();
        await done;
        const now = page.source.get(page.cursor);
        if (!now || itemKey(now) !== itemKey(item)) return;
        this.shown = null; // it is the last one, or it could not be decided on: what is shown is of before
        await this.update();
    }

    // What is written and not saved yet is taken back first; whether there was anything.
    takeBack() {
        if (!this.isOpen || this.form.busy || !this.form.isChanged) return false;
        this.form.dropWords();
        this.shown = null; // what came meanwhile was held back
        this.update();
        return true;
    }

    write() {
        if (this.form.labels.item) return this.form.labels.write();
        this.form.words?.focus();
        this.form.words?.select();
    }

    async close() {
        if (await this.form.submit()) this.finish();
    }

    // There is nothing left to go through.
    finish() {
        this.form.leave();
        this.shown = null; // what is looked at again may be another by then
        this.element.close();
        this.element.remove();
        this.page.grid.element.focus();
    }

    async go(step) {
        if (!(await this.form.submit())) return;
        const { page } = this;
        this.writesAt = null;
        this.element.focus();
        const to = Math.max(0, Math.min(page.cursor + step, page.source.total - 1));
        if (to === page.cursor && this.form.isOf(page.source.get(to))) return; // there is no other one
        this.form.leave();
        if (!this.notice.classList.contains("ace-bad")) page.tell(""); // it was about the pair that is left
        page.moveTo(to);
        await this.update();
    }

    // Shows the pair at the list's cursor, as it is now.
    async update() {
        if (!this.isOpen) return;
        const { page } = this;
        const item = page.source.get(page.cursor);
        this.position.textContent = page.source.total ? `${page.cursor + 1} / ${page.source.total}` : "";
        if (!item) {
            if (page.source.known && page.source.total === 0) this.finish();
            return; // it is on its way, and this is called again
        }
        if (item.number !== undefined) return this.showRejected(item);
        const key = versionKey(item);
        if (key === this.shown && this.form.item) return this.beginWriting();
        if (page.actions.removed.has(this.form.item?.id)) this.form.drop();
        if (this.isHeld(item)) return;
        if (key !== this.asked) this.answer = this.ask(item, key);
        await this.answer; // asked for twice, a pair would be shown twice, the second time under somebody's hands
        this.beginWriting();
    }

    // Whether somebody writes about the pair that is shown, while another one has come to its place in the list.
    isHeld(item) {
        const { item: shown, isWriting } = this.form;
        return Boolean(shown && isWriting && itemKey(shown) !== itemKey(item));
    }

    async ask(item, key) {
        const { page } = this;
        this.asked = key;
        try {
            const whole = await server.pair(page.dataset, item);
            const now = page.source.get(page.cursor);
            if (!now || versionKey(now) !== key) return; // gone on meanwhile
            if (key === this.shown && this.form.item) return; // gone on, and come back
            if (this.isHeld(now)) return;
            this.shown = key;
            this.showPictures(whole);
            this.form.show(whole);
        } catch (error) {
            this.tell(errorText(error));
        } finally {
            if (this.asked === key) this.asked = null;
        }
    }

    showRejected(item) {
        this.shown = null;
        const address = item.thumbnail ? thumbnailAddress(this.page.dataset, item) : "";
        this.wipe.show(null, address, null, { small: true });
        this.strip.replaceChildren();
        this.form.show(item);
    }

    showPictures(item) {
        const others = item.pictures.filter((name) => name !== "target");
        const address = (name) => pictureAddress(this.page.dataset, item, name);
        const left = others.includes(this.left) ? this.left : (others[0] ?? null);
        const label = (name) => texts().picture(name);
        this.wipe.show(left && address(left), address("target"), left && label(left));
        const buttons = others.map((name) =>
            make(
                "button",
                {
                    type: "button",
                    className: `ace-choice${name === left ? " ace-chosen" : ""}`,
                    onclick: () => {
                        this.left = name;
                        this.showPictures(item);
                    },
                },
                label(name),
            ),
        );
        this.strip.replaceChildren(...(others.length > 1 ? buttons : []), (this.sizes = make("span", { className: "ace-detail" })));
        this.tellSize();
    }

    tellSize() {
        const { before, after } = this.wipe;
        if (!this.sizes || !after.naturalWidth) return;
        const differ = before.naturalWidth && before.naturalWidth * after.naturalHeight !== after.naturalWidth * before.naturalHeight;
        this.sizes.textContent = `${after.naturalWidth} × ${after.naturalHeight}${differ ? ` · ${texts().sizesDiffer}` : ""}`;
    }

    tell(text) {
        this.notice.textContent = text;
        this.notice.hidden = !text;
    }

    toggleHelp() {
        this.help.hidden = !this.help.hidden;
    }

    key(event) {
        event.stopPropagation(); // ComfyUI would take Delete and others for its graph
        if (isTyping(event.target) || event.defaultPrevented) return;
        const keys = {
            ArrowLeft: () => this.go(-1),
            ArrowRight: () => this.go(1),
            ",": () => this.wipe.step(-1),
            ".": () => this.wipe.step(1),
            x: () => this.wipe.flip(),
            f: () => this.wipe.toggleSize(),
            e: () => this.open(true),
            n: () => this.go(1),
            "?": () => this.toggleHelp(),
            // A key that is held down would decide on pairs that nobody has looked at.
            ...(this.form.labels.item && !event.repeat ? { a: () => this.form.labels.accept(), j: () => this.form.labels.reject() } : {}),
        };
        const work = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
        if (work) {
            event.preventDefault();
            work();
        } else {
            this.page.changeByKey(event);
        }
    }
}

// A pair as it is by now: another version of it is shown anew.
function versionKey(item) {
    return itemKey(item) + (item.version ?? "");
}
