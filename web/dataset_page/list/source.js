// The list that is looked at, of which only the stretches in view are fetched and the last few kept.
import { itemKey, server } from "../server.js";

const STRETCH = 60;
const MOST_KEPT = 30; // stretches
const MOST_AT_ONCE = 200; // the server's limit

export class Source {
    // onchange: called when something has arrived; onerror: with what went wrong.
    constructor(onchange, onerror) {
        this.onchange = onchange;
        this.onerror = onerror;
        this.reset(null, {});
    }

    reset(dataset, query) {
        this.dataset = dataset;
        this.query = query;
        this.total = 0;
        this.version = null;
        this.generation = (this.generation ?? 0) + 1; // answers to an earlier question are dropped
        this.stretches = new Map();
        this.waiting = new Set();
        this.known = false;
        this.gone = new Set(); // ids that were dropped, and that the server may still have in the list
    }

    get(index) {
        return this.stretches.get(Math.floor(index / STRETCH))?.[index % STRETCH];
    }

    // The first item from a place on that is as asked for; null where the next one is not there.
    find(first, isWanted) {
        let index = first;
        while (this.get(index) && !isWanted(this.get(index))) index++;
        return this.get(index) ?? null;
    }

    // Where an item stands, if its stretch is there; -1 otherwise.
    indexOf(item) {
        for (const [number, items] of this.stretches) {
            const index = items.findIndex((other) => itemKey(other) === itemKey(item));
            if (index >= 0) return number * STRETCH + index;
        }
        return -1;
    }

    // What is in view is fetched, unless it is there.
    want(first, last) {
        if (this.dataset === null) return;
        if (!this.known) last = Math.max(last, first + 1);
        for (let number = Math.floor(first / STRETCH); number <= Math.floor(Math.max(first, last - 1) / STRETCH); number++) {
            if (!this.stretches.has(number) && !this.waiting.has(number)) this.fetch(number);
        }
    }

    async fetch(number) {
        const generation = this.generation;
        this.waiting.add(number);
        try {
            const answer = await this.ask(number * STRETCH, STRETCH);
            if (generation !== this.generation) return;
            this.known = true;
            this.total = answer.total;
            this.version = answer.version;
            this.stretches.delete(number); // the last one used comes last
            this.stretches.set(number, answer.items);
            for (const old of this.stretches.keys()) {
                if (this.stretches.size <= MOST_KEPT) break;
                this.stretches.delete(old);
            }
            this.onchange();
        } catch (error) {
            if (generation === this.generation) this.onerror(error);
        } finally {
            if (generation === this.generation) this.waiting.delete(number);
        }
    }

    async ask(offset, limit, { dataset, query } = this) {
        const answer = await server.list(dataset, { ...query, offset, limit });
        const items = answer.items.filter((item) => !this.gone.has(item.id));
        return { ...answer, items, total: answer.total - (answer.items.length - items.length) };
    }

    // Fetches anew what is in view; the old items stay until the new ones are there.
    async refresh(first, last) {
        const generation = ++this.generation;
        this.waiting.clear();
        const start = Math.floor(first / STRETCH);
        const end = Math.floor(Math.max(first, last - 1) / STRETCH);
        const numbers = Array.from({ length: end - start + 1 }, (_, index) => start + index);
        const before = this.total;
        const answers = await Promise.all(numbers.map((number) => this.ask(number * STRETCH, STRETCH)));
        if (generation !== this.generation) return 0;
        this.stretches = new Map(numbers.map((number, index) => [number, answers[index].items]));
        this.total = answers.at(-1).total;
        this.version = answers.at(-1).version;
        this.known = true;
        return this.total - before;
    }

    // All items from first to last (excluded), fetched where they are not there.
    async range(first, last) {
        const { dataset, query } = this;
        const items = [];
        for (let index = first; index < last; index++) {
            const item = this.get(index);
            if (item) {
                items.push(item);
                continue;
            }
            const answer = await this.ask(index, Math.min(MOST_AT_ONCE, last - index), { dataset, query });
            if (!answer.items.length) break;
            items.push(...answer.items);
            index += answer.items.length - 1;
        }
        return items;
    }

    // All that is there.
    items() {
        return [...this.stretches.values()].flat();
    }

    // Leaves an item out that will not be in the list any more; those after it move up.
    drop(item) {
        this.generation++; // answers that are on their way still have it
        this.waiting.clear();
        this.gone.add(item.id);
        const numbers = [...this.stretches.keys()].sort((a, b) => a - b);
        for (const number of numbers) {
            const items = this.stretches.get(number);
            const index = items.findIndex((other) => other.id === item.id);
            if (index < 0) continue;
            items.splice(index, 1);
            this.total--;
            for (let next = number + 1, last = items; ; next++) {
                const following = this.stretches.get(next);
                if (!following?.length) break;
                last.push(following.shift());
                last = following;
            }
            return;
        }
    }

    // Takes in what a change answered, in the place where the item stands now.
    replace(item) {
        for (const items of this.stretches.values()) {
            const index = items.findIndex((other) => other.id === item.id && other.key === item.key);
            if (index >= 0) items[index] = { proposed: items[index].proposed, ...item };
        }
    }
}
