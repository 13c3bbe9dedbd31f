// Where the instruction is written: text with pictures in it. A picture is an object there, not a word.
import { isTyping, make } from "../../shared/dom.js";
import { wordOf } from "../tree.js";

const NAMING = /@([\p{L}\p{N}]*)$/u;

export class Field {
    // changed(): the text is another. left(): the caret went elsewhere. send(): Enter. names(prefix | null): a picture is being named. key(event): whether a list
    // that is open took it. paste(files): pictures were pasted.
    constructor(placeholder, handlers) {
        Object.assign(this, handlers);
        this.chips = new Map(); // element: picture
        this.element = make("div", {
            className: "ace-input ace-chat-field",
            role: "textbox",
            ariaMultiline: "true",
            ariaLabel: placeholder,
            data: { placeholder },
        });
        this.element.contentEditable = "true";
        this.element.spellcheck = true;
        this.element.addEventListener("input", () => this.input());
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
        return !this.parts([]).length;
    }

    // The words and pictures: strings, and indices among ``pictures``.
    parts(pictures) {
        const found = [];
        const add = (part) => {
            if (typeof part === "string" && typeof found.at(-1) === "string") found[found.length - 1] += part;
            else if (part !== "") found.push(part);
        };
        const walk = (node) => {
            if (node.nodeType === Node.TEXT_NODE) add(node.data.replaceAll("\u00a0", " ").replaceAll("\u200b", ""));
            else if (this.chips.has(node)) {
                const index = pictures.indexOf(this.chips.get(node));
                if (index >= 0) add(index);
            } else if (node.nodeName === "BR") add("\n");
            else {
                if (node !== this.element && node.previousSibling) add("\n");
                node.childNodes.forEach(walk);
            }
        };
        walk(this.element);
        if (typeof found.at(-1) === "string") found[found.length - 1] = found.at(-1).replace(/\n+$/, "");
        if (typeof found.at(-1) === "string" && !found.at(-1).trim() && found.length === 1) return [];
        return found.filter((part) => part !== "");
    }

    // parts: as of parts(); pictures: those of the tray.
    set(parts, pictures) {
        this.chips.clear();
        const nodes = parts.map((part) => (typeof part === "number" ? this.chip(pictures[part]) : document.createTextNode(part)));
        this.element.replaceChildren(...nodes);
        this.label(pictures);
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
        this.chips.set(chip, picture);
        return chip;
    }

    // Puts a picture where the caret is, in place of what names it after an @.
    insert(picture, pictures) {
        this.focus();
        const selection = document.getSelection();
        const range = selection.getRangeAt(0);
        const named = this.naming();
        if (named) {
            range.setStart(named.node, named.start);
        }
        range.deleteContents();
        const chip = this.chip(picture);
        const space = document.createTextNode(" ");
        range.insertNode(space);
        range.insertNode(chip);
        this.caretTo(space, 1);
        this.label(pictures);
        this.input();
    }

    remove(picture) {
        for (const [chip, one] of this.chips) {
            if (one !== picture) continue;
            chip.remove();
            this.chips.delete(chip);
        }
    }

    // Chips say how ACE calls their picture; that follows its place.
    label(pictures) {
        for (const [chip, picture] of this.chips) {
            const word = wordOf(Math.max(0, pictures.indexOf(picture)));
            chip.querySelector("b").textContent = word;
            chip.setAttribute("aria-label", word);
        }
    }

    // A picture is another now: its chips show it.
    relabel(picture) {
        for (const [chip, one] of this.chips) if (one === picture) chip.querySelector("img").src = picture.address;
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

    input() {
        for (const chip of this.chips.keys()) if (!this.element.contains(chip)) this.chips.delete(chip);
        this.names(this.naming()?.prefix ?? null);
        this.changed();
    }

    // What is typed after an @ before the caret.
    naming() {
        const { anchorNode: node, anchorOffset: offset } = document.getSelection();
        if (!this.element.contains(node) || node.nodeType !== Node.TEXT_NODE) return null;
        const match = NAMING.exec(node.data.slice(0, offset));
        return match && { node, start: offset - match[0].length, prefix: match[1].toLowerCase() };
    }

    press(event) {
        if (event.isComposing) return; // Enter chooses a character there
        if (this.key(event)) return event.preventDefault();
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
        else document.execCommand("insertText", false, event.clipboardData.getData("text/plain"));
    }

    caretTo(node, offset) {
        const range = document.createRange();
        range.setStart(node, offset);
        document.getSelection().removeAllRanges();
        document.getSelection().addRange(range);
    }
}
