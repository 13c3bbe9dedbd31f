// The pictures that the next turn speaks of, in order: the first is edited.
import { make } from "../../shared/dom.js";
import { carried, carries, carry } from "../canvas_drop.js";
import { smallAddress } from "../server.js";
import { texts } from "../texts.js";
import { wordOf } from "../tree.js";

export class Tray {
    // changed(): other pictures. name(picture): it was clicked, so that it is named. openMask(picture). removed(picture).
    // isNamed(picture): whether the text speaks of it. replaced(picture, other): another stands in its place. emptied(): the
    // last one was removed by somebody.
    constructor(handlers) {
        Object.assign(this, handlers);
        // {file, mask, fill, address, placed, auto}; placed: put there by itself, to go on from; auto: and not touched since.
        this.pictures = [];
        this.masks = new Map(); // by file, for a picture that is gone on from again
        this.dismissed = null; // what was put there by itself and somebody removed
        this.element = make("div", { className: "ace-chat-tray", role: "list" });
        this.element.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
        this.element.addEventListener("drop", (event) => this.drop(event));
    }

    // The picture of a file, added if it is not there.
    add(chat, { file, mask = null, fill = "keep" }, { first = false, auto = false, placed = auto } = {}) {
        const there = this.pictures.find((picture) => picture.file === file);
        if (there) return there;
        const picture = { file, mask, fill, auto, placed, address: smallAddress(chat, file), chat };
        if (first) this.pictures.unshift(picture);
        else this.pictures.push(picture);
        this.draw();
        return picture;
    }

    // A picture that the text speaks of again is here again.
    restore(picture) {
        const there = this.pictures.find(({ file }) => file === picture.file);
        if (there) return this.replaced(picture, there);
        this.pictures.push(picture);
        this.draw();
    }

    // The picture to go on from, in place of the one that was put there before, if nobody chose another. moved: somebody went
    // elsewhere in the tree. Else an answer has come, and what was named, masked or moved meanwhile stays.
    base(chat, file, moved = false) {
        const own = this.pictures.find(({ placed }) => placed);
        if (!own) {
            const isWanted = file && !this.pictures.length && (moved || file !== this.dismissed);
            if (isWanted) this.add(chat, this.asBefore(file), { first: true, auto: true });
        } else if (own.file !== file && (own.auto || moved)) {
            if (file) this.exchange(own, chat, file);
            else if (this.isNamed(own)) own.placed = false;
            else this.remove(own);
        }
    }

    asBefore(file) {
        return { file, ...this.masks.get(file) };
    }

    // Another picture comes in the place of one, and the text speaks of that now.
    exchange(own, chat, file) {
        const there = this.pictures.find((picture) => picture.file === file);
        const auto = !this.isNamed(own);
        const address = smallAddress(chat, file);
        const made = there ?? { mask: null, fill: "keep", ...this.asBefore(file), auto, placed: true, address, chat };
        this.pictures = this.pictures.flatMap((one) => (one !== own ? [one] : there ? [] : [made]));
        this.replaced(own, made);
        this.draw();
    }

    remove(picture) {
        this.pictures = this.pictures.filter((one) => one !== picture);
        this.removed(picture);
        this.draw();
    }

    clear() {
        this.pictures = [];
        this.masks.clear();
        this.dismissed = null;
        this.draw();
    }

    mask(picture, mask, fill) {
        Object.assign(picture, { mask, fill, auto: false });
        this.masks.set(picture.file, { mask, fill });
        this.draw();
    }

    // The picture was painted or turned: it is another file in the same place.
    edited(picture, file) {
        Object.assign(picture, { file, address: smallAddress(picture.chat, file) });
    }

    // Puts a picture elsewhere among the others; the first is the one that is edited.
    move(picture, to) {
        const others = this.pictures.filter((one) => one !== picture);
        if (to < 0 || to > others.length || this.pictures[to] === picture) return;
        others.splice(to, 0, picture);
        this.pictures = others;
        for (const one of this.pictures) one.auto = false; // somebody wants this order
        this.draw();
    }

    // One that is dragged onto another takes its place. Other pictures are for the whole page.
    drop(event) {
        const brought = carries(event) ? carried(event) : null;
        const picture = this.pictures.find(({ chat, file }) => chat === brought?.chat && file === brought.file);
        if (!picture) return;
        event.preventDefault();
        event.stopPropagation();
        const over = [...this.element.children].findIndex((held) => held.contains(event.target));
        this.move(picture, over < 0 ? this.pictures.length - 1 : over);
    }

    // As the server takes them.
    get asked() {
        return this.pictures.map(({ file, mask, fill }) => ({ file, mask, fill: mask ? fill : "keep" }));
    }

    // By keys a picture goes left or right.
    arrange(shot, picture, index) {
        shot.addEventListener("keydown", (event) => {
            const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
            if (!step) return;
            event.preventDefault();
            event.stopPropagation();
            this.move(picture, index + step);
        });
    }

    dismiss(picture) {
        if (picture.placed) this.dismissed = picture.file;
        this.remove(picture);
        if (!this.pictures.length) this.emptied();
    }

    draw() {
        const focused = document.activeElement;
        const places = [...this.element.children];
        const at = places.findIndex((held) => held.contains(focused));
        const [kind, picture] = [focused?.className, at < 0 ? null : places[at].picture];
        this.element.hidden = !this.pictures.length;
        this.element.replaceChildren(...this.pictures.map((one, index) => this.held(one, index)));
        if (at >= 0 && this.pictures.length) {
            const now = this.pictures.includes(picture) ? this.pictures.indexOf(picture) : Math.min(at, this.pictures.length - 1);
            this.element.children[now].getElementsByClassName(kind)[0]?.focus();
        }
        this.changed();
    }

    held(picture, index) {
        const words = texts();
        const button = (className, title, text, onclick) =>
            make("button", { type: "button", className, title, ariaLabel: title, onclick }, text);
        const image = make("img", { src: picture.address, alt: "", draggable: true });
        image.addEventListener("dragstart", (event) => carry(event, picture.chat, picture.file));
        const shot = make(
            "button",
            { type: "button", className: "ace-chat-thumb", title: `${index ? wordOf(index) : words.firstPicture}. ${words.arrange}` },
            image,
            make("b", {}, wordOf(index)),
            picture.mask ? make("i", {}, words.masked[picture.fill]) : null,
        );
        shot.addEventListener("click", () => this.name(picture));
        this.arrange(shot, picture, index);
        const cross = button("ace-chat-cross", words.removePicture, "×", () => this.dismiss(picture));
        const pen = button("ace-chat-pen pi pi-pencil", index ? words.maskOther : words.maskPicture, "", () => this.openMask(picture));
        const held = make("div", { className: "ace-chat-held", role: "listitem" }, shot, pen, cross);
        held.picture = picture;
        return held;
    }
}
