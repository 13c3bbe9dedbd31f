// A list under the field from which something is chosen by arrow keys or a click.
import { make } from "../../shared/dom.js";

export class Picker {
    // choose(item): it was chosen. closed(): it is gone, after that.
    constructor(choose, closed) {
        this.choose = choose;
        this.closed = closed;
        this.element = make("div", { className: "ace-chat-picker", role: "listbox", hidden: true });
        this.items = [];
        this.at = -1;
    }

    get isOpen() {
        return !this.element.hidden;
    }

    // items: [item, element that shows it] each; title: what they are. eager: the first is chosen by Enter at once.
    show(title, items, eager) {
        if (!items.length) return this.hide();
        this.items = items;
        this.at = eager ? 0 : -1;
        this.element.hidden = false;
        this.element.setAttribute("aria-label", title);
        const rows = items.map(([item, shown], index) => {
            const row = make("div", { className: "ace-chat-option", role: "option", id: `ace-chat-option-${index}` }, shown);
            row.addEventListener("pointerdown", (event) => {
                event.preventDefault(); // the caret stays where it is
                this.take(index);
            });
            return row;
        });
        this.element.replaceChildren(make("div", { className: "ace-chat-picker-title" }, title), ...rows);
        this.mark();
    }

    hide() {
        if (!this.isOpen) return;
        this.element.hidden = true;
        this.closed();
    }

    take(index) {
        const [item] = this.items[index];
        this.element.hidden = true;
        this.choose(item);
        this.closed();
    }

    // Whether the key was for the list.
    key(event) {
        if (!this.isOpen || event.altKey || event.ctrlKey || event.metaKey) return false;
        const count = this.items.length;
        const acts = {
            ArrowDown: () => (this.at = (this.at + 1) % count),
            ArrowUp: () => (this.at = this.at <= 0 ? count - 1 : this.at - 1),
            Escape: () => this.hide(),
        };
        if ((event.key === "Enter" || event.key === "Tab") && this.at >= 0 && !event.shiftKey) {
            this.take(this.at);
            return true;
        }
        if (!(event.key in acts)) return false;
        acts[event.key]();
        this.mark();
        return true;
    }

    mark() {
        const rows = [...this.element.querySelectorAll(".ace-chat-option")];
        rows.forEach((row, index) => row.setAttribute("aria-selected", index === this.at));
        rows[this.at]?.scrollIntoView({ block: "nearest" });
    }
}
