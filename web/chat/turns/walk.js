// Going about in the tree: which turn is the last that is shown, and what lies before, beside and after it.
import { server } from "../server.js";
import { laterThan, newestBelow, pathTo, siblings } from "../tree.js";

export class Walk {
    constructor(panel) {
        this.panel = panel;
        this.seen = null; // the furthest turn of the branch that was last looked at
    }

    // The turns after the last that is shown.
    get later() {
        const { chat, head } = this.panel;
        if (!chat) return [];
        const seen = chat.turns.some(({ id }) => id === this.seen) ? this.seen : null;
        return laterThan(chat, head, seen);
    }

    // What is shown now may lie on another branch.
    note() {
        const { chat, head } = this.panel;
        if (!chat || (head && !pathTo(chat, this.seen).some(({ id }) => id === head))) this.seen = head;
    }

    // Another place of the tree is looked at; keys are about the turn ``at`` then, or the last.
    goTo(id, at = id) {
        const { panel } = this;
        panel.head = id;
        panel.thread.mark(at);
        panel.draw(true);
        panel.thread.toEnd();
        if (panel.chat) panel.attempt(() => server.edit(panel.chat.id, id ? { head: id } : { beginning: true }));
    }

    switchTo(turn) {
        this.goTo(newestBelow(this.panel.chat, turn.id), turn.id);
    }

    beside(turn, step) {
        const all = siblings(this.panel.chat, turn);
        const other = all[all.indexOf(turn) + step];
        if (other) this.switchTo(other);
    }

    undo() {
        const { chat, head } = this.panel;
        if (head) this.goTo(pathTo(chat, head).at(-2)?.id ?? null);
    }

    redo() {
        const [next] = this.later;
        if (next) this.goTo(next.id);
    }

    toLast() {
        const last = this.later.at(-1);
        if (last) this.goTo(last.id);
    }
}
