// One turn: what was said, and what came of it.
import { make } from "../../shared/dom.js";
import { carry } from "../canvas_drop.js";
import { smallAddress } from "../server.js";
import { texts } from "../texts.js";
import { siblings, wordOf } from "../tree.js";

// What of a turn can be seen; while it is the same, nothing is drawn anew.
export function signature(chat, turn, run) {
    const beside = siblings(chat, turn);
    return JSON.stringify([turn.answer, turn.state, turn.message, beside.length, beside.indexOf(turn), run?.state, run?.message]);
}

// acts: what a turn's buttons do, each called with the turn.
export function fillBubble(element, chat, turn, run, acts) {
    element.replaceChildren(said(chat, turn, acts), came(chat, turn, run, acts), facts(turn), actions(chat, turn, run, acts));
    element.setAttribute("aria-label", `#${turn.number} ${turn.instruction.slice(0, 200)}`);
    showRun(element, run);
}

// What changes many times a second: the preview and the bar.
export function showRun(element, run) {
    const bar = element.querySelector("progress");
    if (!bar || !run) return;
    if (run.max) Object.assign(bar, { max: run.max, value: run.value });
    const preview = element.querySelector(".ace-chat-preview");
    preview.hidden = !run.preview;
    if (run.preview && preview.src !== run.preview) preview.src = run.preview;
}

function said(chat, turn, acts) {
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
    const extended = turn.extend ? make("div", { className: "ace-chat-facts" }, extension(turn.extend)) : null;
    return make("div", { className: "ace-chat-said" }, make("div", { className: "ace-chat-tray" }, ...shots), text, extended);
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

function came(chat, turn, run, acts) {
    const words = texts();
    if (turn.answer) {
        const { file, width, height } = turn.answer;
        const shot = shotOf(chat, file, () => acts.show(file), "ace-chat-answer");
        shot.style.setProperty("--ace-ratio", width / height);
        shot.querySelector("img").alt = turn.instruction.slice(0, 200);
        return shot;
    }
    const state = run?.state ?? turn.state;
    if (state === "waiting" || state === "running") {
        const preview = make("img", { className: "ace-chat-preview", alt: "", hidden: true });
        return make("div", { className: "ace-chat-run" }, preview, make("progress", {}), make("span", {}, words[state]));
    }
    const why = run?.message || turn.message;
    const text = why ? words.failed(why) : words[turn.state === "stopped" ? "stopped" : "gone"];
    const again = make("button", { type: "button", className: "ace-button", onclick: () => acts.again(turn) }, words.runAgain);
    return make("div", { className: "ace-message" }, text, again);
}

function facts(turn) {
    const seconds = turn.answer?.seconds ?? null;
    const text = texts().facts({ number: turn.number, seed: turn.seed, steps: turn.settings.steps, seconds, sent: turn.sent.length });
    return make("div", { className: "ace-chat-facts" }, text);
}

function actions(chat, turn, run, acts) {
    const words = texts();
    const button = (text, title, work, disabled = false) =>
        make("button", { type: "button", className: "ace-button", title, disabled, onclick: () => work(turn) }, text);
    const beside = siblings(chat, turn);
    const at = beside.indexOf(turn);
    const step = (text, title, offset) => {
        const made = button(text, title, () => acts.switchTo(beside[at + offset]), !beside[at + offset]);
        made.setAttribute("aria-label", title);
        return made;
    };
    const branches =
        beside.length > 1 ? [step("‹", words.earlier, -1), make("span", {}, `${at + 1}/${beside.length}`), step("›", words.later, 1)] : [];
    if (!turn.answer) return make("div", { className: "ace-chat-actions" }, ...branches, button(words.askAgain, words.askAgainHelp, acts.edit));
    return make(
        "div",
        { className: "ace-chat-actions" },
        ...branches,
        button(words.retry, words.retryHelp, acts.retry),
        button(words.askAgain, words.askAgainHelp, acts.edit),
        button(words.compare, words.compareHelp, acts.compare),
        button(words.maskThis, words.maskHelp, acts.mask),
        more(turn, acts),
    );
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
    const items = entries.map(([text, work]) => {
        const item = make("button", { type: "button", className: "ace-button" }, text);
        item.addEventListener("click", () => {
            folded.open = false;
            folded.querySelector("summary").focus(); // else nothing has it, and keys go to ComfyUI
            work(turn);
        });
        return item;
    });
    const folded = make("details", { className: "ace-chat-more" }, make("summary", { className: "ace-button", title: words.more }, "…"), ...items);
    folded.addEventListener("toggle", () => folded.open && folded.scrollIntoView({ block: "nearest" }));
    folded.addEventListener("focusout", (event) => {
        if (!folded.contains(event.relatedTarget)) folded.open = false;
    });
    return folded;
}

