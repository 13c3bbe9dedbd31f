// One turn: what was said, and what came of it.
import { button, make } from "../../shared/dom.js";
import { afterPress } from "../../shared/press.js";
import { carry } from "../canvas_drop.js";
import { smallAddress } from "../server.js";
import { texts } from "../texts.js";
import { siblings, wordOf } from "../tree.js";

// What a turn consists of: what can be seen of each part, and how it is drawn. A part of which nothing else is to be seen is not
// drawn anew: somebody may have it open, or be about to press it.
const PARTS = {
    said: [() => null, said],
    came: [({ turn, run }) => turn.answer?.file ?? [turn.state, turn.message, run?.state, run?.message], came],
    facts: [({ turn }) => turn.answer?.seconds, facts],
    actions: [({ turn }) => Boolean(turn.answer), actions],
    branches: [({ chat, turn }) => siblings(chat, turn).map(({ id }) => id), branches], // last: what is pressed again stays
};

export class Bubble {
    constructor(turn) {
        this.seen = {}; // by part
        this.parts = {
            said: make("div", { className: "ace-chat-said" }),
            came: make("div", { className: "ace-chat-part" }),
            facts: make("div", { className: "ace-chat-facts" }),
            actions: make("div", { className: "ace-chat-part" }),
            branches: make("div", { className: "ace-chat-part" }),
        };
        const { said, came, facts, ...buttons } = this.parts;
        const row = make("div", { className: "ace-chat-actions" }, ...Object.values(buttons));
        const label = `#${turn.number} ${turn.instruction.slice(0, 200)}`;
        const properties = { className: "ace-chat-turn", tabIndex: -1, ariaLabel: label, data: { turn: turn.id } };
        this.element = make("article", properties, said, came, facts, row);
    }

    // acts: what a turn's buttons do, each called with the turn.
    show(chat, turn, run, acts) {
        const told = { chat, turn, run, acts };
        const focused = document.activeElement;
        const inside = this.element.contains(focused);
        for (const [name, [sight, draw]] of Object.entries(PARTS)) {
            const seen = JSON.stringify([sight(told)]);
            if (this.seen[name] === seen) continue;
            this.seen[name] = seen;
            this.parts[name].replaceChildren(...draw(told));
        }
        if (inside && !this.element.contains(focused)) this.focusLike(focused);
        this.showRun(run);
    }

    // A button that was drawn anew has the keys again.
    focusLike({ textContent: text, className }) {
        const alike = (one) => one.textContent === text && one.className === className && !one.disabled;
        const buttons = [...this.element.querySelectorAll("button, summary")];
        (buttons.find(alike) ?? this.element).focus({ preventScroll: true });
    }

    // What changes many times a second: the preview and the bar.
    showRun(run) {
        const bar = this.element.querySelector("progress");
        if (!bar || !run) return;
        if (run.max) Object.assign(bar, { max: run.max, value: run.value });
        const preview = this.element.querySelector(".ace-chat-preview");
        preview.hidden = !run.preview;
        if (run.preview && preview.src !== run.preview) preview.src = run.preview;
    }
}

function said({ chat, turn, acts }) {
    const words = texts();
    const chip = (index) =>
        make(
            "span",
            { className: "ace-chat-chip", role: "img", ariaLabel: wordOf(index) },
            make("img", { src: smallAddress(chat.id, turn.pictures[index].file), alt: "", loading: "lazy" }),
            make("b", {}, wordOf(index)),
        );
    const parts = turn.parts.map((part) => (typeof part === "number" ? chip(part) : part));
    const text = make("div", { className: "ace-chat-words" }, ...parts);
    const shots = turn.pictures.map((picture, index) => {
        const mark = picture.mask ? make("i", {}, words.masked[picture.fill]) : null;
        const shot = shotOf(chat, picture.file, () => acts.show(picture.file), "ace-chat-thumb");
        shot.append(make("b", {}, wordOf(index)), ...(mark ? [mark] : []));
        return shot;
    });
    const extended = turn.extend ? [make("div", { className: "ace-chat-facts" }, extension(turn.extend))] : [];
    return [make("div", { className: "ace-chat-tray" }, ...shots), text, ...extended];
}

const extension = (extend) =>
    Object.entries(extend)
        .filter(([, pixels]) => pixels)
        .map(([side, pixels]) => `${texts().extendSides[side]} ${pixels}`)
        .join(" · ");

// A picture that can be looked at, and dragged to wherever a picture can go.
function shotOf(chat, file, onclick, className) {
    const image = make("img", { src: smallAddress(chat.id, file), alt: "", loading: "lazy", draggable: true });
    const shot = make("button", { type: "button", className, title: texts().dragHint, onclick }, image);
    image.addEventListener("dragstart", (event) => {
        event.stopPropagation();
        carry(event, chat.id, file);
    });
    return shot;
}

function came({ chat, turn, run, acts }) {
    const words = texts();
    if (turn.answer) {
        const { file, width, height } = turn.answer;
        const shot = shotOf(chat, file, () => acts.show(file), "ace-chat-answer");
        shot.style.setProperty("--ace-ratio", width / height);
        shot.querySelector("img").alt = turn.instruction.slice(0, 200);
        return [shot];
    }
    const state = run?.state ?? turn.state;
    if (state === "waiting" || state === "running") {
        const preview = make("img", { className: "ace-chat-preview", alt: "", hidden: true });
        return [make("div", { className: "ace-chat-run" }, preview, make("progress", {}), make("span", {}, words[state]))];
    }
    const why = run?.message || turn.message;
    const text = why ? words.failed(why) : words[turn.state === "stopped" ? "stopped" : "gone"];
    const again = button(words.runAgain, "", () => acts.again(turn));
    return [make("div", { className: "ace-message" }, text, again)];
}

function facts({ turn }) {
    const seconds = turn.answer?.seconds ?? null;
    return [texts().facts({ number: turn.number, seed: turn.seed, steps: turn.settings.steps, seconds, sent: turn.sent.length })];
}

// To the turns that were asked in its place.
function branches({ chat, turn, acts }) {
    const words = texts();
    const beside = siblings(chat, turn);
    const at = beside.indexOf(turn);
    if (beside.length < 2) return [];
    const step = (text, title, other) =>
        button(text, "", () => acts.switchTo(other), { title, ariaLabel: title, disabled: !other });
    return [step("‹", words.earlier, beside[at - 1]), make("span", {}, `${at + 1}/${beside.length}`), step("›", words.later, beside[at + 1])];
}

function actions({ turn, acts }) {
    const words = texts();
    const act = (text, title, work) => button(text, "", () => work(turn), { title });
    const askAgain = act(words.askAgain, words.askAgainHelp, acts.edit);
    if (!turn.answer) return [askAgain];
    return [
        act(words.retry, words.retryHelp, acts.retry),
        askAgain,
        act(words.compare, words.compareHelp, acts.compare),
        act(words.maskThis, words.maskHelp, acts.mask),
        more(turn, acts),
    ];
}

// What is seldom needed, folded away.
function more(turn, acts) {
    const words = texts();
    const entries = [
        [words.goOn, acts.goOn],
        [words.whatWasSent, acts.sheet],
        [words.toCanvas, acts.toCanvas],
        [words.openWorkflow, acts.workflow],
        [words.openBranch, acts.branch],
        [words.toDataset, acts.dataset],
    ];
    const items = entries.map(([text, work]) =>
        button(text, "", () => {
            folded.open = false;
            folded.querySelector("summary").focus(); // else nothing has it, and keys go to ComfyUI
            work(turn);
        }),
    );
    const folded = make("details", { className: "ace-chat-more" }, make("summary", { className: "ace-button", title: words.more }, "…"), ...items);
    folded.addEventListener("toggle", () => folded.open && folded.scrollIntoView({ block: "nearest" }));
    folded.addEventListener("focusout", (event) => {
        if (!folded.contains(event.relatedTarget)) afterPress(() => (folded.open = false));
    });
    return folded;
}

