// Keys of the page, and of its list of turns.
import { isTyping } from "../../shared/dom.js";

const OPENERS = new Set(["C", "D"]); // with Shift, they open and close tabs of the sidebar

export function pageKey(panel, event) {
    if (OPENERS.has(event.key) && !isTyping(event.target)) return;
    event.stopPropagation(); // ComfyUI would take Delete and others for its graph
    const leave = () => event.key === "Escape" && panel.view !== "talk" && panel.showView("talk");
    if (isTyping(event.target) || panel.view !== "talk") return leave();
    if (event.target.closest("button, summary") && (event.key === "Enter" || event.key === " ")) return;
    if (turnKey(panel, event)) event.preventDefault();
}

// Whether the key was one of them.
function turnKey(panel, event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const { thread, acts } = panel;
    const turn = thread.current;
    const answered = (work) => () => turn?.answer && work(turn);
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const plain = {
        ArrowUp: () => thread.move(-1),
        ArrowDown: () => thread.move(1),
        ArrowLeft: () => turn && panel.walk.beside(turn, -1),
        ArrowRight: () => turn && panel.walk.beside(turn, 1),
        Enter: () => (turn ? acts.goOn(turn) : panel.composer.field.focus()),
        r: answered(acts.retry),
        e: () => turn && acts.edit(turn),
        c: answered(acts.compare),
        m: answered(acts.mask),
        w: answered(event.shiftKey ? acts.branch : acts.workflow),
        d: answered(acts.dataset),
        p: answered(acts.toCanvas),
        u: () => (event.shiftKey ? panel.walk.redo() : panel.walk.undo()),
        n: () => panel.create(),
        "/": () => panel.composer.field.focus(),
        "?": () => panel.toggleHelp(),
        Escape: () => (panel.composer.editing ? panel.composer.cancelEdit() : panel.show()),
    };
    plain[key]?.();
    return key in plain;
}
