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
        picture.address = smallAddress(picture.chat, picture.file);
        this.draw();
    }

    // As the server takes them.
    get asked() {
        return this.pictures.map(({ file, mask, fill }) => ({ file, mask, fill: mask ? fill : "keep" }));
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
                    { type: "button", className: "ace-chat-thumb", title: index ? wordOf(index) : words.firstPicture },
                    make("img", { src: picture.address, alt: "", draggable: false }),
                    make("b", {}, wordOf(index)),
                    picture.mask ? make("i", {}, words.masked[picture.fill]) : null,
                );
                shot.addEventListener("click", () => this.name(picture));
                return make("div", { className: "ace-chat-held", role: "listitem" }, shot, cross);
            }),
        );
        this.changed();
    }
}
