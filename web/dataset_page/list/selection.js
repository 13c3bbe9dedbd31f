// The pairs that a change is about.
import { itemKey } from "../server.js";

export class Selection {
    constructor(source) {
        this.source = source;
        this.clear();
    }

    get size() {
        return this.chosen.size;
    }

    has(item) {
        return this.chosen.has(itemKey(item));
    }

    items() {
        return [...this.chosen.values()];
    }

    clear() {
        this.chosen = new Map();
        this.anchor = null;
        this.asked = null; // what is on its way is not wanted any more
    }

    only(item, index) {
        this.clear();
        this.toggle(item, index);
    }

    toggle(item, index) {
        if (!this.chosen.delete(itemKey(item))) this.chosen.set(itemKey(item), item);
        this.anchor = index;
        this.asked = null;
    }

    startAt(index) {
        this.anchor ??= index;
    }

    async extend(index) {
        this.startAt(index);
        const { anchor } = this;
        await this.take(Math.min(anchor, index), Math.max(anchor, index) + 1);
    }

    all() {
        return this.take(0, this.source.total);
    }

    // All from first to last (excluded), unless something else was chosen before they were there.
    async take(first, last) {
        const asked = (this.asked = {});
        const items = await this.source.range(first, last);
        if (asked === this.asked) this.chosen = new Map(items.map((item) => [itemKey(item), item]));
    }

    // Takes over what pairs are after a change.
    replace(items) {
        for (const item of items) {
            if (this.has(item)) this.chosen.set(itemKey(item), item);
        }
    }
}
