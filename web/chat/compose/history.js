// Steps of the text, to be undone. The browser's own know nothing of words and pictures that were put there by a click.
const MOST = 200;

const same = (one, other) => one.length === other.length && one.every((part, index) => part === other[index]);

// A state is {content, caret}: words and pictures, and how many letters and pictures stand before the caret.
export class History {
    constructor() {
        this.begin({ content: [], caret: 0 });
    }

    begin(state) {
        Object.assign(this, { now: state, done: [], undone: [] });
    }

    // joined: it is one step with the one before.
    note(state, joined) {
        if (!same(state.content, this.now.content)) {
            if (!joined || !this.done.length) this.done.push(this.now);
            if (this.done.length > MOST) this.done.shift();
            this.undone = [];
        }
        this.now = state;
    }

    // The state before, or null.
    undo() {
        return this.go(this.done, this.undone);
    }

    redo() {
        return this.go(this.undone, this.done);
    }

    go(from, to) {
        if (!from.length) return null;
        to.push(this.now);
        this.now = from.pop();
        return this.now;
    }

    // One picture stands in the place of another, everywhere.
    follow(picture, other) {
        for (const state of [this.now, ...this.done, ...this.undone]) {
            state.content = state.content.map((part) => (part === picture ? other : part));
        }
    }
}
