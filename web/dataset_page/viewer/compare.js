// Two pairs side by side, over the whole window: the artist chooses the better one, again and again.
import { button, iconButton, isTyping, make } from "../../shared/dom.js";
import { keepFocus } from "../../shared/focus.js";
import { pictureAddress, server } from "../server.js";
import { errorText, texts } from "../texts/texts.js";
import { Wipe } from "../../shared/wipe.js";

export class Compare {
    // page: whose dataset is ranked.
    constructor(page) {
        this.page = page;
        const words = texts().compare;
        this.position = make("span", { className: "ace-position" });
        this.notice = make("div", { className: "ace-note", role: "status" });
        this.backButton = iconButton("pi-undo", words.back, () => this.back());
        this.choices = [
            button(words.left, "ace-left", () => this.choose(0)),
            button(words.same, "ace-same", () => this.choose(null)),
            button(words.right, "ace-right", () => this.choose(1)),
        ];
        this.sides = [side(), side()];
        this.element = make(
            "dialog",
            { className: "ace-viewer ace-compare", tabIndex: -1, ariaLabel: words.ask },
            make(
                "div",
                { className: "ace-bar" },
                this.position,
                this.notice,
                make("span", { className: "ace-space" }),
                this.backButton,
                iconButton("pi-times", texts().close, () => this.close()),
            ),
            make("div", { className: "ace-body" }, ...this.sides.map((one) => one.element)),
            make("div", { className: "ace-bar ace-choices" }, ...this.choices),
        );
        this.element.addEventListener("cancel", (event) => {
            event.preventDefault();
            this.close();
        });
        this.element.addEventListener("keydown", (event) => this.key(event));
    }

    async open() {
        if (this.element.open || this.page.dataset === null) return;
        this.dataset = this.page.dataset; // the list below may change to another one meanwhile
        this.opened = {}; // what was asked for an earlier opening is no answer to this one
        this.busy = false;
        this.earlier = [];
        this.told = null;
        this.showBack();
        for (const side of this.sides) side.show(this.dataset, null);
        document.body.append(this.element);
        this.element.showModal();
        this.element.focus();
        await this.ask(() => server.comparison(this.dataset));
    }

    close() {
        this.element.close();
        this.element.remove();
        this.page.grid.element.focus();
    }

    // Shows what the server says is next. One request at a time, and it is seen that one is under way: a key may be pressed
    // faster than the disk writes.
    async ask(request) {
        if (this.busy) return false;
        this.busy = true;
        const { opened } = this;
        this.keepKeys(() => this.allow(false));
        try {
            const told = await request();
            if (opened !== this.opened) return false;
            this.show(told);
            return true;
        } catch (error) {
            console.warn("ACE Edit: comparison:", error);
            if (opened !== this.opened) return false;
            // A pair that is gone cannot be chosen any more: go on with two that are there.
            const others = error.code === "refused" ? await server.comparison(this.dataset).catch(() => null) : null;
            if (opened !== this.opened) return false;
            if (others) this.show(others, errorText(error));
            else {
                this.tell(errorText(error), true);
                this.allow(this.told !== null); // the same two, once more
            }
            return false;
        } finally {
            if (opened === this.opened) this.busy = false;
        }
    }

    async choose(place) {
        if (!this.ready) return;
        const shown = this.told.pairs;
        const [first, second] = shown.map(({ id }) => id);
        const better = place === null ? null : shown[place].id;
        if (await this.ask(() => server.choose(this.dataset, first, second, better))) {
            this.earlier.push(shown);
            this.showBack();
        }
    }

    // The two before, once more: another choice about them takes the place of the first.
    back() {
        if (this.busy || !this.earlier.length) return;
        this.show({ ...this.told, pairs: this.earlier.pop() });
    }

    // A button that was clicked is disabled meanwhile, and keys must not go with it.
    keepKeys(work) {
        keepFocus(this.element, work, () => this.element.focus());
    }

    show(told, trouble = "") {
        this.keepKeys(() => this.showNext(told, trouble));
    }

    showNext(told, trouble) {
        const words = texts().compare;
        const { pairs, made, wanted } = told;
        this.told = told;
        this.position.textContent = words.made(made, Math.max(made, wanted));
        const ended = made ? words.enough(made) : words.few;
        this.tell(trouble || (pairs ? words.ask : ended), Boolean(trouble));
        for (const [place, one] of this.sides.entries()) one.show(this.dataset, pairs?.[place] ?? null);
        this.showBack();
        this.allow(false);
        if (pairs) Promise.all(this.sides.map((one) => one.arrived())).then(() => told === this.told && this.allow(true));
    }

    // Nobody can choose by pictures of the two before, which stay until the new ones have come.
    allow(ready) {
        this.ready = ready;
        for (const button of this.choices) button.disabled = !ready;
        this.element.classList.toggle("ace-waiting", !ready);
    }

    showBack() {
        this.backButton.disabled = !this.earlier.length;
    }

    tell(text, bad = false) {
        this.notice.textContent = text;
        this.notice.classList.toggle("ace-bad", bad);
    }

    key(event) {
        event.stopPropagation(); // ComfyUI would take some of them for its graph
        if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
        const wipes = this.sides.map((one) => one.wipe);
        const keys = {
            ArrowLeft: () => this.choose(0),
            ArrowRight: () => this.choose(1),
            ArrowDown: () => this.choose(null),
            Backspace: () => this.back(),
            ",": () => wipes.forEach((wipe) => wipe.step(-1)),
            ".": () => wipes.forEach((wipe) => wipe.step(1)),
            x: () => wipes.forEach((wipe) => wipe.flip()),
        };
        const work = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
        if (!work) return;
        event.preventDefault();
        if (!event.repeat || ",.".includes(event.key)) work();
    }
}

// One of the two pairs: its pictures and what was asked for.
function side() {
    const wipe = new Wipe(texts());
    const words = make("div", { className: "ace-asked" });
    const element = make("div", { className: "ace-main" }, wipe.element, words);

    function show(dataset, item) {
        element.hidden = item === null;
        if (item === null) return;
        const address = (name) => pictureAddress(dataset, item, name);
        const source = item.pictures.includes("control") ? address("control") : null;
        wipe.show(source, address("target"), texts().source);
        words.textContent = item.instruction || item.prompt;
    }

    // A picture that cannot be shown has come, too: it is seen to be broken.
    const arrived = () =>
        Promise.allSettled([wipe.after, wipe.before].filter((image) => image.hasAttribute("src")).map((image) => image.decode()));

    return { element, wipe, show, arrived };
}
