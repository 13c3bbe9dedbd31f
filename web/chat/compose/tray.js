// The pictures that the next turn speaks of, in order: the first is edited.
import { make } from "../../shared/dom.js";
import { smallAddress } from "../server.js";
import { texts } from "../texts.js";
import { wordOf } from "../tree.js";

export class Tray {
    // changed(): other pictures. name(picture): it was clicked, so that it is named. removed(picture).
    constructor(handlers) {
        Object.assign(this, handlers);
        this.pictures = []; // {file, mask, fill, address, auto}
        this.element = make("div", { className: "ace-chat-tray", role: "list" });
    }

    // The picture of a file, added if it is not there.
    add(chat, { file, mask = null, fill = "keep" }, { first = false, auto = false } = {}) {
        const there = this.pictures.find((picture) => picture.file === file);
        if (there) return there;
        const picture = { file, mask, fill, auto, address: smallAddress(chat, file), chat };
        if (first) this.pictures.unshift(picture);
        else this.pictures.push(picture);
        this.draw();
        return picture;
    }

    // The picture to go on from, in place of the one that was put there before, if nobody chose another.
    base(chat, file) {
        const [first] = this.pictures;
        if (first && !first.auto) return;
        if (first?.file === file) return;
        if (first) this.remove(first);
        if (file) this.add(chat, { file }, { first: true, auto: true });
    }

    remove(picture) {
        this.pictures = this.pictures.filter((one) => one !== picture);
        this.removed(picture);
        this.draw();
    }

    clear() {
        this.pictures = [];
        this.draw();
    }

    mask(picture, mask, fill) {
        Object.assign(picture, { mask, fill, auto: false });
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
        for (const one of this.pictures.slice(0, 1)) one.auto = false;
        this.draw();
        this.element.children[to].querySelector("button").focus();
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

    draw() {
        const words = texts();
        this.element.hidden = !this.pictures.length;
        this.element.replaceChildren(
            ...this.pictures.map((picture, index) => {
                const cross = make(
                    "button",
                    { type: "button", className: "ace-chat-cross", title: words.removePicture, ariaLabel: words.removePicture },
                    "×",
                );
                cross.addEventListener("click", () => this.remove(picture));
                const shot = make(
                    "button",
                    { type: "button", className: "ace-chat-thumb", title: `${index ? wordOf(index) : words.firstPicture}. ${words.arrange}` },
                    make("img", { src: picture.address, alt: "", draggable: false }),
                    make("b", {}, wordOf(index)),
                    picture.mask ? make("i", {}, words.masked[picture.fill]) : null,
                );
                shot.addEventListener("click", () => this.name(picture));
                this.arrange(shot, picture, index);
                return make("div", { className: "ace-chat-held", role: "listitem" }, shot, cross);
            }),
        );
        this.changed();
    }
}
