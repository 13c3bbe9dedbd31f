// Two pictures on one another, with an edge between them that can be moved.
import { make } from "./dom.js";

const STEP = 5; // percent, by key

export class Wipe {
    // words: source and result, which the pictures are, and wipe, how the edge is moved.
    constructor(words) {
        this.words = words;
        this.before = make("img", { alt: words.source, draggable: false, className: "ace-before" });
        this.after = make("img", { alt: words.result, draggable: false, className: "ace-after" });
        this.layer = make("div", { className: "ace-layer" }, this.before);
        this.edge = make("div", { className: "ace-edge" });
        this.beforeLabel = make("span", { className: "ace-label ace-label-before" });
        this.afterLabel = make("span", { className: "ace-label ace-label-after" }, words.result);
        this.pictures = make(
            "div",
            { className: "ace-pictures", title: words.wipe },
            this.after,
            this.layer,
            this.edge,
            this.beforeLabel,
            this.afterLabel,
        );
        this.element = make("div", { className: "ace-stage" }, this.pictures);
        this.pictures.addEventListener("pointerdown", (event) => this.grab(event));
        this.pictures.addEventListener("pointermove", (event) => {
            if (this.pictures.hasPointerCapture(event.pointerId)) this.follow(event);
        });
        this.after.addEventListener("load", () => {
            this.pictures.style.setProperty("--ace-ratio", this.after.naturalWidth / this.after.naturalHeight);
        });
        this.pictures.addEventListener("dblclick", () => this.toggleSize());
        this.move(50);
    }

    // before: address of what lies left of the edge, null where there is only a result.
    // small: whether there is no more of it than a small picture, which is not blown up. part: where the source lies in the
    // result, {left, top, width, height} as shares of that; without it one of another shape is shown whole, in the middle.
    show(before, after, label, { small = false, part = null } = {}) {
        const { left = 0, top = 0, width = 1, height = 1 } = part ?? {};
        const share = (value) => `${value * 100}%`;
        Object.assign(this.before.style, { left: share(left), top: share(top), width: share(width), height: share(height) });
        this.pictures.classList.toggle("ace-small", small);
        this.pictures.classList.toggle("ace-single", before === null);
        if (this.after.getAttribute("src") !== after) this.after.src = after;
        if (before === null) this.before.removeAttribute("src");
        else if (this.before.getAttribute("src") !== before) this.before.src = before;
        this.beforeLabel.textContent = label ?? this.words.source;
    }

    grab(event) {
        if (event.button !== 0) return;
        event.preventDefault();
        this.pictures.setPointerCapture(event.pointerId);
        this.follow(event);
    }

    follow(event) {
        const box = this.pictures.getBoundingClientRect();
        this.move(((event.clientX - box.left) / box.width) * 100);
    }

    // percent: how much of the width shows the source.
    move(percent) {
        this.percent = Math.min(100, Math.max(0, percent));
        this.layer.style.clipPath = `inset(0 ${100 - this.percent}% 0 0)`;
        this.edge.style.left = `${this.percent}%`;
        this.beforeLabel.hidden = this.percent === 0; // of that picture nothing is seen
        this.afterLabel.hidden = this.percent === 100;
    }

    step(direction) {
        this.move(this.percent + direction * STEP);
    }

    flip() {
        this.move(this.percent < 50 ? 100 : 0);
    }

    toggleSize() {
        this.element.classList.toggle("ace-full");
    }
}
