// A mask painted over a picture, by mouse, pen or keys alone.
import { choice, make } from "../../shared/dom.js";
import { showDialog } from "../dialogs.js";
import { texts } from "../texts.js";

const STEP = 1 / 64; // of the longer side, that an arrow key moves
const RED = "rgb(255 64 64)";

export class MaskEditor {
    // address: of the picture. mask: address of the same picture with a mask in its alpha channel, or null. fill: what the
    // model sees there. done: called with a blob of the mask, white where it may change, and with the fill. host: the same, to
    // go on in ComfyUI's own editor; null where there is none.
    constructor(address, mask, fill, done, host) {
        Object.assign(this, { done, host });
        this.fill = fill;
        this.erasing = false;
        this.cursor = null; // where keys paint
        this.open(address, mask);
    }

    async open(address, mask) {
        const picture = await loadImage(address);
        this.width = picture.naturalWidth;
        this.height = picture.naturalHeight;
        this.size = Math.max(4, Math.round(Math.max(this.width, this.height) / 12));
        this.marks = make("canvas", { width: this.width, height: this.height, className: "ace-chat-marks" });
        this.pen = this.marks.getContext("2d", { willReadFrequently: true });
        this.pen.lineCap = this.pen.lineJoin = "round";
        if (mask !== null) await this.draw(mask);
        this.ring = make("div", { className: "ace-chat-ring", hidden: true });
        this.board = make("div", { className: "ace-chat-board", tabIndex: 0, ariaLabel: texts().maskKeys }, picture, this.marks, this.ring);
        this.board.style.setProperty("--ace-ratio", this.width / this.height);
        this.listen();
        const hint = make("div", { className: "ace-strip" }, texts().maskKeys);
        const stage = make("div", { className: "ace-stage" }, this.board);
        const body = make("div", { className: "ace-main" }, stage, hint);
        this.dialog = showDialog(texts().mask, body, { tools: this.tools(), keys: (event) => this.key(event) });
        this.board.focus();
    }

    tools() {
        const words = texts();
        const button = (text, onclick) => make("button", { type: "button", className: "ace-button", onclick }, text);
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
            ...(this.host ? [button(words.hostEditor, () => this.finish(this.host))] : []),
            button(words.invert, () => this.invert()),
            button(words.clear, () => this.pen.clearRect(0, 0, this.width, this.height)),
            button(words.done, () => this.finish()),
        ];
    }

    // The mask that there is: what is transparent in the file.
    async draw(address) {
        const masked = await loadImage(address);
        this.pen.drawImage(masked, 0, 0);
        const data = this.pen.getImageData(0, 0, this.width, this.height);
        this.setMarks(data, (index) => data.data[index + 3] < 128);
    }

    setMarks(data, isMarked) {
        for (let index = 0; index < data.data.length; index += 4) {
            const marked = isMarked(index);
            data.data.set([255, 64, 64, marked ? 255 : 0], index);
        }
        this.pen.putImageData(data, 0, 0);
    }

    invert() {
        const data = this.pen.getImageData(0, 0, this.width, this.height);
        this.setMarks(data, (index) => data.data[index + 3] < 128);
    }

    listen() {
        let last = null;
        this.board.addEventListener("pointerdown", (event) => {
            if (event.button !== 0) return;
            this.board.setPointerCapture(event.pointerId);
            last = this.point(event);
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
        const box = this.marks.getBoundingClientRect();
        return [((event.clientX - box.left) / box.width) * this.width, ((event.clientY - box.top) / box.height) * this.height];
    }

    stroke([x1, y1], [x2, y2]) {
        this.pen.globalCompositeOperation = this.erasing ? "destination-out" : "source-over";
        this.pen.strokeStyle = RED;
        this.pen.lineWidth = this.size;
        this.pen.beginPath();
        this.pen.moveTo(x1, y1);
        this.pen.lineTo(x2, y2 + 0.01); // a line of no length is not drawn
        this.pen.stroke();
        this.pen.globalCompositeOperation = "source-over";
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
        if (event.target !== this.board) return false;
        const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
        const acts = {
            " ": () => this.paintAt(),
            "[": () => this.resize(this.size * 0.8),
            "]": () => this.resize(this.size * 1.25 + 1),
            x: () => this.switchMode(),
            i: () => this.invert(),
            Enter: () => this.finish(),
        };
        const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
        if (moves[key]) this.move(moves[key], event.shiftKey);
        else acts[key]?.();
        return key in moves || key in acts;
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
        this.holding = true;
        this.stroke(this.cursor, this.cursor);
        this.showRing(this.cursor);
    }

    // The marks as a picture of their own: white on black, hard edges.
    async finish(then = this.done) {
        const data = this.pen.getImageData(0, 0, this.width, this.height);
        for (let index = 0; index < data.data.length; index += 4) {
            const level = data.data[index + 3] > 127 ? 255 : 0;
            data.data.set([level, level, level, 255], index);
        }
        const canvas = make("canvas", { width: this.width, height: this.height });
        canvas.getContext("2d").putImageData(data, 0, 0);
        const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
        this.dialog.close();
        then(blob, this.fill);
    }
}

const clamp = (value, most) => Math.max(0, Math.min(value, most));

function loadImage(address) {
    return new Promise((resolve, reject) => {
        const image = make("img", { alt: "", draggable: false });
        image.addEventListener("load", () => resolve(image));
        image.addEventListener("error", () => reject(new Error(address)));
        image.src = address;
    });
}
