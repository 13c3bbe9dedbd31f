// What can be changed of one pair, and what is known of it.
import { button, choice, isComposing, make } from "../../shared/dom.js";
import { server } from "../server.js";
import { errorText, reasonKinds, reasonText, texts } from "../texts/texts.js";
import { LabelPanel } from "./labels.js";

export class Form {
    // hooks: edit(item, changes) -> item, remove(), restore(), dataset(), decide(item, action, words), leave(), fail(error),
    // settled(): a change is carried out and shown
    constructor(hooks) {
        this.hooks = hooks;
        this.element = make("form", { className: "ace-form", onsubmit: (event) => event.preventDefault() });
        this.labels = new LabelPanel({ dataset: hooks.dataset, decide: hooks.decide, leave: () => hooks.leave() });
        this.item = null;
        this.busy = 0; // changes under way
    }

    show(item) {
        const same = this.isOf(item);
        if (same && this.busy) return; // what the change answers is shown next
        if (same && this.isChanged && this.item.version !== item.version) return this.tellStale(item);
        if (same && this.isWriting && this.item.version === item.version) return;
        this.build(item);
    }

    // Whether it shows this pair, in whatever version.
    isOf(item) {
        return Boolean(this.item && item && this.item.id === item.id && this.item.key === item.key && this.item.number === item.number);
    }

    // sent: what has just been saved, by the name of its field. What else was typed for the same pair stays.
    build(item, sent = new Map()) {
        const same = this.isOf(item);
        const isTyped = (field) => field.value !== this.first?.get(field) && field.value !== sent.get(field.ariaLabel);
        const isMeant = (field) => this.labels.item || !field.closest(".ace-proposed"); // after a decision they wait as a draft
        const typed = same ? this.fields.filter((field) => isTyped(field) && isMeant(field)) : [];
        if (!same) this.labels.leave();
        const inside = this.element.contains(document.activeElement);
        const writing = inside ? document.activeElement : null;
        const summaries = () => [...this.element.querySelectorAll("details > summary")];
        const opened = same ? summaries().filter((one) => one.parentElement.open).map((one) => one.textContent) : [];
        this.item = item;
        this.element.inert = false;
        this.element.replaceChildren(...(item.number === undefined ? this.pairParts(item) : rejectedParts(item)));
        const { fields } = this;
        this.first = new Map(fields.map((field) => [field, field.value]));
        const named = (old) => fields.find((field) => field.ariaLabel === old.ariaLabel);
        for (const one of summaries()) one.parentElement.open ||= opened.includes(one.textContent);
        for (const old of typed) if (named(old)) named(old).value = old.value;
        if (this.save) this.save.disabled = !this.isChanged;
        if (same && writing?.ariaLabel) takeOver(writing, named(writing));
        if (inside && !this.element.contains(document.activeElement)) this.hooks.leave(); // else no key would be heard
    }

    get fields() {
        return [...this.element.querySelectorAll("[aria-label]")].filter((field) => field.matches("input, textarea, select"));
    }

    get isChanged() {
        return Boolean(this.item && this.words?.isConnected && this.words.value.trim() !== this.item.instruction);
    }

    get isWriting() {
        return this.isChanged || this.labels.isChanged;
    }

    // Another pair is looked at, or none.
    leave() {
        this.labels.leave();
        this.drop();
        this.item = null; // what comes next is shown anew, also if it is the same pair
        this.element.inert = true; // until then
    }

    // What is written is not wanted any more.
    drop() {
        this.labels.reset();
        this.dropWords();
    }

    dropWords() {
        if (!this.isChanged) return;
        this.words.value = this.item.instruction;
        this.save.disabled = true;
    }

    pairParts(item) {
        const words = texts();
        const kept = item.key === undefined;
        this.message = make("div", { className: "ace-message", role: "status", hidden: true });
        this.words = make("textarea", {
            className: "ace-input",
            rows: 5,
            value: item.instruction,
            title: words.instructionHelp,
            ariaLabel: words.instruction,
            spellcheck: true,
            disabled: !kept,
            oninput: () => (this.save.disabled = !this.isChanged),
            onkeydown: (event) => this.wordKey(event),
        });
        this.save = button(words.save, "ace-save", () => this.submit(), { disabled: true, title: words.saveHelp });
        const fate = kept
            ? button(words.delete, "ace-delete", this.hooks.remove)
            : button(words.restore, "ace-restore", this.hooks.restore);
        return [
            this.message,
            ...(kept ? this.labels.parts(item) : []),
            labelled(words.instruction, this.words),
            kept ? this.save : null,
            make("div", { className: "ace-row" }, ...(kept ? this.smallInputs(item) : [])),
            kept ? this.tagInput(item) : null,
            this.facts(item),
            ...(kept ? this.earlier(item) : []),
            fate,
        ].filter(Boolean);
    }

    smallInputs(item) {
        const words = texts();
        const weight = make("input", {
            className: "ace-input",
            type: "number",
            min: 0,
            max: 1000,
            step: 0.1,
            value: item.weight,
            title: words.weightHelp,
            ariaLabel: words.weight,
            onchange: () => weight.value !== "" && this.change({ weight: Number(weight.value) }),
        });
        const options = ["train", "validation"].map((key) => [key, words.splits[key]]);
        const split = choice(words.split, options, item.split, (value) => this.change({ split: value }));
        split.className = "ace-input";
        split.title = words.splitHelp;
        return [labelled(words.weight, weight), labelled(words.split, split)];
    }

    tagInput(item) {
        const words = texts();
        const tags = make("input", {
            className: "ace-input",
            value: item.tags.join(", "),
            title: words.tagsHelp,
            ariaLabel: words.tags,
            onchange: () => this.change({ tags: tags.value.split(/[,，]/).map((tag) => tag.trim()).filter(Boolean) }),
        });
        return labelled(words.tags, tags);
    }

    facts(item) {
        const words = texts();
        const scores = Object.entries(item.scores ?? {}).map(([name, value]) => `${name} ${flat(value)}`);
        const rows = [
            [words.facts.id, item.id],
            [words.facts.created, new Date(item.created).toLocaleString()],
            [words.facts.phrasings, (item.phrasings ?? []).join(" · ")],
            [words.facts.seed, item.seed],
            [words.facts.scores, scores.join(", ")],
            [words.facts.seconds, item.teacher_seconds ? words.seconds(item.teacher_seconds) : ""],
            [words.facts.rounds, (item.rounds ?? []).join(", ")],
        ];
        const shown = rows.filter(([, value]) => value !== undefined && value !== null && value !== "");
        return make("dl", { className: "ace-facts" }, ...shown.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, `${value}`)]));
    }

    earlier(item) {
        const words = texts();
        const past = [...new Set((item.edits ?? []).map((edit) => edit.before.instruction).filter(Boolean))];
        const others = past.filter((text) => text !== item.instruction).reverse();
        if (!others.length) return [];
        const again = (text) => button(words.again, "", () => this.change({ instruction: text }));
        return [
            make("div", { className: "ace-title" }, words.earlier),
            make("ul", { className: "ace-earlier" }, ...others.map((text) => make("li", {}, make("span", {}, text), again(text)))),
        ];
    }

    wordKey(event) {
        if (isComposing(event)) return; // Escape closes the list of characters there
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            this.submit();
        } else if (event.key === "Escape") {
            event.preventDefault();
            event.stopPropagation();
            if (!this.words.value.trim()) this.dropWords(); // no words cannot be saved, so the pair could not be left
            this.hooks.leave(); // what is written stays, and is saved when the pair is left
        }
    }

    // Whether all that was written is saved now. Of a pair that is gone, it was said that it cannot be.
    async submit() {
        return !this.isChanged || this.gone === this.item || this.change({ instruction: this.words.value.trim() });
    }

    async change(changes) {
        const about = this.item;
        const names = Object.keys(changes).map((key) => texts()[key]);
        const sent = new Map(this.fields.filter(({ ariaLabel }) => names.includes(ariaLabel)).map((field) => [field.ariaLabel, field.value]));
        this.busy++;
        try {
            const item = await this.hooks.edit(about, changes);
            if (this.isOf(about)) this.item = { ...this.item, ...item };
        } catch (error) {
            this.busy--;
            if (this.isOf(about)) await this.tell(error, changes);
            else this.hooks.fail(error); // another pair is looked at by now
            return false;
        }
        this.busy--;
        await this.reload(about, sent);
        this.hooks.settled();
        return true;
    }

    // Shows what came of changes, unless another pair is looked at by now, or one more change is under way, which does it then.
    async reload(about, sent) {
        try {
            const item = await server.pair(this.hooks.dataset(), about);
            if (this.isOf(about) && !this.busy) this.build(item, sent);
        } catch (error) {
            if (this.isOf(about)) await this.tell(error);
        }
    }

    async tell(error, changes = null) {
        if (error.code === "stale") {
            try {
                const about = this.item;
                const now = await server.pair(this.hooks.dataset(), about);
                return this.isOf(about) ? this.tellStale(now, changes) : this.hooks.fail(error); // another is looked at by now
            } catch (other) {
                error = other;
            }
        }
        const isGone = error.code === "unknown_pair";
        if (isGone) this.gone = this.item;
        this.say(isGone ? texts().gone : errorText(error));
    }

    // Another window was faster. Nothing is overwritten without being asked for.
    tellStale(now, changes = null) {
        const words = texts();
        this.say(
            words.stale(now.instruction),
            button(words.theirs, "", () => {
                this.drop();
                this.build(now);
            }),
            button(words.mine, "", () => {
                this.item = now;
                this.change(changes ?? { instruction: this.words.value.trim() }); // what stands there by then
            }),
        );
    }

    say(text, ...buttons) {
        this.message.replaceChildren(make("span", {}, text), ...buttons);
        this.message.hidden = false;
    }
}

// The new field of the same name has the keyboard and, with the same text, what was selected in it.
function takeOver(old, now) {
    now?.focus();
    const isText = now?.tagName === old.tagName && typeof old.selectionStart === "number";
    if (isText && now.value === old.value) now.setSelectionRange(old.selectionStart, old.selectionEnd, old.selectionDirection);
}

function rejectedParts(item) {
    const words = texts();
    return [
        make("div", { className: "ace-title" }, words.rejectedTitle),
        make("div", { className: "ace-reason" }, reasonKinds(item)),
        make("div", { className: "ace-detail" }, reasonText(item)),
        make("div", { className: "ace-title" }, words.instruction),
        make("div", {}, item.instruction),
        make("p", { className: "ace-detail" }, words.rejectedHelp),
    ];
}

function labelled(text, input) {
    return make("label", { className: "ace-field" }, make("span", {}, text), input);
}

function flat(value) {
    if (typeof value === "number") return `${Number(value.toFixed(3))}`;
    if (value && typeof value === "object") return Object.entries(value).map(([name, inner]) => `${name} ${flat(inner)}`).join(" ");
    return `${value}`;
}
