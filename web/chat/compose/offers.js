// What a list offers while somebody types: pictures after an @, else phrasings that ACE was trained with.
import { make } from "../../shared/dom.js";
import { server, smallAddress } from "../server.js";
import { language, texts } from "../texts.js";
import { allPictures, wordOf } from "../tree.js";
import { Picker } from "./picker.js";

const PAUSE = 250; // ms without a key, after which phrasings are looked for
const NAMES = /(?<![\p{L}\p{N}])@(image\d*|[ap]\d+)(?![\p{L}\p{N}])/giu; // of pictures, whether there are any or not

export class Offers {
    constructor(composer) {
        this.composer = composer;
        this.picker = new Picker(
            (item) => this.choose(item),
            () => this.composer.panel.isBaseOld && this.composer.panel.draw(),
        );
        this.element = this.picker.element;
        this.asked = null; // the question for phrasings that is not answered yet, unless it is about nothing any more
    }

    get isOpen() {
        return this.picker.isOpen;
    }

    // Whether the list took it. It stays as it is then, whatever is found meanwhile.
    key(event) {
        const isTaken = this.picker.key(event);
        if (isTaken) this.drop();
        return isTaken;
    }

    hide() {
        this.drop();
        this.picker.hide();
    }

    // Phrasings are looked for when nothing has been typed for a while.
    wait() {
        this.drop();
        const asked = (this.asked = {});
        this.timer = setTimeout(() => this.suggest(asked), PAUSE);
    }

    // The pictures are others: what is offered is about those before, and what is being looked for is looked for again.
    renew() {
        const { asked } = this;
        this.hide();
        if (asked) this.wait();
    }

    // What was asked for is not wanted any more.
    drop() {
        clearTimeout(this.timer);
        this.asked = null;
    }

    // All pictures that can be named, those of this turn first: {file, names}; one may be called in two ways.
    get nameable() {
        const { chat } = this.composer.panel;
        if (!chat) return [];
        const all = allPictures(chat);
        const held = this.composer.tray.pictures.map(({ file }, index) => ({
            file,
            names: [wordOf(index), ...all.filter((one) => one.file === file).map(({ name }) => name)],
        }));
        const others = all.filter(({ file }) => !held.some((one) => one.file === file));
        return [...held, ...others.map(({ file, name }) => ({ file, names: [name] }))];
    }

    // What is written like the name of a picture and is none's; null where there is no such thing.
    get unknownName() {
        const known = new Set(this.nameable.flatMap(({ names }) => names));
        const written = this.composer.field.read().content.filter((part) => typeof part === "string");
        const names = written.flatMap((text) => [...text.matchAll(NAMES)].map(([, name]) => name));
        return names.find((name) => !known.has(name.toLowerCase())) ?? null;
    }

    showNames(prefix) {
        if (prefix === null) {
            if (this.naming) this.picker.hide();
            this.naming = false;
            return;
        }
        this.naming = true;
        this.drop();
        const { chat } = this.composer.panel;
        const shot = (file) => make("img", { src: smallAddress(chat.id, file), alt: "" });
        const isWhole = ({ names }) => names.includes(prefix);
        const found = this.nameable.filter(({ names }) => names.some((name) => name.startsWith(prefix)));
        const inOrder = [...found.filter(isWhole), ...found.filter((one) => !isWhole(one))].slice(0, 30);
        const items = inOrder.map(({ file, names }) => [
            { picture: file },
            make("span", { className: "ace-chat-named" }, shot(file), names.join(" · ")),
        ]);
        this.picker.show(texts().pictures, items, true);
    }

    // The picture that a name means, which belongs to this turn then; null for none.
    pictureNamed(name) {
        const found = this.nameable.find(({ names }) => names.includes(name));
        if (!found) return null;
        const picture = this.composer.tray.add(this.composer.panel.chat.id, { file: found.file });
        picture.auto = false;
        return picture;
    }

    async suggest(asked) {
        const pictures = [...this.composer.tray.pictures];
        const text = this.composer.field.parts(pictures).filter((part) => typeof part === "string").join(" ");
        if (this.naming) return;
        if (text.trim().length < 3 || text.length > 200) return this.hide();
        const query = { text, pictures: pictures.length, masked: Boolean(pictures[0]?.mask), language: language() };
        const found = await server.suggestions(query).catch(() => []);
        if (asked !== this.asked) return;
        this.asked = null;
        if (this.naming || document.activeElement !== this.composer.field.element) return;
        const items = found.map((one) => [
            { parts: one.parts, pictures },
            make("span", { className: "ace-chat-suggested" }, make("b", {}, one.title), make("span", {}, one.reading)),
        ]);
        this.picker.show(texts().suggestions, items, false);
    }

    choose({ picture, parts, pictures }) {
        if (picture !== undefined) {
            this.naming = false;
            this.composer.name(this.composer.tray.add(this.composer.panel.chat.id, { file: picture }));
            return;
        }
        this.composer.field.focus();
        this.composer.useWords(parts, pictures);
        this.composer.field.selectGap();
    }
}
