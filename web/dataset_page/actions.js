// Changes of pairs, each with its way back.
import { server } from "./server.js";
import { texts } from "./texts/texts.js";

const MOST_UNDONE = 100;

// One change after the other, in the order in which they were asked for: keys may come faster than the disk writes.
export class Actions {
    // dataset: gives the name; done: called with a sentence and the pairs when something has changed.
    constructor({ dataset, done }) {
        this.dataset = dataset;
        this.done = done;
        this.undos = [];
        this.waiting = 0;
        this.last = Promise.resolve();
        this.forget();
    }

    // Items as they are afterwards. changes: what is to be, or what gives it for the first item as it is by then.
    edit(items, changes) {
        const dataset = this.dataset();
        return this.queue(async () => {
            const present = items.map((item) => this.now(item));
            const wanted = typeof changes === "function" ? changes(present[0]) : changes;
            const keys = Object.keys(wanted);
            const before = new Map(present.map((item) => [item.id, Object.fromEntries(keys.map((key) => [key, item[key]]))]));
            const { pairs, along, changed } = await this.send(dataset, present, wanted);
            if (changed) {
                this.remember(dataset, () => this.takeBack(dataset, pairs, before));
                await this.done(texts().done.saved(items.length, along.length), [...pairs, ...along]);
            }
            return pairs;
        });
    }

    // A person's decision about the texts that were proposed for a pair.
    decide(item, action, words) {
        const dataset = this.dataset();
        return this.queue(async () => {
            const { pair, before } = await this.sendLabel(dataset, this.now(item), action, words);
            this.remember(dataset, () => this.sendLabel(dataset, this.now(pair), "reopen", before));
            await this.done(texts().done[action], [pair]);
            return pair;
        });
    }

    remove(items) {
        const dataset = this.dataset();
        return this.queue(async () => {
            const present = items.map((item) => this.now(item)).filter((item) => !this.removed.has(item.id));
            if (!present.length) return;
            const keys = await server.remove(dataset, present);
            for (const item of present) this.removed.add(item.id);
            this.remember(dataset, () => this.putBack(dataset, keys));
            await this.done(texts().done.deleted(present.length));
        });
    }

    restore(items) {
        const dataset = this.dataset();
        return this.queue(async () => {
            const ids = await this.putBack(dataset, items.map((item) => item.key));
            this.remember(dataset, async () => {
                const now = await Promise.all(ids.map((id) => server.pair(dataset, { id })));
                await server.remove(dataset, now);
            });
            await this.done(texts().done.restored(items.length));
        });
    }

    get canUndo() {
        return this.undos.at(-1)?.dataset === this.dataset();
    }

    undo() {
        return this.queue(async () => {
            if (!this.canUndo) return this.done(texts().done.nothing);
            await this.undos.at(-1).back(); // one that fails may be tried again
            this.undos.pop();
            await this.done(texts().done.undone);
        });
    }

    // -- what is below them -----------------------------------------------------------------------------------

    queue(work) {
        this.waiting++;
        const turn = this.last.then(work).finally(() => {
            if (--this.waiting === 0) this.forget(); // the list shows by now what came of all of them
        });
        this.last = turn.catch(() => {}); // whoever asked for it is told
        return turn;
    }

    forget() {
        this.newer = new Map(); // what our changes have made of a pair, by its id and version before
        this.removed = new Set(); // ids
    }

    // A pair as our own changes have left it. What others have changed stays unseen, and the server refuses it.
    now(item) {
        let found = item;
        while (this.newer.has(stamp(found.id, found.version))) found = this.newer.get(stamp(found.id, found.version));
        return found;
    }

    async send(dataset, items, changes) {
        const { pairs, along, before } = await server.edit(dataset, items, changes);
        for (const pair of [...pairs, ...along]) {
            if (!(pair.id in before)) continue;
            this.newer.set(stamp(pair.id, before[pair.id]), pair);
            this.newer.delete(stamp(pair.id, pair.version)); // it may be what it was once before
        }
        return { pairs, along, changed: Object.keys(before).length };
    }

    async sendLabel(dataset, item, action, words) {
        const answer = await server.label(dataset, item, action, words);
        if (answer.pair.version !== item.version) {
            this.newer.set(stamp(item.id, item.version), answer.pair);
            this.newer.delete(stamp(item.id, answer.pair.version)); // it may be what it was once before
        }
        return answer;
    }

    async takeBack(dataset, pairs, before) {
        const groups = new Map(); // pairs that were alike go back together
        for (const pair of pairs) {
            const values = before.get(pair.id);
            const key = JSON.stringify(values);
            groups.set(key, { values, pairs: [...(groups.get(key)?.pairs ?? []), this.now(pair)] });
        }
        for (const group of groups.values()) await this.send(dataset, group.pairs, group.values);
    }

    async putBack(dataset, keys) {
        const ids = await server.restore(dataset, keys);
        for (const id of ids) this.removed.delete(id);
        return ids;
    }

    remember(dataset, back) {
        this.undos.push({ dataset, back });
        if (this.undos.length > MOST_UNDONE) this.undos.shift();
    }
}

function stamp(id, version) {
    return `${id} ${version}`;
}
