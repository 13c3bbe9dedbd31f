// How far the first picture is extended: pixels on each side, or as little as an aspect ratio needs.
import { choice, make } from "../../shared/dom.js";
import { texts } from "../texts.js";

const SIDES = ["left", "top", "right", "bottom", "overlap"];
const MOST = { overlap: 1024 };
const RATIOS = ["1:1", "5:4", "4:3", "3:2", "16:9", "21:9", "4:5", "3:4", "2:3", "9:16"];

export class Extension {
    // size(): of the picture, as a promise of [width, height], or of nothing where it cannot be loaded.
    constructor(size) {
        this.size = size;
        const words = texts();
        this.sides = Object.fromEntries(
            SIDES.map((side) => [
                side,
                make("input", { className: "ace-input", type: "number", min: 0, max: MOST[side] ?? 8192, step: 8, value: 0 }),
            ]),
        );
        const fields = SIDES.map((side) => make("label", { className: "ace-field" }, make("span", {}, words.extendSides[side]), this.sides[side]));
        const options = [["", words.toRatio], ...RATIOS.map((ratio) => [ratio, ratio])];
        this.ratio = choice(words.toRatio, options, "", (ratio) => ratio && this.reach(...ratio.split(":").map(Number)));
        this.ratio.className = "ace-input ace-chat-ratio";
        const unit = make("span", { className: "ace-chat-facts" }, words.extendUnit);
        this.element = make("div", { className: "ace-chat-extend", hidden: true }, unit, ...fields, this.ratio);
        this.element.addEventListener("input", (event) => {
            if (event.target !== this.ratio) this.ratio.value = "";
        });
        // What is no number of pixels that can be added becomes the nearest one.
        for (const side of SIDES) this.sides[side].addEventListener("change", () => (this.sides[side].value = this.values[side]));
    }

    get isOpen() {
        return !this.element.hidden;
    }

    // by: pixels of each side, or null for none.
    open(by = null) {
        this.set(by ?? {});
        this.element.hidden = false;
    }

    close() {
        this.set({});
        this.element.hidden = true;
    }

    set(by) {
        for (const side of SIDES) this.sides[side].value = by[side] ?? 0;
        this.ratio.value = "";
    }

    get values() {
        const pixels = (side) => Math.min(Math.max(0, Math.round(Number(this.sides[side].value) || 0)), MOST[side] ?? 8192);
        return Object.fromEntries(SIDES.map((side) => [side, pixels(side)]));
    }

    // As the server takes it; null while it is closed, and where nothing is added on any side.
    get asked() {
        const { values } = this;
        return this.isOpen && SIDES.some((side) => side !== "overlap" && values[side]) ? values : null;
    }

    focus() {
        this.sides.left.focus();
    }

    // The picture stays in the middle.
    async reach(across, down) {
        const size = await this.size();
        if (!size) return this.set(this.values); // as it is; why is said
        const [width, height] = size;
        const wider = Math.max(0, Math.round((height * across) / down) - width);
        const higher = Math.max(0, Math.round((width * down) / across) - height);
        const [left, top] = [Math.floor(wider / 2), Math.floor(higher / 2)];
        for (const [side, pixels] of Object.entries({ left, top, right: wider - left, bottom: higher - top })) this.sides[side].value = pixels;
        this.ratio.dispatchEvent(new Event("input", { bubbles: true })); // the sides are others now
    }
}
