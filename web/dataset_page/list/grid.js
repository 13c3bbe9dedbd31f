// A grid of any length of which only the rows in view exist.
import { make } from "../../shared/dom.js";

const CELL = 230; // pixels, least width of a cell
const WORDS = 46; // pixels, height of the words below the pictures
const ROWS_AROUND = 2; // rows that are kept ready above and below
const SETTLED = 90; // ms without scrolling

export class Grid {
    // hooks: create() -> cell, fill(cell, index, settled), wanted(first, last), label
    constructor(hooks) {
        this.hooks = hooks;
        this.count = 0;
        this.cells = new Map();
        this.free = [];
        this.canvas = make("div", { className: "ace-canvas" });
        this.element = make(
            "div",
            { className: "ace-scroll", tabIndex: 0, role: "listbox", ariaLabel: hooks.label, ariaMultiSelectable: "true" },
            this.canvas,
        );
        this.element.type = "textarea"; // of any other element, ComfyUI takes Ctrl+Z for its graph, too
        this.element.addEventListener("scroll", () => this.scrolled(), { passive: true });
        this.columns = 1;
        this.rowHeight = 160;
        new ResizeObserver(() => this.layout()).observe(this.element);
    }

    setCount(count) {
        this.count = count;
        this.layout();
    }

    layout() {
        const width = this.element.clientWidth;
        if (!width) return; // not shown
        const first = this.range()[0];
        const columns = this.columns;
        this.columns = Math.max(1, Math.floor(width / CELL));
        this.cellWidth = width / this.columns;
        this.rowHeight = Math.round(this.cellWidth / 2) + WORDS;
        this.canvas.style.height = `${Math.ceil(this.count / this.columns) * this.rowHeight}px`;
        if (columns !== this.columns) this.element.scrollTop = Math.floor(first / this.columns) * this.rowHeight;
        this.update(true);
    }

    // First and last (excluded) index in view.
    range() {
        const top = Math.floor(this.element.scrollTop / this.rowHeight);
        const rows = Math.ceil(this.element.clientHeight / this.rowHeight) + 1;
        return [Math.min(top * this.columns, this.count), Math.min((top + rows) * this.columns, this.count)];
    }

    get page() {
        return Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight)) * this.columns;
    }

    scrolled() {
        this.remembered = this.element.scrollTop;
        if (!this.frame) {
            this.frame = requestAnimationFrame(() => {
                this.frame = 0;
                this.update(false);
            });
        }
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.update(true), SETTLED);
    }

    update(settled) {
        const [first, last] = this.range();
        const around = ROWS_AROUND * this.columns;
        const from = Math.max(0, first - around);
        const to = Math.min(this.count, last + around);
        for (const [index, cell] of this.cells) {
            if (index < from || index >= to) {
                this.cells.delete(index);
                this.free.push(cell);
            }
        }
        for (let index = from; index < to; index++) {
            let cell = this.cells.get(index);
            if (!cell) {
                cell = this.free.pop() ?? this.hooks.create();
                this.cells.set(index, cell);
                if (!cell.element.isConnected) this.canvas.append(cell.element);
            }
            this.place(cell.element, index);
            this.hooks.fill(cell, index, settled);
        }
        for (const cell of this.free.splice(0)) cell.element.remove();
        if (settled) this.hooks.wanted(first, last);
    }

    place(element, index) {
        const x = (index % this.columns) * this.cellWidth;
        const y = Math.floor(index / this.columns) * this.rowHeight;
        element.style.width = `${this.cellWidth}px`;
        element.style.height = `${this.rowHeight}px`;
        element.style.transform = `translate(${x}px, ${y}px)`;
        element.id = `ace-pair-${index}`;
        element.ariaPosInSet = index + 1;
        element.ariaSetSize = this.count;
    }

    reveal(index) {
        const top = Math.floor(index / this.columns) * this.rowHeight;
        const { scrollTop, clientHeight } = this.element;
        if (top < scrollTop) this.element.scrollTop = top;
        else if (top + this.rowHeight > scrollTop + clientHeight) this.element.scrollTop = top + this.rowHeight - clientHeight;
        this.element.setAttribute("aria-activedescendant", `ace-pair-${index}`);
    }

    // Items came or went above what is in view, which stays where it is.
    shift(items) {
        if (this.element.scrollTop > 0) this.element.scrollTop += Math.round(items / this.columns) * this.rowHeight;
    }

    // An element that was taken out of the page forgets where it was scrolled to.
    restore() {
        this.layout();
        this.element.scrollTop = this.remembered ?? 0;
    }
}
