// The page: a head, a list, a foot; and one pair over all of it.
import { button, isComposing, isTyping, keyList, make } from "../shared/dom.js";
import { keepFocus, takeKeys } from "../shared/focus.js";
import { Actions } from "./actions.js";
import { Compare } from "./viewer/compare.js";
import { createCell, fillCell } from "./list/cells.js";
import { Grid } from "./list/grid.js";
import { cursorKey } from "./list/keys.js";
import { Selection } from "./list/selection.js";
import { itemKey, server } from "./server.js";
import { Source } from "./list/source.js";
import { errorText, texts } from "./texts/texts.js";
import { Toolbar } from "./toolbar.js";
import { Viewer } from "./viewer/viewer.js";

const ASK = 3000; // ms between looks for what others have changed
const MEMORY = "ACEEdit.Datasets";
const WEIGHT_STEP = 0.25;
// A letter with Shift, by which ComfyUI opens and closes this page and others. No key of ours is one.
const opensPages = ({ key, shiftKey, ctrlKey, metaKey, altKey }) => shiftKey && !ctrlKey && !metaKey && !altKey && /^[A-Za-z]$/.test(key);

export class DatasetPage {
    constructor() {
        const remembered = JSON.parse(localStorage.getItem(MEMORY) ?? "{}");
        this.dataset = remembered.dataset ?? null;
        this.cursor = 0;
        this.state = null;
        this.source = new Source(
            () => this.arrived(),
            (error) => this.fail(error),
        );
        this.selection = new Selection(this.source);
        this.actions = new Actions({ dataset: () => this.dataset, done: (text, items) => this.changed(text, items) });
        this.toolbar = new Toolbar(
            {
                dataset: (name) => this.choose(name),
                query: () => this.ask(),
                reload: () => this.reload(),
                compare: () => this.compare.open(),
                help: () => this.toggleHelp(),
            },
            { show: "kept", text: "", split: "", tag: "", order: remembered.order ?? "newest" },
        );
        this.grid = new Grid({
            label: texts().title,
            create: () => createCell({ click: (index, event) => this.click(index, event), open: (index) => this.open(index) }),
            fill: (cell, index, settled) => this.fill(cell, index, settled),
            wanted: (first, last) => this.source.want(first, last),
        });
        this.build();
        this.viewer = new Viewer(this);
        this.compare = new Compare(this);
    }

    build() {
        const words = texts();
        this.notice = make("div", { className: "ace-note", role: "status", hidden: true });
        this.nothing = make("div", { className: "ace-nothing", hidden: true });
        this.help = keyList(words.keys);
        this.counts = make("span", { className: "ace-counts" });
        this.undoButton = button(words.undo, "ace-undo", () => this.undo());
        this.deleteButton = button(words.delete, "ace-delete", () => this.remove());
        this.restoreButton = button(words.restore, "ace-restore", () => this.restore());
        this.element = make(
            "div",
            { className: "ace-page" },
            this.toolbar.element,
            this.notice,
            this.help,
            this.nothing,
            this.grid.element,
            make("div", { className: "ace-foot" }, this.counts, this.undoButton, this.restoreButton, this.deleteButton),
        );
        this.element.addEventListener("keydown", (event) => this.key(event));
        this.showState();
    }

    // -- shown and hidden -------------------------------------------------------------------------------------

    show() {
        clearInterval(this.timer);
        this.timer = setInterval(() => this.look(), ASK);
        this.grid.restore();
        takeKeys(this.grid.element);
        this.reload();
    }

    hide() {
        clearInterval(this.timer);
    }

    async reload() {
        await this.attempt(async () => {
            const names = await server.names();
            const name = names.includes(this.dataset) ? this.dataset : (names[0] ?? null);
            this.toolbar.showDatasets(names, name);
            if (name !== this.dataset || this.source.dataset !== name) await this.choose(name);
            else await this.look(true);
            this.showNothing();
        });
    }

    async choose(name) {
        this.dataset = name;
        this.ask();
        await this.attempt(async () => {
            const state = name === null ? null : await server.state(name);
            if (name !== this.dataset) return;
            this.state = state;
            if (this.toolbar.query.show === "proposed" && !this.state?.proposed) this.toolbar.set({ show: "kept" });
            this.showState();
        });
    }

    // Asks for the list anew, from its beginning.
    ask() {
        const { query } = this.toolbar;
        localStorage.setItem(MEMORY, JSON.stringify({ dataset: this.dataset, order: query.order }));
        this.tell("");
        this.cursor = 0;
        this.selection.clear();
        this.source.reset(this.dataset, { ...query });
        this.grid.setCount(0);
        this.grid.element.scrollTop = 0;
        this.source.want(0, 1);
    }

    // Looks whether others have changed the dataset.
    async look(always = false) {
        const { dataset } = this;
        if (dataset === null || document.hidden || this.looking || this.actions.waiting) return;
        if (this.source.dataset !== dataset) return this.reload(); // the server was away when it should have opened
        this.looking = true;
        try {
            const state = await server.state(dataset);
            if (dataset !== this.dataset) return;
            const other = state.version !== this.source.version;
            this.state = state;
            this.showState();
            if (other || always) await this.refresh(true);
            if (!this.isAway) return;
            this.isAway = false;
            this.tell("");
            this.viewer.update(); // what could not be shown
        } catch (error) {
            this.fail(error);
            this.isAway = true;
        } finally {
            this.looking = false;
        }
    }

    // outside: what is new came from elsewhere, so what is looked at stays where it is. follow: the cursor stays with its pair.
    async refresh(outside = false, follow = outside) {
        const { cursor } = this;
        const { query } = this.source;
        const item = this.source.find(cursor, ({ id }) => !this.actions.removed.has(id));
        const more = await this.source.refresh(...this.grid.range());
        const { show, order } = this.toolbar.query;
        const isAbove = outside && more > 0 && (show !== "kept" || order === "newest");
        // The same pair stays at the cursor, wherever it stands now: the next key is meant for it. Unless somebody went on.
        const isMeant = follow && item && cursor === this.cursor && query === this.source.query;
        const now = isMeant ? this.source.indexOf(item) : -1;
        const isLooking = this.grid.element.scrollTop > 0 || this.viewer.isOpen;
        if (now >= 0) this.cursor = now;
        else if (isAbove && isLooking) this.cursor += more;
        if (isAbove && isLooking) {
            this.grid.setCount(this.source.total);
            this.grid.shift(more);
        }
        this.arrived();
    }

    arrived() {
        this.cursor = Math.max(0, Math.min(this.cursor, this.source.total - 1));
        this.selection.replace(this.source.items());
        this.grid.setCount(this.source.total);
        this.showNothing();
        this.showFoot();
        if (!this.source.get(this.cursor) && this.viewer.isOpen) this.source.want(this.cursor, this.cursor + 1);
        this.viewer.update();
    }

    // -- what is seen -----------------------------------------------------------------------------------------

    fill(cell, index, settled) {
        const item = this.source.get(index);
        fillCell(cell, index, item, {
            dataset: this.dataset,
            selected: Boolean(item) && this.selection.has(item),
            current: index === this.cursor,
            settled,
        });
    }

    showState() {
        this.keepFocus(() => this.toolbar.showState(this.state));
        this.showFoot();
    }

    showFoot() {
        const words = texts();
        const { show } = this.toolbar.query;
        const { total } = this.source;
        const parts = [];
        if (this.state) parts.push(show === "kept" ? words.counts(this.state) : "");
        if (this.state && this.toolbar.isFiltered) parts.push(words.found(total, this.state[show]));
        if (this.selection.size) parts.push(words.selected(this.selection.size));
        this.counts.textContent = parts.filter(Boolean).join(" · ");
        this.keepFocus(() => {
            this.deleteButton.hidden = !this.isStored || !total;
            this.restoreButton.hidden = show !== "deleted" || !total;
            this.undoButton.disabled = !this.actions.canUndo;
        });
    }

    // What had the focus may be gone afterwards, and ComfyUI would take the next key for its graph.
    keepFocus(work) {
        keepFocus(this.element, work, () => this.grid.element.focus());
    }

    showNothing() {
        const words = texts();
        const none = this.dataset === null ? words.noDatasets : "";
        const { show } = this.toolbar.query;
        const empty = this.source.known && !this.source.total ? words.empty[this.toolbar.isFiltered ? "filtered" : show] : "";
        const all = () => this.toolbar.set({ text: "", split: "", tag: "" });
        const ways = !none && this.toolbar.isFiltered ? [button(words.clear, "", all)] : [];
        this.keepFocus(() => {
            this.nothing.hidden = !(none || empty);
            this.nothing.replaceChildren(none || empty, ...ways);
        });
    }

    tell(text, bad = false) {
        for (const place of [this.notice, this.viewer?.notice].filter(Boolean)) {
            place.textContent = text;
            place.hidden = !text;
            place.classList.toggle("ace-bad", bad);
        }
    }

    fail(error) {
        if (this.source.gone.size) this.source.version = null; // what was not done is shown again by the next look
        this.source.gone.clear();
        console.warn("ACE Edit: datasets:", error);
        this.tell(errorText(error), true);
    }

    async attempt(work) {
        try {
            return await work();
        } catch (error) {
            this.fail(error);
            // What is shown may be old: the next try then starts from what is there.
            if (error.code === "stale" || error.code === "unknown_pair") {
                this.selection.clear();
                await this.look(true);
            }
        }
    }

    toggleHelp() {
        this.help.hidden = !this.help.hidden;
        this.grid.layout();
    }

    // -- cursor and selection ---------------------------------------------------------------------------------

    async click(index, event) {
        this.grid.element.focus();
        this.moveTo(index);
        const item = this.source.get(index);
        if (!item) return;
        if (event.shiftKey) await this.attempt(() => this.selection.extend(index));
        else if (event.ctrlKey || event.metaKey) this.selection.toggle(item, index);
        else this.selection.only(item, index);
        this.redraw();
    }

    moveTo(index) {
        this.cursor = Math.max(0, Math.min(index, this.source.total - 1));
        this.grid.reveal(this.cursor);
        this.source.want(this.cursor, this.cursor + 1);
        this.redraw();
    }

    redraw() {
        this.grid.update(true);
        this.showFoot();
    }

    async open(index, writing = false) {
        this.moveTo(index);
        await this.viewer.open(writing);
    }

    // What a change is about: what is selected, or else the pair at the cursor; in the viewer always that one.
    chosen() {
        if (this.selection.size && !this.viewer.isOpen) return this.selection.items();
        const item = this.source.get(this.cursor);
        const isSeen = item && (!this.viewer.isOpen || this.viewer.form.isOf(item)); // the next one may not be there yet
        return isSeen ? [item] : [];
    }

    // A pair that has been decided on is not among those that wait.
    drop(item) {
        this.source.drop(item);
        this.arrived();
    }

    // -- changes ----------------------------------------------------------------------------------------------

    async changed(text, items = []) {
        for (const item of items) this.source.replace(item);
        if (items.length) this.selection.replace(items);
        else this.selection.clear();
        this.tell(text);
        if (this.actions.waiting > 1) return; // the last one of several shows what came of all
        this.source.gone.clear();
        this.state = await server.state(this.dataset);
        this.showState();
        await this.refresh(false, items.length > 0 || this.actions.removed.size > 0); // what comes back is the next key's
    }

    // Whether the list holds pairs of the dataset, which can be changed.
    get isStored() {
        return ["kept", "proposed"].includes(this.toolbar.query.show);
    }

    async edit(changes) {
        const items = this.chosen();
        if (!items.length || !this.isStored) return;
        if (this.viewer.isOpen) await this.viewer.form.change(changes);
        else await this.attempt(() => this.actions.edit(items, changes));
    }

    async remove() {
        const items = this.chosen();
        if (items.length && this.isStored) await this.attempt(() => this.actions.remove(items));
    }

    async restore() {
        const items = this.chosen();
        if (items.length && this.toolbar.query.show === "deleted") await this.attempt(() => this.actions.restore(items));
    }

    // What is written of the pair that is looked at, and not saved yet, is the last thing that was done.
    async undo() {
        if (!this.viewer.takeBack()) await this.attempt(() => this.actions.undo());
    }

    stepWeight(step) {
        return this.edit(({ weight }) => ({ weight: Math.max(0, Math.round((weight + step) * 100) / 100) }));
    }

    switchSplit() {
        return this.edit({ split: this.chosen()[0]?.split === "train" ? "validation" : "train" });
    }

    // -- keys -------------------------------------------------------------------------------------------------

    key(event) {
        if (opensPages(event) && !isTyping(event.target)) return;
        event.stopPropagation(); // ComfyUI would take Delete and others for its graph
        if (isTyping(event.target)) {
            if (event.target === this.toolbar.search && !isComposing(event)) this.searchKey(event);
            return;
        }
        if (event.target.closest("button") && (event.key === "Enter" || event.key === " ")) return;
        if (cursorKey(this, event)) event.preventDefault();
        else this.changeByKey(event);
    }

    // Both lead to what was found, or with Escape to everything. The browser would empty the field and tell nobody.
    searchKey(event) {
        if (event.key !== "Escape" && event.key !== "Enter") return;
        event.preventDefault();
        this.grid.element.focus();
        this.toolbar.searchFor(event.key === "Enter" ? this.toolbar.search.value : "");
    }

    // Keys that work on pairs in the list as in the viewer.
    changeByKey(event) {
        const control = event.ctrlKey || event.metaKey;
        const plain = {
            delete: () => this.remove(),
            backspace: () => this.remove(),
            r: () => this.restore(),
            s: () => this.switchSplit(),
            "+": () => this.stepWeight(WEIGHT_STEP),
            "=": () => this.stepWeight(WEIGHT_STEP),
            "-": () => this.stepWeight(-WEIGHT_STEP),
        };
        const work = control ? { z: () => this.undo() }[event.key.toLowerCase()] : plain[event.key.toLowerCase()];
        if (!work || event.altKey || event.repeat) return;
        event.preventDefault();
        work();
    }
}
