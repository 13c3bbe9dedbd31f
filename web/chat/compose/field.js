// Where the instruction is written: text with pictures in it. A picture is an object there, not a word.
import { isComposing, isTyping, make } from "../../shared/dom.js";
import { wordOf } from "../tree.js";
import { History } from "./history.js";

const NAMING = /@([\p{L}\p{N}]*)$/u;
const NAMED = /(?:^|[^\p{L}\p{N}])(@([\p{L}\p{N}]+))[\s,.;:!?，。；：！？、]$/u;
const WHOLE = /(?<![\p{L}\p{N}])@([\p{L}\p{N}]+)(?![\p{L}\p{N}])/gu;
const JOINED = 1000; // ms between two letters that are undone together
const TYPED = new Set(["insertText", "insertCompositionText", "deleteContentBackward"]);

export class Field {
    // changed(): the text is another. left(): the caret went elsewhere. send(): Enter. names(prefix | null): a picture is being
    // named. named(name): the picture of that very name, or null. key(event): whether a list that is open took it.
    // paste(files): pictures were pasted.
    constructor(placeholder, handlers) {
        Object.assign(this, handlers);
        this.pictureOf = new WeakMap(); // of a chip
        this.history = new History();
        this.element = make("div", {
            className: "ace-input ace-chat-field",
            role: "textbox",
            ariaMultiline: "true",
            ariaLabel: placeholder,
            data: { placeholder },
        });
        this.element.contentEditable = "true";
        this.element.spellcheck = true;
        this.element.type = "textarea"; // of any other element, ComfyUI takes Ctrl+Z for its graph, too
        this.element.addEventListener("input", (event) => this.input(event));
        this.element.addEventListener("beforeinput", (event) => this.beforeInput(event));
        this.element.addEventListener("keydown", (event) => this.press(event));
        this.element.addEventListener("blur", () => this.left());
        this.element.addEventListener("paste", (event) => this.take(event));
        this.element.addEventListener("drop", (event) => event.preventDefault()); // never markup; pictures go to the tray
    }

    focus() {
        this.element.focus();
        if (!this.element.contains(document.getSelection().anchorNode)) this.caretTo(this.element, this.element.childNodes.length);
    }

    get isEmpty() {
        return !this.trimmed().length;
    }

    // Always those that are there: what was deleted may have come back.
    get chips() {
        return [...this.element.querySelectorAll(".ace-chat-chip")].filter((chip) => this.pictureOf.has(chip));
    }

    get pictures() {
        return [...new Set(this.chips.map((chip) => this.pictureOf.get(chip)))];
    }

    // The words and pictures as they stand, and where the caret is.
    read() {
        const { anchorNode, anchorOffset } = document.getSelection();
        const content = [];
        let [count, caret] = [0, null];
        const add = (part) => {
            count += typeof part === "string" ? part.length : 1;
            if (typeof part === "string" && typeof content.at(-1) === "string") content[content.length - 1] += part;
            else if (part !== "") content.push(part);
        };
        const clean = (text) => text.replaceAll("\u00a0", " ").replaceAll("\u200b", "");
        const walk = (node) => {
            if (node.nodeType === Node.TEXT_NODE) {
                if (node === anchorNode) caret = count + clean(node.data.slice(0, anchorOffset)).length;
                add(clean(node.data));
            } else if (this.pictureOf.has(node)) add(this.pictureOf.get(node));
            else if (node.nodeName === "BR") add("\n");
            else {
                if (node !== this.element && node.previousSibling) add("\n");
                node.childNodes.forEach((child, index) => {
                    if (node === anchorNode && index === anchorOffset) caret = count;
                    walk(child);
                });
            }
        };
        walk(this.element);
        return { content, caret: caret ?? count };
    }

    trimmed() {
        const { content } = this.read();
        if (typeof content.at(-1) === "string") content[content.length - 1] = content.at(-1).replace(/\n+$/, "");
        if (typeof content.at(-1) === "string" && !content.at(-1).trim() && content.length === 1) return [];
        return content.filter((part) => part !== "");
    }

    // The words and pictures: strings, and indices among ``pictures``.
    parts(pictures) {
        return this.trimmed().flatMap((part) => {
            if (typeof part === "string") return [part];
            return pictures.includes(part) ? [pictures.indexOf(part)] : [];
        });
    }

    // Another text, of which nothing can be undone. parts: as of parts(); pictures: those of the tray.
    set(parts, pictures) {
        this.write({ content: withPictures(parts, pictures), caret: Infinity });
        this.label(pictures);
        this.history.begin(this.read());
    }

    // Other words for what is written there, which can be undone.
    replace(parts, pictures) {
        this.history.note(this.read(), true);
        this.write({ content: withPictures(parts, pictures), caret: Infinity });
        this.history.note(this.read(), false);
    }

    write({ content, caret }) {
        const node = (part) => (typeof part === "string" ? document.createTextNode(part) : this.chip(part));
        this.element.replaceChildren(...content.map(node));
        let left = caret;
        for (const [index, node] of [...this.element.childNodes].entries()) {
            const long = node.nodeType === Node.TEXT_NODE ? node.data.length : 1;
            if (left < long || (left === long && node.nodeType === Node.TEXT_NODE)) {
                return node.nodeType === Node.TEXT_NODE ? this.caretTo(node, left) : this.caretTo(this.element, index);
            }
            left -= long;
        }
        this.caretTo(this.element, this.element.childNodes.length);
    }

    chip(picture) {
        const chip = make(
            "span",
            { className: "ace-chat-chip", role: "img" },
            make("img", { src: picture.address, alt: "", draggable: false }),
            make("b", {}, ""),
        );
        chip.contentEditable = "false";
        this.pictureOf.set(chip, picture);
        return chip;
    }

    // Puts a picture where the caret is, in place of what names it after an @.
    insert(picture, pictures) {
        this.focus();
        const range = document.getSelection().getRangeAt(0);
        const named = this.naming();
        if (named) range.setStart(named.node, named.start);
        range.deleteContents();
        const space = document.createTextNode(" ");
        range.insertNode(space);
        range.insertNode(this.chip(picture));
        this.caretTo(space, 1);
        this.label(pictures);
        this.input();
    }

    remove(picture) {
        for (const chip of this.chips) if (this.pictureOf.get(chip) === picture) chip.remove();
        this.history.note(this.read(), false);
    }

    // Chips of one picture are those of another from now on.
    follow(picture, other) {
        for (const chip of this.chips) if (this.pictureOf.get(chip) === picture) this.pictureOf.set(chip, other);
        this.history.follow(picture, other);
        this.relabel(other);
    }

    // Chips say how ACE calls their picture; that follows its place.
    label(pictures) {
        for (const chip of this.chips) {
            const word = wordOf(Math.max(0, pictures.indexOf(this.pictureOf.get(chip))));
            chip.querySelector("b").textContent = word;
            chip.setAttribute("aria-label", word);
        }
    }

    // A picture is another now: its chips show it.
    relabel(picture) {
        for (const chip of this.chips) if (this.pictureOf.get(chip) === picture) chip.querySelector("img").src = picture.address;
    }

    // The first gap of a phrasing, such as [object], is selected so that typing fills it.
    selectGap() {
        for (const node of this.element.childNodes) {
            const match = node.nodeType === Node.TEXT_NODE ? /\[\w+\]/.exec(node.data) : null;
            if (!match) continue;
            const range = document.createRange();
            range.setStart(node, match.index);
            range.setEnd(node, match.index + match[0].length);
            document.getSelection().removeAllRanges();
            document.getSelection().addRange(range);
            return;
        }
    }

    // event: of the browser; without one, something was put there by us.
    input(event = null) {
        this.clean();
        const kind = TYPED.has(event?.inputType) ? event.inputType : null;
        const goesOn = kind !== null && kind === this.kind && event.timeStamp - this.typed < JOINED && !/^\s/.test(event.data ?? "");
        this.history.note(this.read(), goesOn);
        this.kind = kind;
        this.typed = event?.timeStamp;
        if (event?.inputType === "insertText") this.takeName();
        this.names(this.naming()?.prefix ?? null);
        this.changed();
    }

    // The browser leaves a line break in what was emptied, and what is to be written there would not be shown.
    clean() {
        const { childNodes } = this.element;
        if (childNodes.length === 1 && childNodes[0].nodeName === "BR") this.element.replaceChildren();
    }

    // What is typed after an @ before the caret.
    naming() {
        const { anchorNode: node, anchorOffset: offset } = document.getSelection();
        if (!this.element.contains(node) || node.nodeType !== Node.TEXT_NODE) return null;
        const match = NAMING.exec(node.data.slice(0, offset));
        return match && { node, start: offset - match[0].length, prefix: match[1].toLowerCase() };
    }

    // Whoever types a whole name and goes on has named the picture.
    takeName() {
        const { anchorNode: node, anchorOffset: offset } = document.getSelection();
        const match = this.element.contains(node) && node.nodeType === Node.TEXT_NODE ? NAMED.exec(node.data.slice(0, offset)) : null;
        const picture = match && this.named(match[2].toLowerCase());
        if (!picture) return;
        const rest = node.splitText(offset - 1); // the space or the comma stays
        node.data = node.data.slice(0, node.data.length - match[1].length);
        rest.before(this.chip(picture));
        this.caretTo(rest, 1);
        this.history.note(this.read(), false);
    }

    // The browser's own steps are not ours, whoever asks for them.
    beforeInput(event) {
        if (!event.inputType.startsWith("history")) return;
        event.preventDefault();
        this.restore(event.inputType === "historyUndo" ? this.history.undo() : this.history.redo());
    }

    restore(state) {
        if (!state) return;
        this.write(state);
        this.kind = null;
        this.names(null);
        this.changed();
    }

    // Whether the key was one for going back or forth.
    goesBack(event) {
        const key = event.key.toLowerCase();
        if (!(event.ctrlKey || event.metaKey) || event.altKey || !["z", "y"].includes(key)) return false;
        this.restore(key === "y" || event.shiftKey ? this.history.redo() : this.history.undo());
        return true;
    }

    press(event) {
        if (isComposing(event)) return; // Enter chooses a character there
        if (this.key(event) || this.goesBack(event)) return event.preventDefault();
        if (event.key !== "Enter" || !isTyping(event.target)) return;
        event.preventDefault();
        if (event.shiftKey) document.execCommand("insertText", false, "\n");
        else this.send();
    }

    take(event) {
        event.preventDefault();
        event.stopPropagation(); // the host would paste nodes
        const files = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
        if (files.length) this.paste(files);
        else {
            document.execCommand("insertText", false, event.clipboardData.getData("text/plain"));
            this.takeNames();
        }
    }

    // Whole names of pictures that came with other words are these pictures.
    takeNames() {
        const { content, caret } = this.read();
        const made = [];
        let [before, moved] = [0, 0]; // how far what was read goes; by how much the caret has to go back
        for (const part of content) {
            let end = 0; // of what was taken of this part
            for (const match of typeof part === "string" ? part.matchAll(WHOLE) : []) {
                const picture = this.named(match[1].toLowerCase());
                if (!picture) continue;
                made.push(part.slice(end, match.index), picture);
                end = match.index + match[0].length;
                if (before + end <= caret) moved += match[0].length - 1;
            }
            made.push(typeof part === "string" ? part.slice(end) : part);
            before += typeof part === "string" ? part.length : 1;
        }
        if (made.length === content.length) return;
        this.write({ content: made.filter((part) => part !== ""), caret: caret - moved });
        this.kind = null; // what is typed now is undone by itself
        this.history.note(this.read(), false);
        this.names(this.naming()?.prefix ?? null);
        this.changed();
    }

    caretTo(node, offset) {
        const range = document.createRange();
        range.setStart(node, offset);
        document.getSelection().removeAllRanges();
        document.getSelection().addRange(range);
    }
}

const withPictures = (parts, pictures) => parts.map((part) => (typeof part === "number" ? pictures[part] : part));
