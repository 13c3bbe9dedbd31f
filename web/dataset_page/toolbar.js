// The head of the page: which dataset, which of its pairs.
import { choice, iconButton, make, setOptions } from "../shared/dom.js";
import { texts } from "./texts/texts.js";

const TYPING = 250; // ms between the last letter and the search

export class Toolbar {
    // hooks: dataset(name), query(query), reload(), compare(), help(); query: {show, text, split, tag, order}
    constructor(hooks, query) {
        this.hooks = hooks;
        this.query = query;
        const words = texts();
        this.datasets = choice(words.dataset, [], "", (name) => hooks.dataset(name));
        this.search = make("input", {
            type: "search",
            className: "ace-input ace-search",
            placeholder: words.search,
            ariaLabel: words.search,
            oninput: () => {
                clearTimeout(this.timer);
                this.timer = setTimeout(() => this.searchFor(this.search.value), TYPING);
            },
        });
        const splits = [["", words.splits.all], ...["train", "validation"].map((key) => [key, words.splits[key]])];
        this.split = choice(words.split, splits, "", (split) => this.set({ split }));
        this.split.title = words.splitHelp;
        this.tag = choice(words.tag, [["", words.anyTag]], "", (tag) => this.set({ tag }));
        this.order = choice(words.order, Object.entries(words.orders), query.order, (order) => this.set({ order }));
        this.tabs = Object.fromEntries(
            ["kept", "rejected", "deleted", "proposed"].map((show) => [
                show,
                make("button", { type: "button", role: "tab", className: "ace-tab", data: { show }, onclick: () => this.set({ show }) }),
            ]),
        );
        this.element = make(
            "div",
            { className: "ace-head" },
            make(
                "div",
                { className: "ace-row" },
                this.datasets,
                iconButton("pi-refresh", words.reload, hooks.reload),
                iconButton("pi-arrow-right-arrow-left", words.compare.button, hooks.compare),
                iconButton("pi-question-circle", words.keysButton, hooks.help),
            ),
            make("div", { className: "ace-row ace-tabs", role: "tablist" }, ...Object.values(this.tabs)),
            this.search,
            make("div", { className: "ace-row ace-filters" }, this.split, this.tag, this.order),
        );
        for (const select of this.element.querySelectorAll("select")) select.classList.add("ace-input");
        this.showTab();
    }

    searchFor(words) {
        clearTimeout(this.timer);
        const text = words.trim();
        if (text !== this.query.text || this.search.value !== words) this.set({ text });
    }

    set(changes) {
        Object.assign(this.query, changes);
        this.search.value = "text" in changes && document.activeElement !== this.search ? changes.text : this.search.value;
        this.split.value = this.query.split;
        this.tag.value = this.query.tag;
        this.showTab();
        this.hooks.query(this.query);
    }

    get isFiltered() {
        return Boolean(this.query.text || this.query.split || this.query.tag);
    }

    showTab() {
        for (const [show, tab] of Object.entries(this.tabs)) {
            tab.ariaSelected = String(show === this.query.show);
            tab.classList.toggle("ace-chosen", show === this.query.show);
        }
        this.order.disabled = !["kept", "proposed"].includes(this.query.show);
        this.split.disabled = this.query.show === "rejected";
    }

    showDatasets(names, name) {
        setOptions(this.datasets, names.map((one) => [one, one]), name);
        this.datasets.disabled = !names.length;
    }

    showState(state) {
        const { tabs } = texts();
        for (const [show, tab] of Object.entries(this.tabs)) tab.textContent = state ? `${tabs[show]} ${state[show]}` : tabs[show];
        this.tabs.proposed.hidden = !state?.proposed && this.query.show !== "proposed"; // few datasets are labelled
        const counts = Object.entries(state?.tags ?? {}).map(([tag, count]) => [tag, `${tag} (${count})`]);
        if (this.query.tag && !counts.some(([tag]) => tag === this.query.tag)) counts.push([this.query.tag, this.query.tag]);
        setOptions(this.tag, [["", texts().anyTag], ...counts], this.query.tag);
    }
}
