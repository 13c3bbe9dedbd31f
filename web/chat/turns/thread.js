// The turns from the first to the head, one below the other. Only what changed is drawn anew.
import { make, placeChildren } from "../../shared/dom.js";
import { Bubble } from "./bubble.js";
import { texts } from "../texts.js";
import { pathTo } from "../tree.js";

export class Thread {
    // acts: what a turn's buttons do. runOf(turn): how it goes in the queue. toLast(): goes to the last turn of the branch.
    constructor(acts, runOf, toLast) {
        this.acts = acts;
        this.runOf = runOf;
        this.bubbles = new Map(); // by turn
        this.at = null; // the turn that keys are about
        this.path = [];
        this.nothing = make("div", { className: "ace-nothing" }, texts().empty);
        this.list = make("div", { className: "ace-chat-list", role: "feed" });
        this.later = make("button", { type: "button", className: "ace-button ace-chat-later", onclick: toLast });
        const element = { className: "ace-chat-thread", tabIndex: 0, ariaLabel: texts().title };
        this.element = make("div", element, this.nothing, this.list, this.later);
        this.element.addEventListener("focusin", (event) => {
            const bubble = event.target.closest?.(".ace-chat-turn");
            if (bubble) this.mark(bubble.dataset.turn);
        });
        // The last turn grows, and so does what is written below; whoever is at the end stays there.
        this.wasAtEnd = true;
        this.element.addEventListener("scroll", () => this.scrolled(), { passive: true });
        this.observer = new ResizeObserver(() => this.resized());
        this.observer.observe(this.element);
    }

    focus() {
        (this.bubbles.get(this.at)?.element ?? this.element).focus({ preventScroll: true });
    }

    // chat: null for none. later: how many turns follow. asked: id of the turn that is asked again, or null.
    show(chat, head, later, asked) {
        const other = this.chat?.id !== chat?.id;
        const path = chat ? pathTo(chat, head) : [];
        const atEnd = other || this.isAtEnd;
        this.chat = chat;
        this.path = path;
        if (other) this.bubbles.clear();
        this.nothing.hidden = path.length > 0;
        placeChildren(this.list, path.map((turn) => this.bubble(chat, turn)));
        for (const id of [...this.bubbles.keys()]) if (!path.some((turn) => turn.id === id)) this.bubbles.delete(id);
        this.mark(path.some((turn) => turn.id === this.at) ? this.at : (path.at(-1)?.id ?? null));
        for (const [id, { element }] of this.bubbles) element.classList.toggle("ace-chat-again", id === asked);
        this.later.hidden = !later;
        this.later.textContent = later ? `↓ ${texts().laterTurns(later)}` : "";
        this.follow(this.list.lastElementChild);
        if (atEnd && !asked) this.toEnd(); // whoever asks a turn again looks at that
    }

    // Of turns, the last one alone: an earlier one grows because somebody opens something there.
    follow(turn) {
        if (turn === this.followed) return;
        if (this.followed) this.observer.unobserve(this.followed);
        if (turn) this.observer.observe(turn);
        this.followed = turn;
    }

    bubble(chat, turn) {
        if (!this.bubbles.has(turn.id)) this.bubbles.set(turn.id, new Bubble(turn));
        const bubble = this.bubbles.get(turn.id);
        bubble.show(chat, turn, this.runOf(turn), this.acts);
        return bubble.element;
    }

    // A step of the sampler: nothing else is touched.
    progress(turn) {
        this.bubbles.get(turn.id)?.showRun(this.runOf(turn));
    }

    get heights() {
        return `${this.element.clientHeight} ${this.followed?.offsetHeight}`;
    }

    // Of a scroll that is told of only after a height has changed, that change would be taken for somebody's leaving the end.
    scrolled() {
        if (this.heights === this.measured) this.wasAtEnd = this.below < 8;
    }

    resized() {
        this.measured = this.heights;
        if (this.wasAtEnd) this.element.scrollTop = this.element.scrollHeight;
    }

    // Pixels below what is seen.
    get below() {
        const { scrollTop, scrollHeight, clientHeight } = this.element;
        return scrollHeight - scrollTop - clientHeight;
    }

    get isAtEnd() {
        return this.below < 160;
    }

    toEnd() {
        this.wasAtEnd = true; // nobody tells so where there is nothing to scroll
        const go = () => (this.element.scrollTop = this.element.scrollHeight);
        // Twice: only then turns that came into view have their real heights.
        requestAnimationFrame(() => (go(), requestAnimationFrame(go)));
    }

    mark(id) {
        this.bubbles.get(this.at)?.element.classList.remove("ace-current");
        this.at = id;
        this.bubbles.get(id)?.element.classList.add("ace-current");
    }

    // The turn that keys are about, or null.
    get current() {
        return this.path?.find((turn) => turn.id === this.at) ?? null;
    }

    reveal(id) {
        this.mark(id);
        this.bubbles.get(id)?.element.scrollIntoView({ block: "nearest" });
        this.wasAtEnd = this.below < 8; // it is to stay in view, whatever grows
    }

    move(step) {
        const index = (this.path ?? []).findIndex((turn) => turn.id === this.at);
        const next = this.path?.[Math.max(0, Math.min(index + step, this.path.length - 1))];
        if (!next) return;
        this.mark(next.id);
        const { element } = this.bubbles.get(next.id);
        element.focus({ preventScroll: true });
        element.scrollIntoView({ block: "nearest" });
    }
}
