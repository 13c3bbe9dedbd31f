// A mask painted over a picture, by mouse, pen or keys alone.
import { choice, make } from "../../shared/dom.js";
import { showDialog } from "../frame/dialogs.js";
import { ServerError } from "../../shared/server.js";
import { errorText, texts } from "../texts.js";
import { Marks } from "./marks.js";

const STEP = 1 / 64; // of the longer side, that an arrow key moves

export class MaskEditor {
    // hasMask: whether there is one already. fill: what the model sees there. done(blob, fill): keeps the mask, white where it may change; a promise that fails where it cannot.
    // closed(): the dialog is gone. host(): goes on in ComfyUI's own editor; null where there is none.
    constructor(hasMask, fill, { done, closed, host }) {
        Object.assign(this, { done, closed, host, fill });
        this.before = hasMask ? fill : null; // without a mask, it is about nothing
        this.erasing = false;
        this.cursor = null; // where keys paint
    }

    // address: of the picture. mask: address of the same picture with a mask in its alpha channel, or null. Fails where one of
    // them cannot be loaded.
    async open(address, mask) {
        const picture = await loadImage(address);
        this.width = picture.naturalWidth;
        this.height = picture.naturalHeight;
        this.size = Math.max(4, Math.round(Math.max(this.width, this.height) / 12));
        this.marks = new Marks(this.width, this.height);
        if (mask !== null) this.marks.begin(await loadImage(mask));
        this.ring = make("div", { className: "ace-chat-ring", hidden: true });
        const board = { className: "ace-chat-board", tabIndex: 0, ariaLabel: texts().maskKeys };
        this.board = make("div", board, picture, this.marks.element, this.ring);
        this.board.type = "textarea"; // of any other element, ComfyUI takes Ctrl+Z for its graph, too
        this.board.style.setProperty("--ace-ratio", this.width / this.height);
        this.listen();
        this.hint = make("div", { className: "ace-strip", role: "status" });
        this.showHint();
        const stage = make("div", { className: "ace-stage" }, this.board);
        const body = make("div", { className: "ace-main" }, stage, this.hint);
        const keys = (event) => this.key(event);
        this.dialog = showDialog(texts().mask, body, { tools: this.tools(), keys, closed: this.closed, leave: () => this.leave() });
        this.board.focus();
    }

    tools() {
        const words = texts();
        // The keys are for the board, whatever was clicked.
        const button = (text, work) => makeButton(text, () => (work(), this.board.focus()));
        this.mode = button("", () => this.switchMode());
        this.showMode();
        this.range = make("input", {
            type: "range",
            min: 1,
            max: Math.round(Math.max(this.width, this.height) / 2),
            value: this.size,
            title: words.brushHelp,
            ariaLabel: words.brush,
            oninput: () => this.resize(Number(this.range.value)),
        });
        const fills = Object.entries(words.fills);
        const fill = choice(words.fill, fills, this.fill, (value) => (this.fill = value));
        fill.className = "ace-input ace-chat-with";
        return [
            fill,
            this.mode,
            make("label", { className: "ace-chat-inline" }, words.brush, this.range),
            ...(this.host ? [makeButton(words.hostEditor, () => this.finish(this.host))] : []),
            button(words.undo, () => this.marks.undo()),
            button(words.invert, () => this.marks.invert()),
            button(words.clear, () => this.marks.clear()),
            makeButton(words.done, () => this.finish()),
        ];
    }

    showHint(text = texts().maskKeys, buttons = [], bad = false) {
        this.hint.replaceChildren(text, " ", ...buttons);
        this.hint.classList.toggle("ace-bad", bad);
    }

    // Whoever leaves with new marks is asked what is to become of them.
    leave() {
        const words = texts();
        if (!this.marks.isChanged && (this.before === null || this.fill === this.before)) return this.dialog.close();
        if (this.asking) return this.goOn();
        this.asking = true;
        const keep = makeButton(words.keepMarks, () => this.finish());
        this.showHint(words.leaveMarks, [
            keep,
            " ",
            makeButton(words.dropMarks, () => this.dialog.close()),
            " ",
            makeButton(words.goOnMarking, () => this.goOn()),
        ]);
        keep.focus();
    }

    goOn() {
        this.asking = false;
        this.showHint();
        this.board.focus();
    }

    listen() {
        let last = null;
        this.board.addEventListener("pointerdown", (event) => {
            if (event.button !== 0) return;
            this.board.setPointerCapture(event.pointerId);
            last = this.point(event);
            this.marks.next();
            this.stroke(last, last);
        });
        this.board.addEventListener("pointermove", (event) => {
            const point = this.point(event);
            this.showRing(point);
            if (!this.board.hasPointerCapture(event.pointerId)) return;
            this.stroke(last ?? point, point);
            last = point;
        });
        this.board.addEventListener("keyup", (event) => {
            if (event.key === " ") this.holding = false;
        });
    }

    point(event) {
        const box = this.marks.element.getBoundingClientRect();
        return [((event.clientX - box.left) / box.width) * this.width, ((event.clientY - box.top) / box.height) * this.height];
    }

    stroke(from, to) {
        this.marks.stroke(from, to, this.size, this.erasing);
    }

    showRing([x, y]) {
        Object.assign(this.ring.style, {
            left: `${(x / this.width) * 100}%`,
            top: `${(y / this.height) * 100}%`,
            width: `${(this.size / this.width) * 100}%`,
        });
        this.ring.hidden = false;
    }

    resize(size) {
        this.size = Math.max(1, Math.min(size, Number(this.range.max)));
        this.range.value = this.size;
        if (this.cursor) this.showRing(this.cursor);
    }

    switchMode() {
        this.erasing = !this.erasing;
        this.showMode();
    }

    showMode() {
        this.mode.textContent = this.erasing ? texts().erase : texts().paint;
        this.mode.setAttribute("aria-pressed", this.erasing);
    }

    key(event) {
        if (event.key === "Escape") {
            this.leave();
            return true;
        }
        if (event.target !== this.board || event.altKey) return false;
        if (event.ctrlKey || event.metaKey) return this.goesBack(event);
        const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
        const acts = {
            " ": () => this.paintAt(),
            "[": () => this.resize(this.size * 0.8),
            "]": () => this.resize(this.size * 1.25 + 1),
            x: () => this.switchMode(),
            i: () => this.marks.invert(),
            Enter: () => this.finish(),
        };
        const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
        if (moves[key]) this.move(moves[key], event.shiftKey);
        else acts[key]?.();
        return key in moves || key in acts;
    }

    goesBack(event) {
        const key = event.key.toLowerCase();
        if (key === "y" || (key === "z" && event.shiftKey)) this.marks.redo();
        else if (key === "z") this.marks.undo();
        return key === "y" || key === "z";
    }

    move([dx, dy], fast) {
        const step = Math.max(this.width, this.height) * STEP * (fast ? 4 : 1);
        const [x, y] = this.cursor ?? [this.width / 2, this.height / 2];
        const next = [clamp(x + dx * step, this.width), clamp(y + dy * step, this.height)];
        if (this.holding) this.stroke(this.cursor, next);
        this.cursor = next;
        this.showRing(next);
    }

    paintAt() {
        this.cursor ??= [this.width / 2, this.height / 2];
        if (!this.holding) this.marks.next();
        this.holding = true;
        this.stroke(this.cursor, this.cursor);
        this.showRing(this.cursor);
    }

    // then(): what follows when the marks are kept. Until they are, everything stays as it is.
    async finish(then = null) {
        if (this.isKeeping) return;
        this.isKeeping = true;
        this.showHint(texts().keepingMarks);
        try {
            await this.done(await this.marks.blob(), this.fill);
        } catch (error) {
            this.asking = false;
            this.showHint(error instanceof ServerError ? errorText(error) : error.message, [], true);
            this.board.focus();
            return;
        } finally {
            this.isKeeping = false;
        }
        this.dialog.close();
        then?.();
    }
}

const makeButton = (text, onclick) => make("button", { type: "button", className: "ace-button", onclick }, text);

const clamp = (value, most) => Math.max(0, Math.min(value, most));

function loadImage(address) {
    return new Promise((resolve, reject) => {
        const image = make("img", { alt: "", draggable: false });
        image.addEventListener("load", () => resolve(image));
        image.addEventListener("error", () => reject(new Error(texts().pictureAway)));
        image.src = address;
    });
}
