// Texts that a model proposed for a pair: accepted, changed by hand, or rejected, each by a key.
import { button, isComposing, make } from "../../shared/dom.js";
import { checkName, droppedReason, labelReason, texts } from "../texts/texts.js";

export class LabelPanel {
    // hooks: dataset(), decide(item, action, words), leave()
    constructor(hooks) {
        this.hooks = hooks;
        this.item = null;
        this.drafts = new Map(); // by pair: words that somebody changed and left without a decision
    }

    // Elements for the form; none where nothing was proposed.
    parts(item) {
        this.item = null;
        const { label } = item;
        if (!label?.texts) return [];
        if (!label.waits) return label.reason ? [this.unlabelled(label)] : [];
        this.item = item;
        const words = texts().labels;
        const proposed = label.words;
        this.first = proposed.texts.join("\n");
        this.texts = this.field("textarea", words.texts, this.first, { rows: Math.min(12, 2 * proposed.texts.length + 1), title: words.textsHelp });
        this.before = this.field("input", words.before, proposed.source_caption);
        this.after = this.field("input", words.after, proposed.target_caption);
        this.place = JSON.stringify([this.hooks.dataset(), item.id]); // the same pair may be in two datasets
        const draft = this.drafts.get(this.place);
        const isKept = draft?.proposed === JSON.stringify(proposed); // else other words have been proposed since
        if (isKept) this.fill(draft);
        const labelled = (text, input) => make("label", { className: "ace-field" }, make("span", {}, text), input);
        return [
            make(
                "section",
                { className: "ace-proposed", ariaLabel: words.title },
                make("div", { className: "ace-title" }, words.title),
                isKept ? this.kept() : null,
                labelled(words.texts, this.texts),
                this.others(label),
                labelled(words.before, this.before),
                labelled(words.after, this.after),
                make(
                    "div",
                    { className: "ace-row" },
                    button(words.accept, "ace-label-accept", (event) => once(event) && this.accept(), { title: "A" }),
                    button(words.reject, "ace-label-reject", (event) => once(event) && this.reject(), { title: "J" }),
                ),
                this.origin(label),
            ),
        ];
    }

    // Says whose words these are, and gives back what was proposed.
    kept() {
        const words = texts().labels;
        const back = () => {
            this.drafts.delete(this.place);
            this.reset();
            note.remove();
            this.texts.focus();
        };
        const note = make("div", { className: "ace-field" }, make("span", {}, words.kept), button(words.back, "", back));
        return note;
    }

    field(tag, name, value, properties = {}) {
        return make(tag, {
            className: "ace-input",
            value,
            ariaLabel: name,
            spellcheck: true,
            onkeydown: (event) => this.key(event),
            ...properties,
        });
    }

    // Texts in another language, which are not accepted with these.
    others(label) {
        if (!label.others.length) return null;
        const lines = label.others.map((text) => make("li", {}, text));
        return make("details", { className: "ace-detail" }, make("summary", {}, texts().labels.others), make("ul", {}, ...lines));
    }

    unlabelled(label) {
        const words = texts().labels;
        return make(
            "section",
            { className: "ace-proposed" },
            make("div", { className: "ace-title" }, words.without),
            make("div", { className: "ace-detail" }, labelReason(label.reason)),
            this.origin(label),
        );
    }

    // Where the texts come from, and what was checked.
    origin(label) {
        const words = texts().labels;
        const checks = Object.entries(label.checks).map(([name, said]) => `${said === "passed" ? "✓" : said === "not needed" ? "–" : "✗"} ${checkName(name)}`);
        const source = [label.model || words.pixels, label.task, ...checks].filter(Boolean).join(" · ");
        if (!label.dropped.length) return make("div", { className: "ace-detail" }, source);
        const dropped = label.dropped.map(([text, reason]) => make("li", {}, `${text} (${droppedReason(reason)})`));
        return make("details", { className: "ace-detail" }, make("summary", {}, source), make("ul", {}, ...dropped));
    }

    get isChanged() {
        return Boolean(
            this.item &&
                this.texts.isConnected &&
                (this.texts.value !== this.first ||
                    this.before.value !== this.item.label.words.source_caption ||
                    this.after.value !== this.item.label.words.target_caption),
        );
    }

    write() {
        this.texts.focus();
        this.texts.setSelectionRange(0, 0);
    }

    key(event) {
        if (isComposing(event)) return; // Escape closes the list of characters there
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            if (!event.repeat) this.accept();
        } else if (event.key === "Escape") {
            event.preventDefault();
            event.stopPropagation();
            this.hooks.leave();
        }
    }

    // Another pair is looked at: what was changed here is there again when this one is.
    leave() {
        if (!this.item) return;
        const { value: texts } = this.texts;
        const proposed = JSON.stringify(this.item.label.words);
        const draft = { proposed, texts, before: this.before.value, after: this.after.value };
        if (this.isChanged && texts.trim()) this.drafts.set(this.place, draft);
        else this.drafts.delete(this.place);
        this.reset();
        this.item = null; // no key is meant for it any more
    }

    reset() {
        if (!this.item) return;
        const { source_caption: before, target_caption: after } = this.item.label.words;
        this.fill({ texts: this.first, before, after });
    }

    fill({ texts, before, after }) {
        this.texts.value = texts;
        this.before.value = before;
        this.after.value = after;
    }

    accept() {
        const words = {
            texts: this.texts.value.split("\n").map((text) => text.trim()).filter(Boolean),
            source_caption: this.before.value.trim(),
            target_caption: this.after.value.trim(),
        };
        return this.decide("accept", words);
    }

    reject() {
        return this.decide("reject", null);
    }

    // One decision a pair: what is pressed until the next one is shown is not meant for it.
    decide(action, words) {
        const { item } = this;
        if (!item) return null;
        this.leave(); // what cannot be decided, or is taken back, is as it was written
        return this.hooks.decide(item, action, words);
    }
}

// The second click of a double click would fall on the next pair, which nobody has looked at.
function once(event) {
    return event.detail < 2;
}
